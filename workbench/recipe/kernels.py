"""Facts of kernels that both the trainer and the memory estimate need."""

from workbench.recipe.models import TrainingConfig

LOSS_ROWS = 4096
"""Positions whose logits are made at once where the loss counts every position."""
MASKED_LOSS_ROWS = 2048
"""The same where it counts masked positions alone. What is masked is filled up to a multiple of
these: fewer a chunk would waste less, and cost more traffic for the gradient of the weights."""
SPARE_ROWS = 64
"""Rows computed beyond those that the host counts. Host and GPU may round a cosine differently, and
so disagree about a token whose chance lies within the rounding."""

LOGITS_AT_ONCE = 1 << 26
"""How many logits an evaluation makes float32 at a time."""


def fused(training: TrainingConfig, *, on_gpu: bool) -> bool:
    """Whether a run trains with the kernels that save memory and traffic."""
    return on_gpu if training.kernels is None else training.kernels == "fused"


def loss_rows(positions: int, *, masked: bool) -> int:
    """Positions whose logits are made at once, of the `positions` of a pass."""
    return min(positions, MASKED_LOSS_ROWS if masked else LOSS_ROWS)


def rows_computed(positions: int, counted: int | None) -> int:
    """Positions whose logits are made at all.

    Args:
        positions: of a pass.
        counted: those that the loss counts, as the host worked them out; None for all.
    """
    if counted is None:
        return positions
    rows = loss_rows(positions, masked=True)
    return min(positions, -(-(counted + SPARE_ROWS) // rows) * rows)


def scored_positions(vocab_size: int) -> int:
    """Positions whose logits an evaluation makes float32 at a time.

    A power of two divides most batches of windows: compiled code is made for one shape.
    """
    return 1 << (max(1, LOGITS_AT_ONCE // vocab_size).bit_length() - 1)
