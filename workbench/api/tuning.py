"""Which value of a tuned key is best, and how that moves with size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.analysis.best_values import Finding
from workbench.api.answers import Answer, Interval
from workbench.arguments import public
from workbench.laws.best_value_law import best_value_laws
from workbench.laws.best_value_rows import law_notes


@dataclass(frozen=True)
class BestValue:
    """Which value of a key is best, in one group of equal other keys."""

    study: str
    metric: str
    at: str
    """last or best, of each run."""
    key: str
    objective: str | None
    group: dict[str, Any]
    """Unique tokens, parameters, and the other keys that distinguish the group."""
    best: Any
    """The value with the best mean."""
    optimum: float | None
    """The vertex of the parabola through the three values around it; None at an edge."""
    value_at_optimum: float | None
    """Of the metric, by the parabola."""
    bound: str | None
    """lower or upper where the best value is at an edge: on which side of `lower_bound` or
    `upper_bound` the optimum lies."""
    lower_bound: float | None
    upper_bound: float | None
    ci95: Interval
    """Of the optimum; an end None where it reaches beyond the values tried."""
    ci95_method: str | None
    ci95_note: str | None
    ties: list[Any]
    """Values that are not surely worse than the best."""
    values: list[dict[str, Any]]
    """Each value with its `mean` and `ci95`, its `cost` beside the best and `cost_ci95`."""
    seeds: int
    runs: list[str] = field(repr=False)
    unfinished: list[str]
    imported: bool
    note: str | None
    over: str | None
    """What the interval runs over; None where that is neither seeds nor documents."""
    over_asked: str


@dataclass(frozen=True)
class BestLaw:
    """How the best value moves with size: a power law of one objective."""

    study: str
    metric: str
    at: str
    key: str
    objective: str | None
    group: dict[str, Any]
    status: str
    """fitted or refused."""
    reason: str | None
    """Why it is refused."""
    against: list[str]
    """n_params, total_tokens or both: what it is a law of."""
    formula: str | None
    scale: float | None
    exponents: dict[str, float] | None
    ci95: dict[str, list[float]] | None
    """Of the scale and of each exponent."""
    ci95_method: str | None
    scatter: float | None
    """Root mean square of what is left in the logarithm of the best value."""
    n_optima: int
    n_bounds: int
    """Groups whose best value is at an edge: not fitted."""
    points: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    """For each size asked: `best`, its `ci95`, and how far `outside` the fitted sizes it lies."""
    transfer: list[dict[str, Any]]
    """Whether the best value of the smallest size serves the largest: `steps` of the grid between
    the two optima with `ci95`, `verdict` (stays, moves or undecided) and `cost`."""


@public
@dataclass(frozen=True)
class BestLaws(Answer[BestLaw]):
    """Laws of the best value, one for each objective and group of equal other keys."""


@public
@dataclass(frozen=True)
class BestValues(Answer[BestValue]):
    """The best value of a key, one row for each objective and group of equal other keys."""

    found: tuple[Finding, ...] = field(default=(), repr=False)

    def laws(self, *, predict: Sequence[Mapping[str, float]] = ()) -> BestLaws:
        """How the best value moves with parameters and tokens, and whether it stays the same.

        Args:
            predict: sizes to predict it for, such as `{"n_params": 1e9}`.

        Raises:
            InputError: no groups of several sizes, or a size that the law has no number of.
        """
        rows = best_value_laws(self.found, predict)
        return BestLaws.of(BestLaw, rows, law_notes(rows))
