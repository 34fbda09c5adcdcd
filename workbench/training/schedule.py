"""Learning rate over a run: warm-up, stable, exponential decay (WSD)."""

from dataclasses import dataclass
from typing import Any

from torchtitan.components.optimizer import LRSchedulersContainer


def wsd_factor(
    step: int, *, warmup_steps: int, total_steps: int, decay_steps: int, min_ratio: float
) -> float:
    """The rate as a fraction of its peak at a step, counted from 0 as LambdaLR does.

    Linear warm-up, then 1, then `min_ratio ** progress` so that the last step runs at
    `min_ratio`: 2e-4 to 2e-5 over the last tenth in arXiv 2511.03276, section 3.1.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    decayed = step + 1 - (total_steps - decay_steps)
    if decayed <= 0 or decay_steps == 0:
        return 1.0
    return min_ratio ** min(1.0, decayed / decay_steps)


class ExponentialWSD(LRSchedulersContainer):
    """Titan's schedules decay linearly, by a root or by a cosine; the paper's exponentially."""

    @dataclass(kw_only=True, slots=True)
    class Config(LRSchedulersContainer.Config):
        decay_steps: int = 0

        def build(self, *, optimizers: Any, training_steps: int) -> LRSchedulersContainer:
            total_steps = self.total_steps or training_steps

            def factor(step: int) -> float:
                return wsd_factor(
                    step,
                    warmup_steps=self.warmup_steps,
                    total_steps=total_steps,
                    decay_steps=self.decay_steps,
                    min_ratio=self.min_lr_factor,
                )

            return LRSchedulersContainer(optimizers, factor)
