"""FLOPs: of a named size in training and in generation, and of a study's best values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.api.answers import Answer
from workbench.arguments import public
from workbench.errors import InputError


@dataclass(frozen=True)
class TrainingFlops:
    """Training FLOPs a token of one objective."""

    objective: str
    n_params: int
    n_params_active: int
    n_params_non_embedding: int
    seq_len: int
    train_flops_per_token: float
    over_6N: float
    """What of it 6 N would say."""


@dataclass(frozen=True)
class GenerationFlops:
    """FLOPs of one generation by AR and by diffusion."""

    tokens: int
    steps: int
    """Of denoising."""
    ar_flops: float
    diffusion_flops: float
    ratio: float


@dataclass(frozen=True)
class BestFlops:
    """Training FLOPs that the best values of baseline and challenger took."""

    study: str
    metric: str
    group: dict[str, Any]
    baseline: dict[str, Any]
    """name, flops, tokens, value, bound (lower where the last value is the best) and joules (None
    where they were not measured), as of `challenger`."""
    challenger: dict[str, Any]
    ratio: float | None
    """The challenger's over the baseline's; None where neither has ended to improve."""
    ratio_bound: str | None
    note: str | None
    runs: dict[str, list[str]] = field(repr=False)
    run_seeds: dict[str, list[Any]] = field(repr=False)


@public
def training_flops(
    size: str, *, seq_len: int = 2048, vocab_size: int = 50258
) -> Answer[TrainingFlops]:
    """What training costs a token, one row an objective, as `workbench flops --size` counts it.

    Args:
        size: a named size, such as 1B.
        seq_len: tokens of a window.
        vocab_size: of the tokenizer; padded.

    Raises:
        InputError: no such size.
    """
    from workbench.planning.flops import named_shape, training_rows

    _at_least(1, seq_len=seq_len)
    _at_least(2, vocab_size=vocab_size)
    return Answer.of(TrainingFlops, training_rows(named_shape(size, vocab_size), seq_len))


@public
def generation_flops(
    size: str,
    tokens: int | Sequence[int],
    *,
    steps: int | Sequence[int] | None = None,
    prompt: int = 0,
    vocab_size: int = 50258,
) -> Answer[GenerationFlops]:
    """What generation costs, a row for each length and number of steps, as `workbench flops --size
    --generate` counts it.

    Args:
        size: a named size, such as 1B.
        tokens: lengths to generate.
        steps: of denoising; one a token by default.
        prompt: tokens of the prompt.
        vocab_size: of the tokenizer; padded.

    Raises:
        InputError: no such size, or no whole numbers above zero.
    """
    from workbench.planning.flops import generation_rows, named_shape

    _at_least(0, prompt=prompt)
    _at_least(2, vocab_size=vocab_size)
    lengths, chosen = _several(tokens), None if steps is None else _several(steps)
    for name, counts in (("tokens", lengths), ("steps", chosen or [])):
        for count in counts:
            _at_least(1, **{name: count})
    rows = generation_rows(named_shape(size, vocab_size), lengths, chosen, prompt=prompt)
    return Answer.of(GenerationFlops, rows)


def _several(given: int | Sequence[int]) -> list[int]:
    return [int(given)] if isinstance(given, int) else [int(one) for one in given]


def _at_least(least: int, **given: int) -> None:
    for name, value in given.items():
        if value < least:
            raise InputError(f"{name}={value}: expected {least} or more.")
