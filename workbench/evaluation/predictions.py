"""Logits of a few positions only: of a question with its context, few are needed.

Shape suffixes: B sequences, T inputs a sequence, N positions in all, D width, V vocabulary.
"""

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from workbench.evaluation.ensemble import Ensemble, mean_of_members
from workbench.training.foreign_network import ForeignNetwork
from workbench.training.masks import mask_form
from workbench.training.objectives.base import Corrupted


class Predictions:
    """What a loaded network predicts at chosen positions, without logits of the others."""

    def __init__(self, model: nn.Module) -> None:
        self._members: list[_Decoder | _Foreign] = [
            _Foreign(member) if isinstance(member, ForeignNetwork) else _Decoder(member)
            for member in members_of(model)
        ]
        self._model = model

    def logits(self, corrupted: Corrupted, row_N: Tensor, position_N: Tensor) -> Tensor:
        """[N, V] at these positions of these sequences; of an ensemble, [N, tokens]."""
        logits = [member.logits(corrupted, row_N, position_N) for member in self._members]
        if isinstance(self._model, Ensemble):
            return mean_of_members(logits, self._model.n_tokens)
        return logits[0]


def members_of(model: nn.Module) -> list[nn.Module]:
    """The networks of an ensemble; any other model is its own only member."""
    return list(model.members) if isinstance(model, Ensemble) else [model]


class _Foreign:
    """A model of transformers. Of one that does more after its output layer all logits are made."""

    def __init__(self, model: ForeignNetwork) -> None:
        self._model = model

    def logits(self, corrupted: Corrupted, row_N: Tensor, position_N: Tensor) -> Tensor:
        if self._model.in_parts:
            return self._model.head(self._model.hidden(corrupted.inputs_BL)[row_N, position_N])
        logits: Tensor = self._model(corrupted.inputs_BL)[row_N, position_N]
        return logits


class _Decoder:
    """Titan's decoder in two parts: what comes before its output layer, and that."""

    def __init__(self, model: Any) -> None:
        # The same modules and weights; titan's own switch, set on this copy alone.
        self._body = copy.copy(model)
        self._body._skip_lm_head = True
        self._head = model.lm_head

    def logits(self, corrupted: Corrupted, row_N: Tensor, position_N: Tensor) -> Tensor:
        arguments = corrupted.network_arguments(mask_form(self._body))
        hidden_BTD = self._body(corrupted.inputs_BL, **arguments)
        # Networks that read two streams predict at the first: its positions come first too.
        return F.linear(hidden_BTD[row_N, position_N], self._head.weight)
