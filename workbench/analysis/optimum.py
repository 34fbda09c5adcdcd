"""The best place of a grid: its lowest value, and the vertex of the parabola through the three
values around it.

A quadratic in the logarithm of what is tuned is how best learning rates, batch sizes and sizes are
read off grids (Hoffmann et al. 2022, arXiv 2203.15556, approach 2; Bi et al. 2024, arXiv
2401.02954, section 3.1; Li et al. 2025, arXiv 2503.04715). Three values around the lowest leave no
room for the shape that curves have far from it: a rate that is much too high diverges.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.analysis.crossed import CrossedMean, Over
from workbench.analysis.crossed_interval import known_over, method_text
from workbench.analysis.curves import Floats
from workbench.analysis.intervals import RANDOM_SEED, RESAMPLES

Bound = Literal["lower", "upper"]


@dataclass(frozen=True)
class Optimum:
    """Where a grid is best, all places in the logarithm of what is tuned."""

    places: Floats
    """The grid, increasing."""
    best: int
    """Which of them has the lowest value."""
    vertex: float | None
    """None where the lowest value is at an edge."""
    lowest: float | None
    """The parabola's value there."""
    bound: Bound | None
    """On which side of the grid's inside the best place lies, if the lowest value is at an edge:
    "lower" where it is the greatest place, and the second greatest is a lower bound."""
    draws: Floats | None
    """(resamples,): the vertices of resampled means, -inf and inf where an edge is lowest; None
    where nothing is known of the spread over seeds or documents."""
    over: Over | None
    """What the resampled means run over."""
    method: str | None

    @property
    def ranges(self) -> tuple[Floats, Floats] | None:
        """The least and the greatest place that each draw allows. Of one whose lowest place is at
        an edge no more is known than that its vertex lies beyond the edge's neighbour."""
        if self.draws is None:
            return None
        least = np.where(np.isposinf(self.draws), self.places[-2], self.draws)
        return least, np.where(np.isneginf(self.draws), self.places[1], self.draws)


def find_optimum(x: Floats, mean: CrossedMean, over: Over) -> Optimum:
    """The best place of a grid.

    The resampled means are drawn from a multivariate t distribution with the covariance over seeds
    and documents, so that what moves all places alike moves no vertex; each draw chooses its lowest
    place anew. Of the spreads over both, over seeds alone and over documents alone, the one counts
    that is widest in what decides the place: the parabola's slope at its vertex, or at an edge the
    difference to the place next best. Few seeds that happen to lie together so make no interval
    narrow.

    Args:
        x: (places,), increasing.
        mean: of the values at these places; lower is better.
    """
    vertex, best = _vertices(x, mean.value[None])
    inside = bool(np.isfinite(vertex[0]))
    bound: Bound | None = None if inside else "lower" if vertex[0] > 0 else "upper"
    draws = method = None
    known = known_over(mean, over)
    if known is not None:
        deciding = _slope(x, float(vertex[0]), int(best[0])) if inside else _rival(mean, best[0])
        one, dof = _widest(mean.through(deciding[None]), known)
        draws = _vertices(x, _resampled(mean, one, dof))[0]
        method = method_text(mean, known, dof).replace("t interval", f"{RESAMPLES:,} resamples", 1)
    return Optimum(
        places=x,
        best=int(best[0]),
        vertex=float(vertex[0]) if inside else None,
        lowest=_parabola_at(float(vertex[0]), x, mean.value, int(best[0])) if inside else None,
        bound=bound,
        draws=draws,
        over=known,
        method=method,
    )


def contrasts(mean: CrossedMean, to: int) -> CrossedMean:
    """Every place's mean less that of one place, with what both have in common taken out."""
    operator = np.eye(len(mean.value))
    operator[:, to] -= 1
    return mean.through(operator)


def _vertices(x: Floats, rows: Floats) -> tuple[Floats, np.ndarray]:
    """The vertex around the lowest place of each row (rows, places): -inf where the first place is
    lowest, inf where the last one is; and that place."""
    best = rows.argmin(axis=1)
    vertex = np.where(best == 0, -np.inf, np.inf)
    at = np.flatnonzero((best > 0) & (best < len(x) - 1))
    place = best[at]
    left, right = x[place - 1] - x[place], x[place + 1] - x[place]
    up_left, up_right = (rows[at, place + side] - rows[at, place] for side in (-1, 1))
    slope = up_left * right**2 - up_right * left**2
    curvature = up_right * left - up_left * right  # both times left right (right - left)
    # The first of equal lowest is the best, so that its left neighbour is higher: no division by 0.
    vertex[at] = x[place] - slope / (2 * curvature)
    return vertex, best


def _parabola_at(at: float, x: Floats, y: Floats, middle: int) -> float:
    three = slice(middle - 1, middle + 2)
    return float(np.polyval(np.polyfit(x[three] - x[middle], y[three], 2), at - x[middle]))


def _slope(x: Floats, at: float, best: int) -> Floats:
    """What the parabola's slope at a place is made of: weights of the values (places,)."""
    weights = np.zeros(len(x))
    three = range(best - 1, best + 2)
    for one in three:
        first, second = (x[other] for other in three if other != one)
        weights[one] = (2 * at - first - second) / ((x[one] - first) * (x[one] - second))
    return weights


def _rival(mean: CrossedMean, best: int) -> Floats:
    """The weights of the difference between the place next best and the best."""
    weights = np.zeros(len(mean.value))
    weights[np.argsort(mean.value, kind="stable")[1]], weights[best] = 1.0, -1.0
    return weights


def _widest(difference: CrossedMean, known: Over) -> tuple[Over, float]:
    """The spread that gives a difference its widest interval, and its degrees of freedom."""
    parts: list[Over] = ["seeds", "documents"] if known == "seeds+documents" else []
    halves = {one: difference.half_width(one) for one in (*parts, known)}
    one = max(halves, key=lambda name: float(halves[name][0][0]))
    return one, float(halves[one][1][0])


def _resampled(mean: CrossedMean, over: Over, dof: float) -> Floats:
    """(resamples, places)"""
    rng = np.random.default_rng(RANDOM_SEED)
    values, vectors = np.linalg.eigh(mean.covariance(over))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = rng.standard_normal((RESAMPLES, len(values))) @ root.T
    heavy = np.sqrt(dof / rng.chisquare(dof, RESAMPLES)) if np.isfinite(dof) else 1.0
    return np.asarray(mean.value + normal * np.reshape(heavy, (-1, 1)))
