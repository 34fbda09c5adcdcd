"""Where diffusion overtakes AR, and stays ahead.

A crossover is persistent: from there to the last point compared, the challenger is better. It is
found by linear interpolation between the two points around it. Curves that crossed and crossed
back have crossings, but no crossover.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.curves import Curve, Floats, StudyCurves, load_curves
from workbench.errors import InputError
from workbench.metrics import higher_is_better
from workbench.recipe.models import FOREIGN_KEYS, CompareConfig

SEED = "training.seed"


@dataclass(frozen=True)
class Crossing:
    """The comparison of two curves. `last_x` is the last place compared: where the status is
    not_reached, a lower bound of the crossover."""

    status: str
    crossover: float | None
    last_x: float
    all_crossings: list[float]


def compare_curves(
    baseline_x: Floats,
    baseline_y: Floats,
    challenger_x: Floats,
    challenger_y: Floats,
    *,
    higher_is_better: bool,
) -> Crossing | None:
    """Compare two curves over the range that both cover, or None where there is none.

    Args:
        baseline_x, challenger_x: increasing.

    Returns:
        status "crossed", "not_reached" or "ahead_throughout". A tie is not ahead.
    """
    low = max(baseline_x[0], challenger_x[0])
    high = min(baseline_x[-1], challenger_x[-1])
    if low > high:
        return None
    grid = np.union1d(baseline_x, challenger_x)
    grid = grid[(grid >= low) & (grid <= high)]
    # The curves are lines between their points, so the lead is one between grid points.
    lead = np.interp(grid, challenger_x, challenger_y) - np.interp(grid, baseline_x, baseline_y)
    if not higher_is_better:
        lead = -lead
    ahead = lead > 0
    turns = np.flatnonzero(ahead[1:] != ahead[:-1])
    fraction = lead[turns] / (lead[turns] - lead[turns + 1])
    crossings = [float(x) for x in grid[turns] + fraction * (grid[turns + 1] - grid[turns])]
    if ahead.all():
        return Crossing("ahead_throughout", None, float(high), crossings)
    if not ahead[-1]:
        return Crossing("not_reached", None, float(high), crossings)
    return Crossing("crossed", crossings[-1], float(high), crossings)


@dataclass(frozen=True)
class Pair:
    """The runs to compare under one configuration: one curve a seed on each side."""

    group: dict[str, Any]
    baseline: list[Curve]
    challenger: list[Curve]


def crossovers(
    results: Path,
    study: str,
    metric: str,
    axis: str,
    baseline: str | None = None,
    challenger: str | None = None,
) -> list[dict[str, Any]]:
    """Every group's crossover, in the shape of the JSON contract.

    Several seeds are averaged point by point; the interval is then the t interval over the
    seeds' own crossovers, where all of them crossed.

    Raises:
        InputError: no such study or metric, or no two runs of it make a pair.
    """
    loaded = load_curves(results, study, metric)
    compare = CompareConfig.model_validate(loaded.compare)
    sides = (baseline or compare.baseline, challenger or compare.challenger)
    pairs = make_pairs(loaded, *sides, compare.match)
    if not pairs:
        raise InputError(
            f"study {study}: no runs of {_name(sides[0])} and {_name(sides[1])} share all other "
            "keys. [compare] match in the recipe says which keys a pair shares."
        )
    rows = []
    for pair in pairs:
        row = {
            "study": study,
            "group": pair.group,
            "metric": metric,
            "axis": axis,
            "baseline": sides[0],
            "challenger": sides[1],
            **_answer(pair, metric, axis),
        }
        rows.append(row)
    return rows


def _name(side: str | dict[str, Any]) -> str:
    return side if isinstance(side, str) else json.dumps(side)


def make_pairs(
    loaded: StudyCurves,
    baseline: str | dict[str, Any],
    challenger: str | dict[str, Any],
    match: tuple[str, ...] | None = None,
) -> list[Pair]:
    """Group a study's curves into pairs that share every key but what they compare."""
    left, right = _selector(baseline), _selector(challenger)
    compared = set(left) | set(right) | {SEED, "training.objective", "model.size"}
    compared |= {key for keys in FOREIGN_KEYS.values() for key in keys}
    groups: dict[str, tuple[dict[str, Any], list[Curve], list[Curve]]] = {}
    for curve in loaded.curves:
        shared = {
            key: value
            for key, value in curve.keys.items()
            if (key in match if match is not None else key not in compared)
        }
        identity = json.dumps(shared, sort_keys=True, default=str)
        _, ours, theirs = groups.setdefault(identity, (shared, [], []))
        if _selected(curve, left):
            ours.append(curve)
        if _selected(curve, right):
            theirs.append(curve)
    complete = [group for group in groups.values() if group[1] and group[2]]
    differing = _differing([group[0] for group in complete])
    pairs = [
        Pair(_group(shared, differing, ours[0]), ours, theirs) for shared, ours, theirs in complete
    ]
    return sorted(
        pairs, key=lambda p: (p.group["n_params"], p.group["unique_tokens"], str(p.group))
    )


