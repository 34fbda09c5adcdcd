"""How far the challenger is ahead, at the end or at its best, and whether that may be noise."""

import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from workbench.analysis.curves import Curve, Floats, load_curves
from workbench.analysis.pairing import Side, compared_pairs, side_name
from workbench.analysis.table_rows import four_digits, interval_text
from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.metrics import higher_is_better

At = Literal["last", "best"]
_Z95 = 1.959964


def differences(
    results: Path,
    study: str,
    metric: str,
    at: At = "last",
    *,
    estimator: str | None = None,
    baseline: Side | None = None,
    challenger: Side | None = None,
) -> list[dict[str, Any]]:
    """The challenger's mean over seeds minus the baseline's, one row a pair of configurations.

    Args:
        at: each run's last value, or its best, which is the best of noisy points and flatters
            both sides alike.
        estimator: only values whose estimator's name contains this text, such as "questions=2000"
            for what `workbench eval` measured later.

    Returns:
        Rows with "difference" and its "ci95": Welch's t over the seeds' values where both sides
        have two or more; else from the standard errors of the two values, which do not include
        what differs between seeds; None where there are no standard errors. "ahead" is
        "challenger" or "baseline" where the interval does not contain zero, else None.

    Raises:
        InputError: no such study, metric or estimator, or no two runs make a pair.
    """
    if at not in get_args(At):
        raise InputError(
            f"--at {at}{suggestion(at, get_args(At)) or '.'} Known: {', '.join(get_args(At))}."
        )
    loaded = load_curves(results, study, metric, estimator=estimator)
    sides, pairs = compared_pairs(loaded, baseline, challenger)
    return [
        {
            "study": study,
            "group": pair.group,
            "metric": metric,
            "at": at,
            "baseline": sides[0],
            "challenger": sides[1],
            **_difference(pair.baseline, pair.challenger, at, higher_is_better(metric)),
            "estimators": {
                "baseline": pair.baseline[0].estimator,
                "challenger": pair.challenger[0].estimator,
            },
            "runs": {
                "baseline": [curve.run_id for curve in pair.baseline],
                "challenger": [curve.run_id for curve in pair.challenger],
            },
        }
        for pair in pairs
    ]


def _difference(
    baseline: list[Curve], challenger: list[Curve], at: At, higher: bool
) -> dict[str, Any]:
    ours, our_errors = _values(challenger, at, higher)
    theirs, their_errors = _values(baseline, at, higher)
    difference = float(ours.mean() - theirs.mean())
    if len(ours) > 1 and len(theirs) > 1:
        interval = _welch(ours, theirs)
        method = "Welch's t over seeds"
    else:
        interval = _by_errors(difference, our_errors, theirs=their_errors)
        method = "standard errors of the values; seeds are not in it"
    return {
        "baseline_value": float(theirs.mean()),
        "challenger_value": float(ours.mean()),
        "seeds": min(len(ours), len(theirs)),
        "difference": difference,
        "ci95": interval,
        "ci_method": method if interval else None,
        "ahead": _ahead(interval, higher),
    }


def _values(curves: list[Curve], at: At, higher: bool) -> tuple[Floats, Floats]:
    """Each seed's value, with its standard error (NaN where none is stored)."""
    places = [
        -1 if at == "last" else int(np.argmax(curve.y) if higher else np.argmin(curve.y))
        for curve in curves
    ]
    each = list(zip(curves, places, strict=True))
    return np.array([c.y[i] for c, i in each]), np.array([c.stderr[i] for c, i in each])


def _welch(ours: Floats, theirs: Floats) -> list[float] | None:
    from scipy import stats

    if ours.std() == theirs.std() == 0:
        return None  # the same value from every seed does not show their spread
    with warnings.catch_warnings():
        # Seeds of one side may agree to the digit: their variance is then zero, and is used.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return [float(interval.low), float(interval.high)]


def _by_errors(difference: float, ours: Floats, *, theirs: Floats) -> list[float] | None:
    """A normal interval from the values' standard errors: of each side's mean, in quadrature."""
    variance = (ours**2).sum() / len(ours) ** 2 + (theirs**2).sum() / len(theirs) ** 2
    if not np.isfinite(variance) or variance == 0:
        return None
    half = _Z95 * float(np.sqrt(variance))
    return [difference - half, difference + half]


def _ahead(interval: list[float] | None, higher: bool) -> str | None:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return "challenger" if (interval[0] > 0) == higher else "baseline"


def difference_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `differences` as table cells."""
    sides = {side: side_name(row[side]) for side in ("baseline", "challenger")}
    return {
        **row["group"],
        "seeds": row["seeds"],
        f"{row['at']} {row['metric']} of {sides['baseline']}": four_digits(row["baseline_value"]),
        f"of {sides['challenger']}": four_digits(row["challenger_value"]),
        "difference": four_digits(row["difference"]),
        "95 % interval": interval_text(row["ci95"]),
        "ahead": sides[row["ahead"]] if row["ahead"] else "undecided",
    }
