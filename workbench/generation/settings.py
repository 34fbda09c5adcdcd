"""What a sampler is asked for, and what it gives back.

Shape suffixes: B sequences, L tokens a sequence.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.generation.choice import Randomness
from workbench.generation.network import Network


@dataclass(frozen=True)
class Settings:
    """How tokens are chosen, and in how many steps.

    Raises:
        InputError: a value that no sampler can use.
    """

    temperature: float = 1.0
    """0 takes the likeliest token always; 1 samples the model as it is."""
    top_p: float = 1.0
    seed: int = 0
    steps: int | None = None
    """Denoising steps for the whole text; as many as tokens where None."""
    block_size: int | None = None
    """Tokens a block of the samplers that go by blocks. Where None, those that the model was
    trained on, else 32."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"--temperature {self.temperature}: expected 0 or more.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"--top-p {self.top_p}: expected more than 0 and at most 1.")
        for option, value in (("--steps", self.steps), ("--block-size", self.block_size)):
            if value is not None and value < 1:
                raise InputError(f"{option} {value}: expected 1 or more.")

    def with_steps(self, steps: int) -> "Settings":
        return replace(self, steps=steps)


@dataclass(frozen=True)
class Canvas:
    """Sequences to complete: a prompt, then MASK from `start` on."""

    tokens_BL: Tensor
    start: int
    sample_B: Tensor
    """Number of each sequence among the samples of a seed: keys its randomness."""
    offset: int = 0
    """Place of the first token in the whole text, where a window slides over it."""

    @property
    def length(self) -> int:
        return self.tokens_BL.shape[1]

    @property
    def place_L(self) -> Tensor:
        return torch.arange(self.length, device=self.tokens_BL.device) + self.offset


@dataclass(frozen=True)
class Filled:
    """Complete sequences, and the mean number of forward passes that each of them took."""

    tokens_BL: Tensor
    passes: float


Fill = Callable[[Network, Canvas, Settings, Randomness], Filled]


def spread(steps: int, sizes: list[int], what: str) -> list[int]:
    """Divide `steps` in proportion to `sizes`, at least one each.

    Raises:
        InputError: there are fewer steps than sizes.
    """
    if steps < len(sizes):
        raise InputError(
            f"--steps {steps}: there are {len(sizes)} {what}, and each takes a step or more."
        )
    shares, left = [], sum(sizes)
    for number, size in enumerate(sizes):
        fair = (2 * steps * size + left) // (2 * left)  # rounded half up
        share = min(max(fair, 1), steps - (len(sizes) - number - 1))
        shares.append(share)
        steps, left = steps - share, left - size
    return shares
