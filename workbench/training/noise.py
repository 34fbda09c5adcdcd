"""Noise schedules of masked diffusion.

A schedule is alpha_t, the probability that a token is still clean at time t in (0, 1], with
alpha_0 = 1 and alpha_1 = 0 (arXiv 2511.03276, section 2.2). The bound (equation 3) needs its
weight w(t) = -alpha'_t / (1 - alpha_t).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseSchedule:
    """A schedule as the two functions that the objective needs, each of t in (0, 1].

    `move_chance` is 1 - alpha_t, the probability that a token is masked. `rate` is -alpha'_t,
    its derivative. The weight of equation 3 is their ratio.
    """

    name: str
    move_chance: Callable[[Tensor], Tensor]
    rate: Callable[[Tensor], Tensor]

    def weight(self, t: Tensor) -> Tensor:
        """w(t) = -alpha'_t / (1 - alpha_t), unclipped."""
        return self.rate(t) / self.move_chance(t)


LINEAR = NoiseSchedule(
    name="linear",  # alpha_t = 1 - t, so w(t) = 1 / t
    move_chance=lambda t: t,
    rate=torch.ones_like,
)

# alpha_t = 1 - sin(pi t / 2): few tokens are clean for most of the time. 1 - alpha_t is written
# as a sine rather than 1 - cos, which would cancel near t = 0, where the weight is largest.
COSINE = NoiseSchedule(
    name="cosine",
    move_chance=lambda t: torch.sin(t * (math.pi / 2)),
    rate=lambda t: torch.cos(t * (math.pi / 2)) * (math.pi / 2),
)

SCHEDULES: dict[str, NoiseSchedule] = {s.name: s for s in (LINEAR, COSINE)}


def stratified_times(uniforms: Tensor, position: Tensor, batch_size: int) -> Tensor:
    """One time in each of `batch_size` equal strata of (0, 1].

    Stratifying over the global batch takes most of the variance out of the loss without
    touching its expectation: each t is uniform over its stratum, and the strata cover (0, 1].

    Args:
        uniforms: [B] in (0, 1).
        position: [B] places in the global batch, 0 to batch_size - 1.
        batch_size: sequences in the global batch.

    Returns:
        [B] float32 times.
    """
    return (position.to(uniforms.dtype) + uniforms) / batch_size
