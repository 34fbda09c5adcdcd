"""Noise schedules of diffusion, and what a token becomes under noise of two kinds.

A schedule is alpha_t, the probability that a token is still clean at time t in (0, 1], with
alpha_0 = 1 and alpha_1 = 0 (arXiv 2511.03276, section 2.2). The bound (equation 3) needs its
weight w(t) = -alpha'_t / (1 - alpha_t).

Where noise also puts other tokens in a token's place (GIDD, arXiv 2503.04482), the schedule's
1 - alpha_t is the level of noise, and `Marginals` has what a token is at a level.
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


@dataclass(frozen=True)
class Marginals:
    """What a token is at a level of noise in (0, 1), in the shape and type of the levels.

    The three chances add up to 1. By the two rates a token of any kind is replaced as the level
    rises: with the absolute chance q of what replaces it, the rate is q' - q clean' / clean, which
    makes a Markov chain of the marginals (arXiv 2503.04482, section 3).
    """

    clean: Tensor
    mask: Tensor
    drawn: Tensor
    """That a token is in its place which was drawn from all, each as likely."""
    mask_rate: Tensor
    drawn_rate: Tensor


Mixing = Callable[[Tensor], Marginals]


def drawn_alone(level: Tensor) -> Marginals:
    """Marginals of uniform-state diffusion: a token is clean, or drawn from all (UDLM, arXiv
    2412.10193)."""
    none = torch.zeros_like(level)
    return Marginals(1 - level, none, level, none, 1 / (1 - level))


def mask_and_drawn(share: float) -> Mixing:
    """Marginals of GIDD's hybrid (arXiv 2503.04482, section 4, gamma = 1), by the level.

    Clean, masked and drawn tokens are as 1 - level : level : B sqrt(level (1 - level)). All are
    masked at level 1, and B makes the share of drawn ones `share` at level 1/2, where it is most.
    """
    scale = 2 * share / (1 - share)

    def marginals(level: Tensor) -> Marginals:
        root = (level * (1 - level)).sqrt()
        total = 1 + scale * root
        return Marginals(
            clean=(1 - level) / total,
            mask=level / total,
            drawn=scale * root / total,
            mask_rate=1 / ((1 - level) * total),
            drawn_rate=scale / (2 * root * total),
        )

    return marginals


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
