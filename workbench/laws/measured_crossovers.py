"""Crossovers as they were measured: censored points of the compute at which diffusion overtakes AR.

Every pair of curves is read twice, point by point and against the best that AR has been so far: how
far the two readings lie from each other is part of what is known. Compute is 6 N D up to the
crossover. A pair that has not crossed gives a lower bound, one that is ahead throughout an upper
one. All studies of a results folder are read, imported ones too, and the studies that the workbench
ships: the published curves always, its own small ones where the folder has nothing near them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np

from workbench.analysis.crossing import Crossing, Definition, compare_curves
from workbench.analysis.curves import Floats, load_curves
from workbench.analysis.pairing import Pair, compared_pairs, finished_runs, mean_curve
from workbench.errors import InputError
from workbench.importing.reference import NAME
from workbench.metrics import higher_is_better, unit
from workbench.recipe.objectives import BASELINE
from workbench.store import database_path, query
from workbench.store.parquet.layout import is_dataset
from workbench.store.query import open_once
from workbench.store.shipped import shipped_studies

READINGS = tuple(name for name in get_args(Definition) if name != "band")
"""A band needs the values of single documents; its estimate lies near the one point by point."""

NEAR = 10.0
"""Of unique tokens: over a decade, the exponents that were measured (0.9 to 2.6) differ by a factor
of 50, more than readings at one place do."""


@dataclass(frozen=True)
class MeasuredCrossover:
    """One reading of one pair of curves."""

    study: str
    metric: str
    definition: str
    curve: tuple[Any, ...]
    """Equal for the readings of one pair of curves."""
    unique_tokens: float
    n_params: float
    status: str
    """crossed, not_reached or ahead_throughout."""
    compute: float
    """6 N D (FLOPs) at the crossover, or at the bound of it."""
    first_tokens: float
    last_tokens: float
    """Where the comparison of both sides begins and ends."""
    baseline_best_epochs: float | None
    """Where AR's mean curve was best, if it has become worse since; None where its last point is
    the best, or nearly (0.1 %)."""


def measured_crossovers(results: Path, metric: str = "val_loss") -> list[MeasuredCrossover]:
    """All crossovers of AR with another objective, in a results folder and in what ships.

    Args:
        results: a results folder or a dataset; one without a store has none.
        metric: the one that is asked about. Accuracies and `val_loss` are read as well.
    """
    own = list(_of_store(results, metric)) if _has_store(results) else []
    seen = {_place(point) for point in own}
    return [
        *own,
        *(
            point
            for point in _shipped(metric)
            if _place(point) not in seen
            and (point.study == NAME or not measured_near(own, point.unique_tokens))
        ),
    ]


def measured_near(points: Iterable[MeasuredCrossover], unique: float) -> list[MeasuredCrossover]:
    """The crossovers measured within a factor of `NEAR` of so many unique tokens."""
    limit = np.log(NEAR) + 1e-9
    return [p for p in points if abs(np.log(p.unique_tokens / unique)) <= limit]


def _has_store(results: Path) -> bool:
    return is_dataset(results) or database_path(results).exists()


def _place(point: MeasuredCrossover) -> tuple[Any, ...]:
    """Equal for shipped curves and the same ones imported."""
    numbers = (point.unique_tokens, point.n_params, point.compute)
    return (point.metric, point.definition, *(f"{number:.6e}" for number in numbers))


def _of_store(results: Path, metric: str) -> Iterable[MeasuredCrossover]:
    frame = query(
        results,
        """SELECT DISTINCT study, metric FROM metrics JOIN study_runs USING (run_id)
           WHERE study NOT IN (  -- what a study of ensembles has beside them is in others too
               SELECT study FROM study_runs JOIN runs USING (run_id)
               WHERE imported AND protocol IS NOT NULL)
           ORDER BY study, metric""",
    )
    seen = set()
    for study, name in frame.iter_rows():
        if name not in (metric, "val_loss") and not _is_accuracy(name):
            continue
        for pair in _pairs(results, study, name):
            ids = [run.run_id for run in [*pair.baseline, *pair.challenger]]
            curve = (name, *sorted(ids))
            if curve not in seen:  # studies share runs
                seen.add(curve)
                sides = mean_curve(pair.baseline, "tokens"), mean_curve(pair.challenger, "tokens")
                unique, size = pair.group["unique_tokens"], pair.group["n_params"]
                yield from _readings(study, name, curve, unique, size, *sides)


def _is_accuracy(metric: str) -> bool:
    return unit(metric) == "fraction" and higher_is_better(metric)


def _pairs(results: Path, study: str, metric: str) -> Iterable[Pair]:
    """The pairs of AR with another objective whose data and size are known."""
    try:
        pairs = compared_pairs(load_curves(results, study, metric))[1]
    except InputError:  # nothing to compare in this study
        return
    for pair in pairs:
        one_each = [
            {curve.keys.get("training.objective") for curve in side}
            for side in (pair.baseline, pair.challenger)
        ]
        known = pair.group["unique_tokens"] and pair.group["n_params"]
        if known and one_each[0] == {BASELINE} and BASELINE not in one_each[1]:
            yield finished_runs(pair)[0]


def _readings(
    study: str,
    metric: str,
    curve: tuple[Any, ...],
    unique: float,
    n_params: float,
    baseline: tuple[Floats, Floats],
    challenger: tuple[Floats, Floats],
) -> Iterable[MeasuredCrossover]:
    """Both readings of two curves: (tokens, values) of each side."""
    higher = higher_is_better(metric)
    turned = _turned(*baseline, higher)
    for definition in READINGS:
        crossing = compare_curves(
            *baseline, *challenger, higher_is_better=higher, definition=definition
        )
        if crossing is None or not (tokens := _tokens(crossing)):
            continue
        yield MeasuredCrossover(
            study=study,
            metric=metric,
            definition=definition,
            curve=curve,
            unique_tokens=float(unique),
            n_params=float(n_params),
            status=crossing.status,
            compute=6.0 * n_params * tokens,
            first_tokens=crossing.first_x,
            last_tokens=crossing.last_x,
            baseline_best_epochs=None if turned is None else turned / unique,
        )


def _tokens(crossing: Crossing) -> float:
    bound = {"not_reached": crossing.last_x, "ahead_throughout": crossing.first_x}
    return bound[crossing.status] if crossing.crossover is None else crossing.crossover


def _turned(tokens: Floats, values: Floats, higher: bool) -> float | None:
    """The tokens of the best value, where a curve has since become worse by 0.1 %."""
    signed = -values if higher else values
    best = int(np.argmin(signed))
    worse = signed[-1] - signed[best] > 1e-3 * abs(signed[best])
    return float(tokens[best]) if worse else None


@lru_cache(maxsize=4)
def _shipped(metric: str) -> tuple[MeasuredCrossover, ...]:
    """Those of the studies that ship, the published curves among them."""
    with open_once(shipped_studies()):
        return tuple(_of_store(shipped_studies(), metric))


def text_of(points: list[MeasuredCrossover]) -> str:
    """How many there are, and of which studies."""
    crossed = sum(point.status == "crossed" for point in points)
    studies = sorted({point.study for point in points})
    named = ", ".join(studies[:3]) + (f" and {len(studies) - 3} more" if studies[3:] else "")
    return (
        f"{len({point.curve for point in points})} pairs of curves of {named}: {crossed} readings "
        f"crossed, {len(points) - crossed} bounds"
    )


def nearest_readings(points: list[MeasuredCrossover], unique: float) -> tuple[dict[str, Any], ...]:
    """What was measured at the U nearest to `unique`, for each metric and definition: the least
    and the greatest compute of those that crossed, and the greatest lower bound; None where there
    is none."""
    nearest = min(abs(np.log(point.unique_tokens / unique)) for point in points)
    groups: dict[tuple[float, str, str], list[MeasuredCrossover]] = {}
    for point in points:
        if abs(np.log(point.unique_tokens / unique)) <= nearest + 1e-9:
            key = (point.unique_tokens, point.metric, point.definition)
            groups.setdefault(key, []).append(point)
    rows = []
    for (where, metric, definition), group in sorted(groups.items()):
        places = [point.compute for point in group if point.status == "crossed"]
        bounds = [point.compute for point in group if point.status == "not_reached"]
        rows.append(
            {
                "unique_tokens": where,
                "metric": metric,
                "definition": definition,
                "low": min(places, default=None),
                "high": max(places, default=None),
                "lower_bound": max(bounds, default=None),
            }
        )
    return tuple(rows)


def ranges_of(points: list[MeasuredCrossover]) -> dict[str, tuple[float, float]]:
    """The least and the greatest unique tokens, parameters, epochs and compute compared."""
    tokens = [(point, end) for point in points for end in (point.first_tokens, point.last_tokens)]
    columns = {
        "unique_tokens": [point.unique_tokens for point in points],
        "n_params": [point.n_params for point in points],
        "epochs": [end / point.unique_tokens for point, end in tokens],
        "compute": [6 * point.n_params * end for point, end in tokens],
    }
    return {name: (float(min(values)), float(max(values))) for name, values in columns.items()}
