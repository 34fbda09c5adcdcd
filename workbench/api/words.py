"""The closed sets and the kinds of values that several calls take."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from workbench.conditions import Condition, parse_conditions

At = Literal["last", "best", "final"]
"""`last` or `best`, each run's value; `final` is `last`."""
Over = Literal["seeds+documents", "seeds", "documents"]
Axis = Literal["tokens", "epochs", "flops", "flops_per_unique"]
Definition = Literal["band", "point", "best_so_far"]
Side = str | Mapping[str, Any]
"""An objective, conditions such as "model.dropout=0.1", or dotted keys and their values."""
Where = str | Sequence[str]
"""`COLUMN OP VALUE`, joined by `and`, such as "n_params < 1e6 and seed in (0, 1)"."""


class FitKeywords(TypedDict, total=False):
    """The options of a fit, as keywords."""

    fixed: Mapping[str, float]
    """Parameter -> the value that it has."""
    tie: Mapping[str, str]
    """Parameter -> the parameter that it equals."""
    share: str | Sequence[str]
    """Parameters that all objectives have in common."""
    joint: bool
    """Fit all objectives as one."""
    two_stage: bool
    """Fit runs of one epoch first, then the repeats."""
    starts: int
    """Of the search: 64."""
    resamples: int
    """Of the intervals: 1000. 0 for none."""
    seed: int
    cluster: str | None
    """The column whose equal rows share their noise."""
    huber_delta: float | None


class FitStudiesKeywords(FitKeywords, total=False):
    """Those of a fit to studies."""

    metric: str
    at: Literal["last", "best", "final", "curve"]
    where: Where | None
    save: bool


class BacktestKeywords(TypedDict, total=False):
    """The options of a backtest, as keywords."""

    train: Where | None
    along: str
    metric: str
    at: At
    where: Where | None
    cluster: str | None
    starts: int
    seed: int
    progress: Callable[[str], None] | None
    save: bool


def conditions(given: str | Iterable[str] | None, option: str = "--where") -> tuple[Condition, ...]:
    """Conditions of one text or of several, all of which must hold.

    Raises:
        InputError: a piece is no condition.
    """
    return parse_conditions([given] if isinstance(given, str) else given, option)


def side_of(option: str, given: Side | None) -> "str | dict[str, Any] | None":
    """A side as the analyses take it."""
    from workbench.analysis.pairing import parse_side

    return parse_side(option, given if given is None or isinstance(given, str) else dict(given))
