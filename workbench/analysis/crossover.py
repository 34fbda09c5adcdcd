"""Where diffusion overtakes AR, and stays ahead: the crossovers of a study, with intervals."""

from pathlib import Path
from typing import Any, get_args

import numpy as np

from workbench.analysis import intervals as uncertainty
from workbench.analysis.crossing import Crossing, Definition, compare_curves, crossing_places
from workbench.analysis.curves import Floats, load_curves, require_axis
from workbench.analysis.pairing import (
    Pair,
    Side,
    compared_pairs,
    make_pairs,
    mean_curve,
    seed_pairs,
)
from workbench.errors import InputError
from workbench.messages import pretty, suggestion
from workbench.metrics import higher_is_better

__all__ = [
    "Crossing",
    "Definition",
    "Pair",
    "bound_note",
    "compare_curves",
    "crossing_places",
    "crossovers",
    "make_pairs",
    "mean_curve",
    "table_row",
]


def crossovers(
    results: Path,
    study: str,
    metric: str,
    axis: str,
    baseline: Side | None = None,
    challenger: Side | None = None,
    *,
    definition: Definition = "point",
    intervals: bool = True,
) -> list[dict[str, Any]]:
    """Every group's crossover, one row each, with the keys that `--json` prints.

    Several seeds are averaged point by point. The interval is then the t interval over the
    seeds' own crossovers, where all of them crossed; without several seeds it is bootstrapped
    from each curve's scatter (see `analysis.intervals`).

    Args:
        axis: one of `curves.AXES`.
        intervals: whether to work out intervals; if not, `ci95` and `share_crossed` are None.

    Returns:
        "crossover" is None unless "status" is crossed; "lower_bound" is the last place compared
        where it is not_reached, "upper_bound" the first one where it is ahead_throughout. A limit
        of "ci95" is None where it lies outside the measured range. "share_crossed" is the share
        of seeds, or of resamples, that crossed.

    Raises:
        InputError: no such study, metric or axis, runs without that axis, or no two runs make
            a pair.
    """
    if definition not in get_args(Definition):
        definitions = get_args(Definition)
        raise InputError(
            f"no definition {definition}{suggestion(definition, definitions)} "
            f"Definitions: {', '.join(definitions)}."
        )
    loaded = load_curves(results, study, metric)
    sides, pairs = compared_pairs(loaded, baseline, challenger)
    require_axis([curve for pair in pairs for curve in pair.baseline + pair.challenger], axis)
    return [
        {
            "study": study,
            "group": pair.group,
            "metric": metric,
            "axis": axis,
            "definition": definition,
            "baseline": sides[0],
            "challenger": sides[1],
            **_answer(pair, metric, axis, definition, intervals),
        }
        for pair in pairs
    ]


def _answer(
    pair: Pair, metric: str, axis: str, definition: Definition, intervals: bool
) -> dict[str, Any]:
    crossing = compare_curves(
        *mean_curve(pair.baseline, axis),
        *mean_curve(pair.challenger, axis),
        higher_is_better=higher_is_better(metric),
        definition=definition,
    )
    if crossing is None:
        raise InputError(
            f"runs {pair.baseline[0].run_id} and {pair.challenger[0].run_id} have no {axis} in "
            "common yet."
        )
    return {
        "status": crossing.status,
        "crossover": crossing.crossover,
        "first_x": crossing.first_x,
        "last_x": crossing.last_x,
        "lower_bound": crossing.last_x if crossing.status == "not_reached" else None,
        "upper_bound": crossing.first_x if crossing.status == "ahead_throughout" else None,
        **_uncertainty(pair, metric, axis, crossing, definition, intervals),
        "all_crossings": crossing.all_crossings,
        "first_crossing": crossing.first_crossing,
        "estimators": {
            "baseline": pair.baseline[0].estimator,
            "challenger": pair.challenger[0].estimator,
        },
        "seeds": len({curve.seed for curve in pair.baseline}),
        "runs": {
            "baseline": [curve.run_id for curve in pair.baseline],
            "challenger": [curve.run_id for curve in pair.challenger],
        },
        "imported": any(curve.imported for curve in pair.baseline + pair.challenger),
    }


def _uncertainty(
    pair: Pair,
    metric: str,
    axis: str,
    crossing: Crossing,
    definition: Definition,
    wanted: bool,
) -> dict[str, Any]:
    """The interval of a crossover and how it was made, or why there is none."""
    if not wanted:
        return _no_interval("not asked for")
    seeds = seed_pairs(pair)
    if len(seeds) >= 2:
        return _over_seeds(seeds, metric, axis, crossing, definition)
    return _bootstrapped(pair, metric, axis, crossing, definition)


