"""How sure a fit is: bootstrap intervals, profile likelihoods, the weight of single rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from workbench.laws.fitting.clusters import (
    Clusters,
    interval_ends,
    resample_counts,
    resampled,
)
from workbench.laws.fitting.minimise import minimise
from workbench.laws.fitting.problem import Problem
from workbench.laws.law import Floats

EDGE = 1e-6  # of a range: an estimate so near to its end is at its end
_PROFILE_ITERATIONS = 60  # of each pass over a profile's grid
RESAMPLED_ROWS = 2_000_000  # rows times resamples that a bootstrap may cost


@dataclass(frozen=True)
class Spread:
    """Estimates of resamples: theta (B, q), and how they were made."""

    theta: Floats
    method: str
    clusters: Clusters | None = None


def bootstrap(
    problem: Problem, minima: Floats, resamples: int, seed: int, clusters: Clusters | None = None
) -> Spread | None:
    """Refit to resampled rows, each from every known minimum.

    Rows, or whole clusters of them, are drawn with replacement, within each objective. Tables too
    large for 200 resamples get draws from the sandwich covariance instead, which agrees with the
    bootstrap there.

    Args:
        minima: (m, q), where to begin.
    """
    affordable = min(resamples, RESAMPLED_ROWS // problem.n)
    if resamples < 1 or not problem.free.any():
        return None
    rng = np.random.default_rng(seed)
    if affordable < min(200, resamples):
        return _sandwich(problem, minima[0], resamples, rng, clusters)
    counts = resample_counts(rng, affordable, problem.group, clusters)
    best: Floats | None = None
    value = np.full(affordable, np.inf)
    for start in minima:
        refit = minimise(problem, np.tile(start, (affordable, 1)), counts=counts)
        if best is None:
            best, value = refit.theta, refit.objective
            continue
        better = refit.objective < value
        best[better] = refit.theta[better]
        value = np.minimum(value, refit.objective)
    assert best is not None
    return Spread(best, resampled(clusters, affordable), clusters)


def _sandwich(
    problem: Problem,
    theta: Floats,
    draws: int,
    rng: np.random.Generator,
    clusters: Clusters | None,
) -> Spread | None:
    free = np.flatnonzero(problem.free)
    r = problem.residuals(theta[None])[0]
    step = 1e-5
    jacobian = np.stack([_slope(problem, theta, int(j), step) for j in free], axis=1)
    psi = np.clip(r, -problem.delta, problem.delta)
    width = 0.3 * np.median(np.abs(r)) + problem.delta
    rise = [np.clip(r + s, -problem.delta, problem.delta).mean() for s in (width, -width)]
    bread = jacobian.T @ jacobian * (rise[0] - rise[1]) / (2 * width)
    try:
        inverse = np.linalg.inv(bread)
    except np.linalg.LinAlgError:
        return None
    scores = jacobian * psi[:, None]
    if clusters is not None:
        summed = np.zeros((clusters.count, len(free)))
        np.add.at(summed, clusters.label, scores)
        scores = summed
    meat = scores.T @ scores
    result = np.tile(theta, (draws, 1))
    result[:, free] = rng.multivariate_normal(theta[free], inverse @ meat @ inverse, size=draws)
    method = "sandwich covariance, normal" + (f", {clusters}" if clusters else "")
    return Spread(np.clip(result, problem.low, problem.high), method, clusters)


def _slope(problem: Problem, theta: Floats, j: int, step: float) -> Floats:
    """Derivative of the residuals (n,) in one parameter."""
    moved = np.tile(theta, (2, 1))
    moved[0, j] += step
    moved[1, j] -= step
    ahead, behind = problem.residuals(moved)
    return (ahead - behind) / (2 * step)


def interval(
    problem: Problem, j: int, theta: Floats, spread: Spread
) -> tuple[float | None, float | None]:
    """95 % interval of parameter j (internal); None on a side that reaches the end of the range.

    Args:
        theta: the estimate (q,).
    """
    low, high = interval_ends(spread.theta[:, j], float(theta[j]), spread.clusters)
    margin = EDGE * (problem.high[j] - problem.low[j])
    return (
        None if low <= problem.low[j] + margin else float(low),
        None if high >= problem.high[j] - margin else float(high),
    )


@dataclass(frozen=True)
class Profile:
    """The objective, minimised over all other parameters, along one (internal values).

    `identified`: it rises above `threshold` (95 % likelihood) on both sides within the range.
    """

    name: str
    values: Floats
    objective: Floats
    threshold: float
    identified: bool


def profiles(problem: Problem, minima: Floats, objective: float) -> list[Profile]:
    """A profile of each free parameter over its whole range."""
    threshold = likelihood_threshold(objective, problem.n, int(problem.free.sum()), problem.delta)
    free = [int(j) for j in np.flatnonzero(problem.free)]
    if not free:
        return []
    grids = [_grid(problem, j, minima) for j in free]
    # All at once: what a step costs hardly depends on how many starts take it.
    values = np.split(
        _along(problem, free, grids, minima, coarse_above=3 * threshold - 2 * objective),
        np.cumsum([len(grid) for grid in grids])[:-1],
    )
    results = []
    for j, grid, value in zip(free, grids, values, strict=True):
        centre = int(np.argmin(np.abs(grid - minima[0, j])))
        rises = (value[:centre] > threshold).any() and (value[centre + 1 :] > threshold).any()
        results.append(Profile(problem.names[j], grid, value, threshold, bool(rises)))
    return results


def _grid(problem: Problem, j: int, minima: Floats) -> Floats:
    """Values at which parameter j is fixed: the minima, and ever further from the best one."""
    best = minima[0, j]
    reach = np.geomspace(1e-3, 1.0, 11)
    below = best - (best - problem.low[j]) * reach[::-1]
    above = best + (problem.high[j] - best) * reach
    return np.unique(np.concatenate([below, [best], above, minima[:, j]]))


def _along(
    problem: Problem, free: list[int], grids: list[Floats], minima: Floats, *, coarse_above: float
) -> Floats:
    """The objective with parameter free[i] fixed at each of grids[i], all grids in one array."""
    parameter = np.repeat(free, [len(grid) for grid in grids])
    rows, n = np.arange(len(parameter)), len(parameter)
    low = np.tile(problem.low, (n, 1))
    high = np.tile(problem.high, (n, 1))
    low[rows, parameter] = high[rows, parameter] = np.concatenate(grids)
    theta = np.tile(minima[0], (n, 1))
    value = np.full(n, np.inf)
    improved = np.zeros(n, dtype=int)  # the sweep that last did

    def sweep(number: int, places: NDArray[np.intp], start: Floats) -> None:
        ends = minimise(
            problem, start, low=low[places], high=high[places],
            max_iterations=_PROFILE_ITERATIONS, coarse_above=coarse_above,
        )  # fmt: skip
        better = ends.objective < value[places]
        theta[places[better]] = ends.theta[better]
        value[places[better]] = ends.objective[better]
        improved[places[better]] = number

    for number, minimum in enumerate(minima):
        sweep(number, rows, np.tile(minimum, (n, 1)))
    # Then from the neighbours' solutions: far from the minimum another valley may be lower.
    for number in range(len(minima), len(minima) + 4):
        neighbour = np.clip(rows + (1 if number % 2 else -1), 0, n - 1)
        neighbour = np.where(parameter[neighbour] == parameter, neighbour, rows)
        # A solution that has not moved since it was last a start leads to nothing new.
        moved = improved[neighbour] >= number - 2
        places = np.flatnonzero(moved | (number < len(minima) + 2))
        if len(places):
            sweep(number, places, theta[neighbour[places]])
    return value


def likelihood_threshold(objective: float, n: int, q: int, delta: float) -> float:
    """The objective at which a parameter's 95 % profile interval ends.

    The Huber objective is the negative log-likelihood, up to a scale kappa, of residuals with
    density exp(-kappa huber(r)) / Z(kappa): normal for large delta, Laplace for small. kappa
    is profiled out, and chi-square's quantile is corrected for n - q degrees of freedom as in
    the normal case.
    """
    freedom = max(n - q, 1)
    allowed = n * np.log1p(stats.t.ppf(0.975, freedom) ** 2 / freedom) / 2
    floor = n * delta**2 * 1e-9  # a perfect fit still has rounding errors
    objective = max(objective, floor)
    best = _log_likelihood(objective, n, delta)

    def excess(log_value: float) -> float:
        return best - _log_likelihood(float(np.exp(log_value)), n, delta) - allowed

    start = np.log(objective)
    end = start + 1.0
    while excess(end) < 0 and end < start + 60:
        end += 1.0
    return float(np.exp(optimize.brentq(excess, start, end)))


def _log_likelihood(objective: float, n: int, delta: float) -> float:
    """max over kappa of -n log Z(kappa) - kappa * objective."""

    def negative(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        middle = 0.5 * np.log(2 * np.pi / kappa) + np.log(special.erf(delta * np.sqrt(kappa / 2)))
        tails = np.log(2 / (kappa * delta)) - kappa * delta**2 / 2
        return float(n * np.logaddexp(middle, tails) + kappa * objective)

    centre = np.log(n / objective)  # Laplace's kappa; the normal one is half of it
    return -float(
        optimize.minimize_scalar(negative, bounds=(centre - 6, centre + 6), method="bounded").fun
    )


@dataclass(frozen=True)
class Influence:
    """A row, and the parameter that moves most when it is left out, in widths of that
    parameter's 95 % interval."""

    row: int
    parameter: str
    shift: float


def leave_one_out(
    problem: Problem, theta: Floats, widths: Floats, limit: int = 2000
) -> list[Influence] | None:
    """The most influential rows, or None for tables of more than `limit` rows."""
    free = np.flatnonzero(problem.free & (widths > 0))
    if problem.n > limit or not len(free):
        return None
    counts = np.ones((problem.n, problem.n)) - np.eye(problem.n)
    refits = minimise(problem, np.tile(theta, (problem.n, 1)), counts=counts)
    shift: NDArray[np.float64] = (refits.theta[:, free] - theta[free]) / widths[free]
    order = np.argsort(-np.abs(shift).max(axis=1))[:5]
    largest = np.abs(shift).argmax(axis=1)
    return [
        Influence(int(i), problem.names[free[largest[i]]], float(shift[i, largest[i]]))
        for i in order
    ]
