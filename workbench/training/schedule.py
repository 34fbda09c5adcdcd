"""Learning rate over a run: warm-up, stable, decay (WSD)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torchtitan.components.optimizer import LRSchedulersContainer

SHAPES: Mapping[str, Callable[[float, float], float]] = {
    "exponential": lambda done, last: last**done,
    "linear": lambda done, last: 1 - (1 - last) * done,
    "cosine": lambda done, last: last + (1 - last) * (1 + math.cos(math.pi * done)) / 2,
    "1-sqrt": lambda done, last: last + (1 - last) * (1 - math.sqrt(done)),
}
"""The rate as a fraction of its peak, of the share of the decay that is done (0 to 1) and of where
it ends: from 1 to `last`, never rising.

Exponential: 2e-4 to 2e-5 over the last tenth in arXiv 2511.03276, section 3.1. Cosine: Loshchilov
and Hutter 2017 (arXiv 1608.03983), there over the whole run. Linear and 1-sqrt, after a constant
rate: Haegele et al. 2024 (arXiv 2405.18392), who find 1-sqrt ahead."""


def wsd_factor(
    step: int,
    *,
    warmup_steps: int,
    total_steps: int,
    decay_steps: int,
    min_ratio: float,
    shape: str = "exponential",
) -> float:
    """The rate as a fraction of its peak at a step, counted from 0 as LambdaLR does.

    Linear warm-up, then 1, then a decay of a shape, so that the last step runs at `min_ratio`.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    decayed = step + 1 - (total_steps - decay_steps)
    if decayed <= 0 or decay_steps == 0:
        return 1.0
    return SHAPES[shape](min(1.0, decayed / decay_steps), min_ratio)


class WSD(LRSchedulersContainer):
    """Titan knows no exponential decay, and reaches its last rate a step after the end."""

    @dataclass(kw_only=True, slots=True)
    class Config(LRSchedulersContainer.Config):
        decay_steps: int = 0
        shape: str = "exponential"

        def build(self, *, optimizers: Any, training_steps: int) -> LRSchedulersContainer:
            total_steps = self.total_steps or training_steps

            def factor(step: int) -> float:
                return wsd_factor(
                    step,
                    warmup_steps=self.warmup_steps,
                    total_steps=total_steps,
                    decay_steps=self.decay_steps,
                    min_ratio=self.min_lr_factor,
                    shape=self.shape,
                )

            return LRSchedulersContainer(optimizers, factor)
