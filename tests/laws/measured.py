"""Measured crossovers made up for tests."""

from itertools import count

from workbench.laws.measured_crossovers import MeasuredCrossover

_numbers = count()


def measured(
    unique: float,
    compute: float,
    status: str = "crossed",
    *,
    metric: str = "val_loss",
    definition: str = "point",
    study: str = "s",
    n_params: float = 1e6,
    best_epochs: float | None = None,
) -> MeasuredCrossover:
    """One reading of a pair of curves of its own, compared from a hundredth of its compute to
    three times that."""
    tokens = compute / (6 * n_params)
    return MeasuredCrossover(
        study=study,
        metric=metric,
        definition=definition,
        curve=(next(_numbers),),
        unique_tokens=unique,
        n_params=n_params,
        status=status,
        compute=compute,
        first_tokens=tokens / 100,
        last_tokens=3 * tokens,
        baseline_best_epochs=best_epochs,
    )
