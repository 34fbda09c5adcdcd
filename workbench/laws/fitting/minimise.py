"""A batched minimiser: many starts, or many resamples, of one problem at once.

Each iteration tries two damped steps, one on the reweighted least squares that majorises the
Huber loss (safe far from the minimum) and one on the generalised Hessian (fast near it), and
takes the better where it descends. A general optimiser run once a start and a resample would
need minutes where this takes seconds: no library solves a thousand small bounded problems in
one array operation.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workbench.laws.fitting.problem import Derivatives, Problem
from workbench.laws.law import Floats

_ELEMENTS = 3_000_000  # of the largest array of one batch
_WORTH_A_THREAD = 300_000  # elements; with less, threads mostly wait for the interpreter's lock
_TOLERANCE = 1e-12  # relative decrease of an iteration that counts as none
_COARSE = 1e-4  # the same where it is known to be far from the minimum
_IDLE = 4  # such iterations in a row before it comes to rest
_DAMPING = 1e-2  # of the first step
_PROMISED = 1e-6  # relative decrease that an undamped step promises where a rest is no minimum
_FRESH_STEPS = 2  # how often a start that rests too early gets its first damping back


@dataclass(frozen=True)
class Minima:
    """Where each start ended: theta (S, q), objective (S,), whether it converged (S,)."""

    theta: Floats
    objective: Floats
    converged: NDArray[np.bool_]

    @property
    def best(self) -> int:
        return int(np.argmin(self.objective))


def minimise(
    problem: Problem,
    starts: Floats,
    *,
    counts: Floats | None = None,
    low: Floats | None = None,
    high: Floats | None = None,
    max_iterations: int = 300,
    coarse_above: float = np.inf,
) -> Minima:
    """Minimise from every start.

    Args:
        starts: (S, q), clipped to the bounds.
        counts: (S, n), weights of the rows for each start.
        low, high: (S, q), bounds of each start; the problem's by default.
        coarse_above: an objective above which a tenth of a per mille is near enough.
    """
    starts = np.atleast_2d(starts)
    low = np.broadcast_to(problem.low if low is None else low, starts.shape)
    high = np.broadcast_to(problem.high if high is None else high, starts.shape)
    a_start = problem.n * 3 * len(problem.low)
    size = max(-(-len(starts) // _threads()), _WORTH_A_THREAD // a_start)
    size = max(1, min(_ELEMENTS // a_start, size))
    pieces = [slice(i, i + size) for i in range(0, len(starts), size)]

    stop = threading.Event()

    def solve(piece: slice) -> Minima:
        piece_counts = None if counts is None else counts[piece]
        return _descend(
            problem, starts[piece], piece_counts, low[piece], high[piece], max_iterations,
            coarse_above, stop,
        )  # fmt: skip

    if len(pieces) == 1:
        return solve(pieces[0])
    with ThreadPoolExecutor(_threads()) as pool:
        futures = [pool.submit(solve, piece) for piece in pieces]
        try:
            # In short waits: a signal that another thread was given does not end a long one.
            while wait(futures, timeout=0.2).not_done:
                pass
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        minima = [future.result() for future in futures]
    return Minima(
        np.concatenate([part.theta for part in minima]),
        np.concatenate([part.objective for part in minima]),
        np.concatenate([part.converged for part in minima]),
    )


def _threads() -> int:
    return max(1, min(8, os.cpu_count() or 1))


def _descend(
    problem: Problem,
    starts: Floats,
    counts: Floats | None,
    low: Floats,
    high: Floats,
    max_iterations: int,
    coarse_above: float,
    stop: threading.Event,
) -> Minima:
    theta = np.clip(starts, low, high)
    value = problem.objective(theta, counts)
    damping = np.full(len(theta), _DAMPING)
    idle = np.zeros(len(theta), dtype=int)
    fresh = np.full(len(theta), _FRESH_STEPS)
    for _ in range(max_iterations):
        active = np.flatnonzero((idle < _IDLE) & np.isfinite(value))
        if not len(active) or stop.is_set():
            break
        active_counts = None if counts is None else counts[active]
        candidates = _steps(
            problem, theta[active], active_counts, low[active], high[active], damping[active]
        )
        values = np.stack([problem.objective(candidate, active_counts) for candidate in candidates])
        choice = np.argmin(values, axis=0)
        reached = values[choice, np.arange(len(active))]
        better = reached < value[active]
        gained = np.where(better, value[active] - reached, 0.0)
        tolerance = np.where(value[active] > coarse_above, _COARSE, _TOLERANCE)
        small = gained <= tolerance * value[active]
        moved = active[better]
        theta[moved] = np.stack(candidates)[choice, np.arange(len(active))][better]
        value[moved] = reached[better]
        # A refused step does not count as idle: a shorter one may still descend.
        stuck = ~better & (damping[active] > 1e8)
        idle[active] = np.where(
            small & better | stuck, idle[active] + 1, np.where(better, 0, idle[active])
        )
        damping[active] = np.clip(damping[active] * np.where(better, 0.2, 6.0), 1e-9, 1e10)
        # Steps can be small because the damping has grown, not because a minimum is near: near
        # the end of a range, or where a term has almost vanished. Which starts pass such a place
        # hangs on rounding, so none may end there.
        resting = active[(idle[active] >= _IDLE) & (fresh[active] > 0)]
        if len(resting):
            own = None if counts is None else counts[resting]
            promised = _promised(problem, theta[resting], own, low[resting], high[resting])
            early = resting[promised > _PROMISED * value[resting]]
            damping[early], idle[early] = _DAMPING, 0
            fresh[early] -= 1
    return Minima(theta, value, idle >= _IDLE)


def _steps(
    problem: Problem,
    theta: Floats,
    counts: Floats | None,
    low: Floats,
    high: Floats,
    damping: Floats,
) -> list[Floats]:
    """Two candidates for the next theta, both within the bounds."""
    derivatives, at_bound = _slopes(problem, theta, counts, low, high)
    return [
        np.clip(theta + _damped_step(derivatives, curvature, at_bound, damping), low, high)
        for curvature in (derivatives.majoriser, derivatives.newton)
    ]


def _promised(
    problem: Problem, theta: Floats, counts: Floats | None, low: Floats, high: Floats
) -> Floats:
    """The decrease (S,) that the majoriser's quadratic promises for a step that is not damped."""
    derivatives, at_bound = _slopes(problem, theta, counts, low, high)
    step = _damped_step(derivatives, derivatives.majoriser, at_bound, np.full(len(theta), 1e-9))
    return -0.5 * np.einsum("sq,sq->s", derivatives.gradient, step)


