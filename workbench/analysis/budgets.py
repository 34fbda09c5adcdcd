"""Unique tokens read off a baseline's values at several budgets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.analysis.crossed import Over
from workbench.analysis.curves import Curve, Floats
from workbench.metrics import higher_is_better

At = Literal["best", "final"]


@dataclass(frozen=True)
class Question:
    """What is compared: the metric, at which point of the runs, and the names of both sides."""

    results: Path
    study: str
    metric: str
    at: At
    baseline: str
    challenger: str
    over: Over

    def head(self) -> dict[str, Any]:
        """The question as the first columns of an answer's row."""
        return {
            "study": self.study,
            "metric": self.metric,
            "at": self.at,
            "baseline": self.baseline,
            "challenger": self.challenger,
        }

    @property
    def higher(self) -> bool:
        return higher_is_better(self.metric)

    def value(self, rows: Floats) -> Floats:
        """The best or the last of each row of values."""
        if self.at == "final":
            return rows[:, -1]
        return np.asarray(rows.max(axis=1) if self.higher else rows.min(axis=1))

    def mean(self, curves: list[Curve]) -> float:
        return float(np.mean([self.value(curve.y[None])[0] for curve in curves]))


@dataclass(frozen=True)
class Reading:
    """Unique tokens read off the baseline's values. `bound` is "lower" where they lie above the
    measured budgets, "upper" where they lie below."""

    effective: float | None
    bound: Literal["lower", "upper"] | None
    monotone: bool
    """No larger budget has a worse value."""


def read_off(unique: Floats, values: Floats, value: float, *, higher: bool) -> Reading:
    """The unique tokens from which on the baseline is at least as good as a value.

    It is persistent, as a crossover is: a smaller budget that is as good by chance, with a worse
    one above it, does not count. Between budgets, values are lines in log unique tokens.

    Args:
        unique: increasing.
        values: the baseline's value at each budget.
    """
    place = float(places(unique, values[None], np.array([value]), higher=higher)[0])
    steps = np.diff(values) if higher else -np.diff(values)
    monotone = bool(np.all(steps >= 0))
    if np.isfinite(place):
        return Reading(place, None, monotone)
    return Reading(None, "lower" if place > 0 else "upper", monotone)


def places(unique: Floats, values: Floats, value: Floats, *, higher: bool) -> Floats:
    """`read_off` for rows of values (rows, budgets): inf above all budgets, -inf below them."""
    lead = (values - value[:, None]) * (1.0 if higher else -1.0)
    good = lead >= 0
    out = np.where(good.all(axis=1), -np.inf, np.inf)
    # As good as the smallest budget is not beyond it.
    out[good.all(axis=1) & (lead[:, 0] == 0)] = unique[0]
    rows = np.flatnonzero(good[:, -1] & ~good.all(axis=1))
    last = lead.shape[1] - 1 - np.argmax(~good[rows, ::-1], axis=1)
    before, after = lead[rows, last], lead[rows, last + 1]
    logs = np.log(unique)
    share = before / (before - after)
    at = np.exp(logs[last] + share * (logs[last + 1] - logs[last]))
    out[rows] = np.where(after == 0, unique[last + 1], at)  # exp(log) rounds
    return np.asarray(out)
