"""Averages of a run's weights along its training, evaluated beside the weights themselves.

`ema`: exponential, with a time constant of tau tokens: the weights of u tokens ago count
exp(-u / tau). Tokens, and not a decay per step, so that a run of another batch size averages over
the same stretch of text. The mean is over the steps so far alone: after n steps of d = exp(-tokens
of a step / tau) each, the newest weights count (1 - d) / (1 - d^n), and the initial ones nothing.

`stable`: the mean of the weights after each step from the end of the warm-up to the start of the
decay (checkpoint averaging; Izmailov et al. 2018, arXiv 1803.05407). From the decay on it stays.

How much the newest weights count follows from the step alone, so a resumed run has the averages of
an undisturbed one, bit for bit.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.stateful import Stateful
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torchtitan.components.checkpointer.utils import canonical_fqn

from workbench.recipe import RunConfig


class Average(Stateful):
    """A mean of a model's weights, sharded as they are, in float32."""

    def __init__(
        self, name: str, model: nn.Module, share: Callable[[int], float], *, first: int
    ) -> None:
        """Begin with no weights.

        Args:
            name: of `workbench.metrics.AVERAGES`.
            share: how much of the mean the weights after a step are, 0 for steps that do not count.
            first: the first step that does; its share is 1.
        """
        self.name = name
        self.share = share
        self.first = first
        self.model = model
        self.parameters = {canonical_fqn(key): one for key, one in model.named_parameters()}
        self.mean = {key: torch.zeros_like(one) for key, one in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step."""
        share = self.share(step)
        if share > 0:
            torch._foreach_lerp_(
                [_local(one) for one in self.mean.values()],
                [_local(one) for one in self.parameters.values()],
                share,
            )

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with these weights, until the block ends."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for module in self.model.modules():
            # A pass without a backward leaves the last layers gathered, as they were.
            if isinstance(module, FSDPModule):
                module.reshard()
        for key, parameter in self.parameters.items():
            mine, theirs = _local(self.mean[key]), _local(parameter)
            before = theirs.clone()
            theirs.copy_(mine)
            mine.copy_(before)

    def state_dict(self) -> dict[str, Any]:
        return self.mean

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing is left to do: a checkpoint is read into the tensors of `state_dict`."""


def first_step(config: RunConfig, name: str) -> int | None:
    """The first step whose weights are in an average; None of one that a run does not have."""
    training = config.training
    if name == "ema":
        return 1 if training.ema is not None else None
    return (training.warmup_steps or 0) + 1 if training.average == name else None


def averages(config: RunConfig, model: nn.Module) -> list[Average]:
    """The averages that a run asks for, of a model whose weights are sharded already."""
    per_step = config.tokens_per_step / (config.training.ema or 1)

    def of_ema(step: int) -> float:
        return math.expm1(-per_step) / math.expm1(-per_step * step)

    def of_stable(step: int, before: int = config.training.warmup_steps or 0) -> float:
        return 1 / (step - before) if before < step <= config.steps_before_decay else 0.0

    return [
        Average(name, model, share, first=first)
        for name, share in (("ema", of_ema), ("stable", of_stable))
        if (first := first_step(config, name)) is not None
    ]


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor.data
