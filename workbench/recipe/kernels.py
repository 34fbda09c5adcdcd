"""Facts of the training kernels that both the trainer and the memory estimate need."""

from workbench.recipe.models import TrainingConfig

LOGITS = 2**30
"""At most so many logits exist at once in the type that is computed in, and the loss of more is
taken in chunks: 16,384 rows of 50,304."""
SOFTMAX_LOGITS = 2**25
"""At most so many of them at once in float32: 512 rows. What is computed of a batch is a multiple
of so many rows."""
SPARE_ROWS = 64
"""Rows computed beyond those that the host counts. Host and GPU may round a cosine differently, and
so disagree about a token whose chance lies within the rounding."""

LOGITS_AT_ONCE = 1 << 26
"""How many logits an evaluation makes float32 at a time."""


def fused(training: TrainingConfig, *, on_gpu: bool) -> bool:
    """Whether a run trains with the kernels that save memory and traffic."""
    return on_gpu if training.kernels is None else training.kernels == "fused"


def rows_of(logits: int, vocab_size: int) -> int:
    """Rows of a vocabulary that are at most so many logits: a power of two."""
    return 1 << (max(1, logits // vocab_size).bit_length() - 1)


def rows_computed(positions: int, counted: int | None, vocab_size: int) -> int:
    """Positions whose logits are made at all.

    Args:
        positions: of a pass.
        counted: those that the loss counts, as the host worked them out; None for all.
    """
    if counted is None:
        return positions
    step = rows_of(SOFTMAX_LOGITS, vocab_size)
    return min(positions, -(-(counted + SPARE_ROWS) // step) * step)


def scored_positions(vocab_size: int) -> int:
    """Positions whose logits an evaluation makes float32 at a time.

    A power of two divides most batches of windows: compiled code is made for one shape.
    """
    return rows_of(LOGITS_AT_ONCE, vocab_size)
