"""A network of transformers, and what is found out of it before it is measured.

Shape suffixes: B sequences, L tokens a sequence, D width, V vocabulary.
"""

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import InputError
from workbench.recipe import objective_facts
from workbench.recipe.objectives import BASELINE, CHALLENGER


class ForeignNetwork(nn.Module):
    """A model of transformers: tokens [B, L] to logits [B, L, V]."""

    in_parts = False
    """Whether its logits are its output layer's product of `hidden`, and nothing more."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def hidden(self, tokens_BL: Tensor) -> Tensor:
        """[B, L, D] before the output layer."""
        hidden: Tensor = self.network.base_model(input_ids=tokens_BL)[0]
        return hidden

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of some places of `hidden`."""
        logits: Tensor = self.network.get_output_embeddings()(hidden)
        return logits

    @torch.no_grad()
    def try_parts(self, tokens_BL: Tensor, logits_BLV: Tensor) -> None:
        """Find out what `in_parts` says: models may scale or bound their logits, and code of their
        own may have no such parts."""
        with suppress(Exception):
            made_BLV = self.head(self.hidden(tokens_BL))
            self.in_parts = torch.allclose(made_BLV, logits_BLV, rtol=1e-5, atol=1e-6)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        made = self.network(input_ids=tokens_BL)
        logits: Tensor = made.logits if hasattr(made, "logits") else made[0]
        return logits


def check_finite(network: nn.Module, where: str) -> None:
    """Check that there is a number in every place of every weight.

    Raises:
        InputError: it names the first weights that have something else.
    """
    wrong = {
        name: int((~parameter.isfinite()).sum())
        for name, parameter in network.named_parameters()
        if not parameter.isfinite().all()
    }
    if wrong:
        sizes = dict(network.named_parameters())
        named = ", ".join(
            f"{name} ({count:,} of {sizes[name].numel():,} values)"
            for name, count in list(wrong.items())[:3]
        )
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(
            f"{where}: its weights have NaN or infinite values: {named}{more}. The training "
            "diverged, or the file is damaged; or they are beyond the range of the type that was "
            "loaded, and --dtype float32 helps."
        )


def input_ids(model: ForeignNetwork, where: str) -> int:
    """How many ids a model has an embedding of.

    Raises:
        InputError: it has none that is known.
    """
    try:
        return int(model.network.get_input_embeddings().weight.shape[0])
    except Exception as error:  # of the model's own code
        raise InputError(f"{where}: its embedding is not found ({_in_words(error)}).") from None


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


@torch.no_grad()
def probe(model: ForeignNetwork, where: str, objective: str) -> int:
    """The size of the vocabulary that a model predicts.

    Raises:
        InputError: it cannot compute; or it looks to the right, and the objective does not, or the
            other way round.
    """
    device = next(model.parameters()).device
    few = min(input_ids(model, where), 1000)
    tokens_BL = torch.arange(16, device=device).expand(2, -1) * 7 % few
    tokens_BL = torch.cat([tokens_BL, torch.tensor([[1], [few - 1]], device=device)], dim=1)
    try:
        logits_BLV = model(tokens_BL)
    except Exception as error:  # of the model's own code, or of a configuration that cannot be
        raise InputError(
            f"{where}: cannot compute on {tokens_BL.shape[1]} tokens ({_in_words(error)})."
        ) from None
    if logits_BLV.isnan().any():
        raise InputError(
            f"{where}: its weights are finite, and its predictions are NaN. Try --dtype float32, "
            "in case the range of its type is too small."
        )
    model.try_parts(tokens_BL, logits_BLV)
    first, second = logits_BLV[:, :-1].float()
    to_the_right = not torch.allclose(first, second, rtol=1e-4, atol=1e-5)
    if to_the_right == objective_facts(objective).causal:
        seen = "depend" if to_the_right else "do not depend"
        other = CHALLENGER if to_the_right else BASELINE
        raise InputError(
            f"{where}: --objective {objective}, and its predictions {seen} on the tokens to the "
            f"right. Is it a model for --objective {other}?"
        )
    return int(logits_BLV.shape[-1])