def _no_interval(why: str, share_crossed: float | None = None) -> dict[str, Any]:
    return {**uncertainty.no_interval(why), "share_crossed": share_crossed}


def _over_seeds(
    seeds: list[tuple[Any, Any]], metric: str, axis: str, crossing: Crossing, definition: Definition
) -> dict[str, Any]:
    seed_crossings = [
        compare_curves(
            ours.x[axis],
            ours.y,
            theirs.x[axis],
            theirs.y,
            higher_is_better=higher_is_better(metric),
            definition=definition,
        )
        for ours, theirs in seeds
    ]
    places = [c.crossover for c in seed_crossings if c is not None and c.crossover is not None]
    share = len(places) / len(seeds)
    if len(places) < len(seeds):
        # A seed that did not cross has no place in a mean.
        return _no_interval(f"{len(places)} of {len(seeds)} seeds crossed", share)
    if crossing.status != "crossed":
        return _no_interval("the mean over seeds did not cross", share)
    if min(places) <= 0:
        return _no_interval("a seed crossed at zero, where there is no logarithm", share)
    return {
        "ci95": uncertainty.t_interval(places),
        "ci95_method": f"t interval over {len(seeds)} seeds",
        "ci95_note": None,
        "share_crossed": share,
    }


def _bootstrapped(
    pair: Pair, metric: str, axis: str, crossing: Crossing, definition: Definition
) -> dict[str, Any]:
    smooth = [
        uncertainty.smooth_curve(*mean_curve(side, axis))
        for side in (pair.baseline, pair.challenger)
    ]
    if smooth[0] is None or smooth[1] is None:
        return _no_interval(f"fewer than {uncertainty.MIN_POINTS} points")

    def places(x: Floats, y: Floats, other_x: Floats, other_y: Floats) -> Floats:
        return crossing_places(
            x, y, other_x, other_y, higher_is_better=higher_is_better(metric), definition=definition
        )

    plain, splines = uncertainty.bootstrap(smooth[0], smooth[1], places)
    if np.isnan(plain).any():
        return _no_interval(f"no {axis} above zero in common")
    share = float(np.isfinite(plain).mean())
    if crossing.status != "crossed":
        return _no_interval("no crossover to give an interval of", share)
    interval = uncertainty.percentiles(plain, splines, estimate=crossing.crossover)
    return {
        "ci95": interval,
        "ci95_method": f"block bootstrap of residuals, {uncertainty.RESAMPLES} resamples",
        "ci95_note": _interval_note(interval, pair),
        "share_crossed": share,
    }


def _interval_note(interval: list[float | None], pair: Pair) -> str | None:
    notes = []
    if interval[0] is None:
        notes.append("the lower limit lies before the measured range")
    if interval[1] is None:
        notes.append("the upper limit lies beyond the measured range")
    if any(curve.imported for curve in pair.baseline + pair.challenger):
        notes.append("of imported curves: if they were smoothed, it is too narrow")
    return "; ".join(notes) or None


def bound_note(rows: list[dict[str, Any]]) -> str | None:
    """A note where a bound is compared with an exact likelihood, else None."""
    estimators = [row["estimators"] for row in rows]
    if any(str(pair["challenger"]).startswith("nelbo") and pair["baseline"] for pair in estimators):
        return (
            "diffusion's values come from NELBOs, upper bounds of what AR's NLLs measure: on "
            "losses, the true crossover is no later than this one."
        )
    return None


def table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `crossovers` as table cells: "> " before a lower bound, "< " before an upper."""
    reached = row["crossover"]
    if row["status"] == "not_reached":
        reached = f"> {_short(row['last_x'])}"
    elif row["status"] == "ahead_throughout" and row.get("upper_bound") is not None:
        reached = f"< {_short(row['upper_bound'])}"
    return {
        **row["group"],
        "status": row["status"],
        f"crossover ({row['axis']})": reached,
        "95 % interval": interval_text(row["ci95"]),
        "compared up to": row["last_x"],
    }


def interval_text(interval: list[float | None] | None) -> str | None:
    """An interval in words; a limit outside the measured range is called so."""
    if interval is None:
        return None
    low, high = interval
    if high is None:
        return "not bounded" if low is None else f"{_short(low)} to beyond the measured range"
    if low is None:
        return f"before the measured range to {_short(high)}"
    return f"{_short(low)} to {_short(high)}"


def _short(value: float) -> str:
    return pretty(float(f"{value:.4g}"))
