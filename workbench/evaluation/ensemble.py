"""Several runs as one model that averages their probabilities.

The strongest AR that is known for few unique tokens is an ensemble of seeds (arXiv 2509.14786).
What is averaged is each prediction's distribution, p = mean of p_i: for AR that is the likelihood
of the mixture of next-token distributions, exact as each member's is; for diffusion it is the bound
of one denoiser that averages its members. By Jensen's inequality neither is worse than the mean of
the members' losses.

Shape suffixes: B sequences, L tokens a sequence, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import InputError
from workbench.recipe import RunConfig
from workbench.recipe.sweep import dotted
from workbench.training.trained_model import RunModel

_MAY_DIFFER = ("training.seed",)


class Ensemble(nn.Module):
    """Logits whose softmax over the first `n_tokens` is the mean of the members' softmaxes."""

    def __init__(self, members: Sequence[nn.Module], n_tokens: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.n_tokens = n_tokens

    def forward(self, inputs_BL: Tensor, **arguments: Any) -> Tensor:
        """[B, L, n_tokens] log-probabilities."""
        logits = [member(inputs_BL, **arguments) for member in self.members]
        return mean_of_members(logits, self.n_tokens)


def mean_of_members(logits: Sequence[Tensor], n_tokens: int) -> Tensor:
    """[..., n_tokens] log of the mean of the members' probabilities, from logits [..., V]."""
    log_p = [
        torch.log_softmax(member_logits[..., :n_tokens].float(), dim=-1) for member_logits in logits
    ]
    return torch.logsumexp(torch.stack(log_p), dim=0) - math.log(len(log_p))


def ensemble(models: Sequence[RunModel], names: Sequence[str]) -> RunModel:
    """One model out of runs that differ in their seeds alone.

    Args:
        names: the runs', for messages.

    Raises:
        InputError: as `check_members`, or their checkpoints are of different steps.
    """
    check_members([model.config for model in models], names)
    first = models[0]
    for model, name in zip(models, names, strict=True):
        if model.step != first.step:
            raise InputError(
                f"--ensemble: run {names[0]} was loaded at step {first.step} and {name} at "
                f"{model.step}. Name a step that all of them have: --checkpoint STEP."
            )
    averaged = Ensemble([model.model for model in models], first.vocab.n_tokens)
    return replace(first, model=averaged.eval())


def check_members(configs: Sequence[RunConfig], names: Sequence[str]) -> None:
    """Check that runs differ in their seeds of training alone.

    Args:
        names: the runs', for messages.

    Raises:
        InputError: there is only one, or they differ in more.
    """
    if len(configs) < 2:
        raise InputError("--ensemble: name two runs or more; they may differ in training.seed.")
    keys, *others = (dotted(config.model_dump(mode="json")) for config in configs)
    for theirs, name in zip(others, names[1:], strict=True):
        different = sorted(
            key for key in keys.keys() | theirs.keys() if keys.get(key) != theirs.get(key)
        )
        if forbidden := [key for key in different if key not in _MAY_DIFFER]:
            raise InputError(
                f"--ensemble: runs {names[0]} and {name} differ in {', '.join(forbidden)}. Members "
                f"may differ in {', '.join(_MAY_DIFFER)} alone."
            )
