"""Where one curve overtakes another, and stays ahead: for a pair, or for many at once.

A crossover is persistent: from there to the last point compared, the challenger is better. It is
located by linear interpolation between the two points around it. Curves that crossed and crossed
back have crossings, but no crossover.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.analysis.curves import Floats

Definition = Literal["band", "point", "best_so_far"]
"""What the challenger has to beat: the baseline in the mean over seeds, noise smoothed away and
with a band of its uncertainty (`analysis.band`); the baseline point by point; or the best that the
baseline has been so far, as someone gets who stops training in time."""


@dataclass(frozen=True)
class Crossing:
    """The comparison of two curves, from `first_x` to `last_x`: where the status is not_reached,
    `last_x` is a lower bound of the crossover; where it is ahead_throughout, `first_x` is an
    upper bound."""

    status: str
    crossover: float | None
    first_x: float
    last_x: float
    all_crossings: list[float]
    first_crossing: float | None
    """Where the challenger gets ahead for the first time, to stay or not."""


def compare_curves(
    baseline_x: Floats,
    baseline_y: Floats,
    challenger_x: Floats,
    challenger_y: Floats,
    *,
    higher_is_better: bool,
    definition: Definition = "point",
) -> Crossing | None:
    """Compare two curves over the range that both cover, or None where there is none.

    Args:
        baseline_x, challenger_x: increasing.
        definition: with best_so_far, the baseline's points before the common range count too.

    Returns:
        status "crossed", "not_reached" or "ahead_throughout". A tie is not ahead.
    """
    places_and_lead = _lead(
        baseline_x,
        baseline_y[None],
        challenger_x,
        challenger_y[None],
        higher_is_better,
        definition,
    )
    if places_and_lead is None:
        return None
    x, lead = places_and_lead[0][0], places_and_lead[1][0]
    ahead = lead > 0
    turns = np.flatnonzero(ahead[1:] != ahead[:-1])
    crossings = [float(place) for place in _between(x, lead, turns)]
    upward = [place for turn, place in zip(turns, crossings, strict=True) if ahead[turn + 1]]
    status = "ahead_throughout" if ahead.all() else "crossed" if ahead[-1] else "not_reached"
    return Crossing(
        status=status,
        crossover=crossings[-1] if status == "crossed" else None,
        first_x=float(x[0]),
        last_x=float(x[-1]),
        all_crossings=crossings,
        first_crossing=upward[0] if upward else None,
    )


def _lead(
    baseline_x: Floats,
    baseline_y: Floats,
    challenger_x: Floats,
    challenger_y: Floats,
    higher: bool,
    definition: Definition,
) -> tuple[Floats, Floats] | None:
    """Places and the challenger's lead there, (rows, places), for values (rows, points)."""
    low = max(baseline_x[0], challenger_x[0])
    high = min(baseline_x[-1], challenger_x[-1])
    if low > high:
        return None
    sign = -1.0 if higher else 1.0
    grid = np.union1d(baseline_x, challenger_x)
    grid = grid[(grid >= baseline_x[0]) & (grid <= high)]
    # The curves are lines between their points, so the lead is one between grid points.
    base = sign * _interpolated(grid, baseline_x, baseline_y)
    other = sign * _interpolated(grid, challenger_x, challenger_y)
    start = int(np.searchsorted(grid, low))
    if definition == "point":
        x = np.broadcast_to(grid, base.shape)
        return x[:, start:], (base - other)[:, start:]
    best = np.minimum.accumulate(base, axis=1)
    # Where a line passes its earlier best, the best so far has a corner between two grid points:
    # each gap gets one point for it. In gaps without a corner, that point repeats the previous one.
    left, right, level = base[:, :-1], base[:, 1:], best[:, :-1]
    passes = (right < level) & (level < left)
    share = np.where(passes, (left - level) / np.where(passes, left - right, 1.0), 0.0)
    x = _interleaved(np.broadcast_to(grid, base.shape), grid[:-1] + share * np.diff(grid))
    other = _interleaved(other, other[:, :-1] + share * np.diff(other, axis=1))
    lead = _interleaved(best, level) - other
    return x[:, 2 * start :], lead[:, 2 * start :]


def _interleaved(points: Floats, between: Floats) -> Floats:
    result = np.empty((points.shape[0], points.shape[1] + between.shape[1]))
    result[:, 0::2], result[:, 1::2] = points, between
    return result


def _interpolated(grid: Floats, x: Floats, y: Floats) -> Floats:
    """`np.interp` for rows of values."""
    left = np.clip(np.searchsorted(x, grid, side="right") - 1, 0, None)
    right = np.minimum(left + 1, len(x) - 1)
    gap = x[right] - x[left]
    share = np.where(gap > 0, (grid - x[left]) / np.where(gap > 0, gap, 1.0), 0.0)
    share = np.clip(share, 0.0, 1.0)
    return np.asarray(y[:, left] + share * (y[:, right] - y[:, left]))


def _between(x: Floats, lead: Floats, turns: Any) -> Floats:
    fraction = lead[turns] / (lead[turns] - lead[turns + 1])
    return np.asarray(x[turns] + fraction * (x[turns + 1] - x[turns]))


def crossing_places(
    baseline_x: Floats,
    baseline_y: Floats,
    challenger_x: Floats,
    challenger_y: Floats,
    *,
    higher_is_better: bool,
    definition: Definition = "point",
) -> Floats:
    """The crossovers of many pairs of curves on the same places: values are (rows, points).

    Returns:
        One place a row: inf where it is not reached, -inf where the challenger is ahead
        throughout, NaN where the curves have no place in common.
    """
    places_and_lead = _lead(
        baseline_x, baseline_y, challenger_x, challenger_y, higher_is_better, definition
    )
    if places_and_lead is None:
        return np.full(len(baseline_y), np.nan)
    x, lead = places_and_lead
    behind = lead <= 0
    last = lead.shape[1] - 1 - np.argmax(behind[:, ::-1], axis=1)
    places = np.where(behind.any(axis=1), np.inf, -np.inf)
    rows = np.flatnonzero(behind.any(axis=1) & ~behind[:, -1])
    turns = last[rows]
    before, after = lead[rows, turns], lead[rows, turns + 1]
    fraction = before / (before - after)
    places[rows] = x[rows, turns] + fraction * (x[rows, turns + 1] - x[rows, turns])
    return np.asarray(places)