def _slopes(
    problem: Problem, theta: Floats, counts: Floats | None, low: Floats, high: Floats
) -> tuple[Derivatives, NDArray[np.bool_]]:
    """Derivatives, and which parameters a bound holds: their gradient is set to 0."""
    with np.errstate(all="ignore"):
        derivatives = problem.derivatives(theta, counts)
    at_bound = (theta <= low) & (derivatives.gradient >= 0) | (theta >= high) & (
        derivatives.gradient <= 0
    )
    return replace(derivatives, gradient=np.where(at_bound, 0.0, derivatives.gradient)), at_bound


def _damped_step(
    derivatives: Derivatives, curvature: Floats, at_bound: NDArray[np.bool_], damping: Floats
) -> Floats:
    """-(curvature + damping)^-1 gradient, (S, q), in units of the majoriser's diagonal, so that
    damping means the same to every parameter."""
    diagonal = np.einsum("sqq->sq", derivatives.majoriser)
    scale = np.maximum(diagonal, 1e-12 * diagonal.max(axis=1, keepdims=True)) + 1e-300
    root = np.sqrt(scale)
    system = curvature / (root[:, :, None] * root[:, None, :])
    system = np.where(at_bound[:, :, None] | at_bound[:, None, :], 0.0, system)
    system = np.nan_to_num(system)
    q = np.arange(at_bound.shape[1])
    system[:, q, q] += damping[:, None] + at_bound
    step = -_solved(system, derivatives.gradient / root) / root
    return np.nan_to_num(step)


def _solved(system: Floats, right: Floats) -> Floats:
    """The solutions (S, q) of systems (S, q, q), one by one where one of them is singular.

    A law far from the data can have a curvature of zeros and huge numbers. A singular system gets a
    diagonal as large as its rows: the step is then short, and downhill.
    """
    try:
        return np.asarray(np.linalg.solve(system, right[..., None])[..., 0], dtype=np.float64)
    except np.linalg.LinAlgError:
        if len(system) > 1:
            each = [_solved(system[i, None], right[i, None]) for i in range(len(system))]
            return np.concatenate(each)
    rows = np.minimum(np.abs(system[0]), 1e150)
    return np.asarray(right / (rows.sum(axis=1) + 1.0), dtype=np.float64)
