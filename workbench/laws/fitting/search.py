"""All minima of a problem, from many starts."""

from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import WorkbenchError
from workbench.laws.fitting.minimise import minimise
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.problem import Problem
from workbench.laws.fitting.starts import draw_starts
from workbench.laws.law import Floats

SUBSAMPLE = 1500  # rows that starts are tried on where a table has many more
_ITERATIONS = 1500  # few starts need more than 100; one that has not converged is no minimum


@dataclass(frozen=True)
class Minimum:
    """A local minimum: its objective, its parameters and how many starts ended there."""

    objective: float
    theta: Floats
    starts: int


def search(problem: Problem, options: FitOptions) -> list[Minimum]:
    """All minima that many starts lead to, the best first.

    Raises:
        WorkbenchError: no start has a finite objective.
    """
    starts = draw_starts(problem, options.starts, options.seed)
    if not problem.free.any():
        starts = starts[:1]
    small = problem
    if problem.n > 2 * SUBSAMPLE:
        rng = np.random.default_rng(options.seed)
        small = problem.take(np.sort(rng.choice(problem.n, SUBSAMPLE, replace=False)))
    ends = minimise(small, starts, max_iterations=_ITERATIONS)
    minima = _distinct(ends.theta, ends.objective, small)
    if not minima:
        raise WorkbenchError(
            f"{problem.law.name}: no start reached a finite objective: are the units right?"
        )
    if small is problem:
        return minima
    # The sample's minimum is close: a few Newton steps on all rows are left.
    polished_ends = minimise(problem, minima[0].theta[None], max_iterations=15)
    polished = _distinct(polished_ends.theta, polished_ends.objective, problem)
    return [replace(polished[0], starts=len(starts))]


def _distinct(theta: Floats, objective: Floats, problem: Problem) -> list[Minimum]:
    """The distinct minima among the ends of all starts, with the number of starts of each.

    Minima are distinct if they differ by more than a millionth of the objective, or by a hundredth
    of a parameter's range.
    """
    span = np.maximum(problem.high - problem.low, 1e-12)
    minima: list[Minimum] = []
    for i in np.argsort(objective):
        if not np.isfinite(objective[i]):
            continue
        for k, minimum in enumerate(minima):
            near = abs(objective[i] - minimum.objective) <= 1e-6 * minimum.objective + 1e-18
            if near and (np.abs(theta[i] - minimum.theta) / span).max() < 0.01:
                minima[k] = replace(minimum, starts=minimum.starts + 1)
                break
        else:
            minima.append(Minimum(float(objective[i]), theta[i], 1))
    return minima
