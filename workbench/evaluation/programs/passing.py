"""pass@k: how often one of k attempts at a problem passes its tests (Chen et al. 2021)."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from workbench.evaluation.programs.confinement import Confinement, Outcome
from workbench.evaluation.programs.problems import Problem
from workbench.training.validation import Estimate


def pass_at_k(n: int, passed: int, k: int) -> float:
    """The unbiased estimate from n attempts: 1 - C(n - passed, k) / C(n, k) (equation 1).

    Args:
        n: attempts made, k or more.
        passed: how many of them passed.
        k: attempts that are allowed.
    """
    if not 0 <= passed <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {passed} out of {n}")
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


@dataclass(frozen=True)
class PassCounts:
    """How many of the attempts at each problem passed, and what became of each attempt."""

    attempts: int
    passed_P: np.ndarray
    outcomes: list[list[Outcome]]

    def at(self, k: int) -> Estimate:
        """Mean over problems, with the standard error of that mean."""
        each = np.array([pass_at_k(self.attempts, int(c), k) for c in self.passed_P])
        n = len(each)
        stderr = float(each.std(ddof=1) / math.sqrt(n)) if n > 1 else None
        return Estimate(float(each.mean()), stderr, n)


def count_passing(
    problems: Sequence[Problem],
    complete: Callable[[Problem], Sequence[str]],
    confinement: Confinement,
    *,
    attempts: int,
    at_once: int | None = None,
) -> PassCounts:
    """Let `complete` attempt each problem, and run every attempt, confined.

    Args:
        complete: a problem's completions, as many as `attempts`.
        at_once: programs at the same time; one a core where None.

    Raises:
        CannotConfine: no program is run unconfined.
    """
    with ThreadPoolExecutor(at_once or len(os.sched_getaffinity(0))) as pool:
        running = []
        for problem in problems:
            completions = complete(problem)
            assert len(completions) == attempts
            running.append(
                [
                    pool.submit(confinement.test, problem.program(completion), problem.tests)
                    for completion in completions
                ]
            )
        outcomes = [[future.result() for future in of_problem] for of_problem in running]
    passed = np.array([sum(outcome.passed for outcome in of_problem) for of_problem in outcomes])
    return PassCounts(attempts, passed, outcomes)
