"""Intervals of crossovers read off point by point: over seeds, or from a curve's scatter."""

from typing import Any

import numpy as np

from workbench.analysis import intervals as uncertainty
from workbench.analysis.crossed import Over
from workbench.analysis.crossed_interval import as_asked
from workbench.analysis.crossing import Crossing, Definition, compare_curves, crossing_places
from workbench.analysis.curves import Floats
from workbench.analysis.pairing import Pair, mean_curve, seed_pairs
from workbench.analysis.texts import texts_of
from workbench.metrics import higher_is_better


def point_interval(
    pair: Pair,
    metric: str,
    axis: str,
    crossing: Crossing,
    definition: Definition,
    wanted: bool,
    over: Over,
) -> dict[str, Any]:
    """The interval of a crossover, how it was made and over what, or why there is none."""
    if not wanted:
        return _no_interval("not asked for") | {"over": None, "over_asked": over}
    seeds = seed_pairs(pair)
    if len(seeds) >= 2:
        return as_asked(_over_seeds(seeds, metric, axis, crossing, definition), over, "seeds")
    return as_asked(_bootstrapped(pair, metric, axis, crossing, definition), over, None)


def _no_interval(why: str, share_crossed: float | None = None) -> dict[str, Any]:
    return {**uncertainty.no_interval(why), "share_crossed": share_crossed}


def seed_crossings(
    seeds: list[tuple[Any, Any]], metric: str, axis: str, definition: Definition
) -> list[Crossing | None]:
    return [
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


def _over_seeds(
    seeds: list[tuple[Any, Any]], metric: str, axis: str, crossing: Crossing, definition: Definition
) -> dict[str, Any]:
    own = seed_crossings(seeds, metric, axis, definition)
    places = [c.crossover for c in own if c is not None and c.crossover is not None]
    share = len(places) / len(seeds)
    if len(places) < len(seeds):
        # A seed that did not cross has no place in a mean.
        return _no_interval(f"{len(places)} of {len(seeds)} seeds crossed", share)
    if crossing.status != "crossed":
        return _no_interval("the mean over seeds did not cross", share)
    if min(places) <= 0:
        return _no_interval("a seed crossed at zero, where there is no logarithm", share)
    texts = texts_of([ours for ours, _ in seeds])
    return uncertainty.interval_over_seeds(places, texts) | {"share_crossed": share}


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