def _selector(side: str | dict[str, Any]) -> dict[str, Any]:
    return {"training.objective": side} if isinstance(side, str) else side


def _selected(curve: Curve, selector: dict[str, Any]) -> bool:
    return all(curve.keys.get(key) == value for key, value in selector.items())


def _differing(groups: list[dict[str, Any]]) -> list[str]:
    keys = {key for group in groups for key in group}
    told = {"data.unique_tokens", "n_params"}
    return sorted(
        key
        for key in keys - told
        if len({json.dumps(group.get(key), default=str) for group in groups}) > 1
    )


def _group(shared: dict[str, Any], differing: list[str], example: Curve) -> dict[str, Any]:
    group = {
        "unique_tokens": example.keys.get("data.unique_tokens"),
        "n_params": example.keys.get("n_params"),
    }
    return group | {key: shared.get(key) for key in differing}


def _answer(pair: Pair, metric: str, axis: str) -> dict[str, Any]:
    better = higher_is_better(metric)
    (x_base, y_base), (x_other, y_other) = (
        mean_curve(side, axis) for side in (pair.baseline, pair.challenger)
    )
    crossing = compare_curves(x_base, y_base, x_other, y_other, higher_is_better=better)
    if crossing is None:
        raise InputError(
            f"runs {pair.baseline[0].run_id} and {pair.challenger[0].run_id} have no {axis} in "
            "common yet."
        )
    return {
        "status": crossing.status,
        "crossover": crossing.crossover,
        "last_x": crossing.last_x,
        "ci95": _interval(pair, axis, better) if crossing.status == "crossed" else None,
        "all_crossings": crossing.all_crossings,
        "estimators": {
            "baseline": pair.baseline[0].estimator,
            "challenger": pair.challenger[0].estimator,
        },
        "seeds": len({curve.keys.get(SEED) for curve in pair.baseline}),
    }


def mean_curve(curves: list[Curve], axis: str) -> tuple[Floats, Floats]:
    """The mean over seeds, at the points that all of them have reached."""
    shortest = min(curves, key=lambda curve: curve.x[axis][-1]).x[axis]
    values = [np.interp(shortest, curve.x[axis], curve.y) for curve in curves]
    return shortest, np.mean(values, axis=0)


def _interval(pair: Pair, axis: str, better: bool) -> list[float] | None:
    """95 % t interval of the mean crossover over seeds, or None where seeds cannot tell."""
    by_seed = {curve.keys.get(SEED): curve for curve in pair.challenger}
    found = []
    for curve in pair.baseline:
        other = by_seed.get(curve.keys.get(SEED))
        if other is None:
            continue
        one = compare_curves(
            curve.x[axis], curve.y, other.x[axis], other.y, higher_is_better=better
        )
        if one is None or one.crossover is None:
            return None  # a seed that did not cross has no place in a mean
        found.append(one.crossover)
    if len(found) < 2:
        return None
    from scipy import stats

    half = stats.t.ppf(0.975, len(found) - 1) * np.std(found, ddof=1) / np.sqrt(len(found))
    return [float(np.mean(found) - half), float(np.mean(found) + half)]


def bound_note(rows: list[dict[str, Any]]) -> str | None:
    """What has to be said where a bound is compared with an exact likelihood."""
    estimators = [row["estimators"] for row in rows]
    if any(str(one["challenger"]).startswith("nelbo") and one["baseline"] for one in estimators):
        return (
            "diffusion's values come from NELBOs, upper bounds of what AR's NLLs measure: on "
            "losses, the true crossover is no later than this one."
        )
    return None


def table_row(row: dict[str, Any]) -> dict[str, Any]:
    """A crossover for people: the group's keys as columns, a bound called a bound."""
    reached = row["crossover"]
    if row["status"] == "not_reached":
        reached = f"> {row['last_x']:,.4g}"
    interval = row["ci95"]
    return {
        **row["group"],
        "status": row["status"],
        f"crossover ({row['axis']})": reached,
        "95 % interval": f"{interval[0]:,.4g} to {interval[1]:,.4g}" if interval else None,
        "compared up to": row["last_x"],
    }
