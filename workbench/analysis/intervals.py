"""95 % intervals: over seeds where there are some, else from each curve's own noise.

Without repeated seeds, what a curve shows of its noise is how it scatters around a smooth curve.
A circular moving-block bootstrap (Kunsch 1989; Politis & Romano 1992) draws that scatter again in
blocks, so that neighbouring points stay as alike as they were, and computes the same statistic of
every resampled pair. What moves a whole curve is not in it: the seed, the choice of held-out
windows and questions. Such an interval is narrower, and `ci95_method` names the method.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.analysis.curves import Floats
from workbench.analysis.texts import ONE_TEXT, draws_of, spread

RESAMPLES = 1_000
RANDOM_SEED = 2511_03276
"""Of every bootstrap here, so that answers repeat. (The paper's number on arXiv.)"""
MIN_POINTS = 8
_MAX_KNOTS = 200
# GCV counts each degree of freedom 1.4 times (Kim & Gu 2004), and no more than half of the points
# are used up: plain GCV follows noise that is alike from point to point, and leaves too little of
# it to resample.
_DF_COST = 1.4
_DF_SHARE = 0.5

Statistic = Callable[[Floats, Floats, Floats, Floats], Floats]
"""(first x, first values (resamples, n), second x, second values) -> one number a resample:
-inf before the first place, inf beyond the last."""


@dataclass(frozen=True)
class Smooth:
    """A curve with a smoothing spline through it, in log x."""

    x: Floats
    """The places above zero, each once, increasing."""
    y: Floats
    fitted: Floats
    df: float
    """Degrees of freedom that the spline used."""
    _bins: NDArray[np.int64]
    _knots: Floats
    _operator: Floats

    @property
    def residuals(self) -> Floats:
        """Around the spline, centred, and inflated for the degrees of freedom it used."""
        rest = self.y - self.fitted
        n = len(rest)
        return np.asarray((rest - rest.mean()) * np.sqrt(n / (n - self.df)))

    @property
    def noise(self) -> float:
        """The scatter around the spline: a standard deviation, in the metric's unit."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    def refit(self, rows: Floats) -> Floats:
        """The same spline through other values (rows, n) at the same places."""
        return _apply(rows, np.log(self.x), self._bins, self._knots, self._operator)

    def resamples(self, rng: np.random.Generator, count: int) -> Floats:
        """Curves (count, n) with the spline's course and resampled blocks of residuals."""
        n = len(self.y)
        length = max(1, round(n ** (1 / 3)))
        starts = rng.integers(0, n, (count, -(-n // length)))
        places = (starts[:, :, None] + np.arange(length)).reshape(count, -1)[:, :n] % n
        return np.asarray(self.fitted + self.residuals[places])


def smooth_curve(x: Floats, y: Floats) -> Smooth | None:
    """Fit a smoothing spline in log x, by generalised cross-validation.

    It is what `scipy.interpolate.make_smoothing_spline` fits with the same penalty. Here its
    linear operator is at hand, so that degrees of freedom are exact and 1,000 resamples are
    fitted at once. Curves of more than 200 points are fitted through averages of neighbours.

    Returns:
        None where fewer than 8 places above zero are left.
    """
    places, inverse = np.unique(x[x > 0], return_inverse=True)
    n = len(places)
    if n < MIN_POINTS:
        return None
    values = np.bincount(inverse, weights=y[x > 0]) / np.bincount(inverse)
    t = np.log(places)
    m = min(n, _MAX_KNOTS)
    bins = np.arange(n) * m // n
    counts = np.bincount(bins)
    knots = np.bincount(bins, weights=t) / counts
    operator, df = _best_operator(knots, np.bincount(bins, weights=values) / counts)
    fitted = _apply(values[None], t, bins, knots, operator)[0]
    return Smooth(places, values, fitted, df, bins, knots, operator)


def _apply(
    rows: Floats, t: Floats, bins: NDArray[np.int64], knots: Floats, operator: Floats
) -> Floats:
    if len(knots) == len(t):
        return np.asarray(rows @ operator.T)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    averages = np.add.reduceat(rows, starts, axis=1) / np.bincount(bins)
    smooth = averages @ operator.T
    left = np.clip(np.searchsorted(knots, t) - 1, 0, len(knots) - 2)
    share = (t - knots[left]) / (knots[left + 1] - knots[left])  # natural splines end in lines
    return np.asarray(smooth[:, left] * (1 - share) + smooth[:, left + 1] * share)


def _best_operator(t: Floats, y: Floats) -> tuple[Floats, float]:
    """The smoothing spline's matrix, and its trace, at the penalty that GCV chooses."""
    n = len(t)
    eigenvalues, vectors = np.linalg.eigh(roughness(t))
    # Two directions, constant and line, are not rough at all.
    eigenvalues = np.where(np.arange(n) < 2, 0.0, np.maximum(eigenvalues, 0.0))
    penalties = np.logspace(-8, 4, 121) / eigenvalues[2]
    shrinkage = 1 / (1 + penalties[:, None] * eigenvalues)
    df = shrinkage.sum(axis=1)
    left = (((1 - shrinkage) * (vectors.T @ y)) ** 2).sum(axis=1)
    score = np.where(df <= _DF_SHARE * n, left / (n - _DF_COST * df) ** 2, np.inf)
    best = int(np.argmin(score))
    return (vectors * shrinkage[best]) @ vectors.T, float(df[best])


def roughness(t: Floats) -> Floats:
    """K with y' K y = the integral of the squared second derivative of the natural cubic spline
    through (t, y) (Green & Silverman 1994, section 2.1)."""
    n, h = len(t), np.diff(t)
    second = np.zeros((n, n - 2))
    gram = np.zeros((n - 2, n - 2))
    inner = np.arange(n - 2)
    second[inner, inner] = 1 / h[:-1]
    second[inner + 1, inner] = -1 / h[:-1] - 1 / h[1:]
    second[inner + 2, inner] = 1 / h[1:]
    gram[inner, inner] = (h[:-1] + h[1:]) / 3
    gram[inner[:-1], inner[1:]] = gram[inner[1:], inner[:-1]] = h[1:-1] / 6
    rough = second @ np.linalg.solve(gram, second.T)
    return np.asarray((rough + rough.T) / 2)


def bootstrap(first: Smooth, second: Smooth, statistic: Statistic) -> tuple[Floats, Floats]:
    """The statistic of 1,000 resampled pairs of curves: of the curves, and of their splines.

    A persistent crossing of noisy curves lies later than that of the courses below them: the
    last point that noise throws back counts. The splines' crossing does not drift so, but varies
    too little. An interval that spans both covers the crossing of the courses (see the tests).
    """
    rng = np.random.default_rng(RANDOM_SEED)
    chunk = max(1, 1_000_000 // (len(first.x) + len(second.x)))  # bounds the memory
    plain, smooth = [], []
    for start in range(0, RESAMPLES, chunk):
        count = min(chunk, RESAMPLES - start)
        ours, theirs = first.resamples(rng, count), second.resamples(rng, count)
        plain.append(statistic(first.x, ours, second.x, theirs))
        smooth.append(statistic(first.x, first.refit(ours), second.x, second.refit(theirs)))
    return np.concatenate(plain), np.concatenate(smooth)


def percentiles(*samples: Floats, estimate: float | None = None) -> list[float | None]:
    """The interval from the lowest 2.5 % point to the highest 97.5 % point of the samples.

    Args:
        samples: -inf counts as before the first place, inf as beyond the last one.
        estimate: a place that the interval has to contain.

    Returns:
        [low, high], None where the limit lies outside the measured range.
    """
    ends = [
        np.quantile(sample, (0.025, 0.975), method="inverted_cdf")  # nothing between infinities
        for sample in samples
    ]
    included = [] if estimate is None else [estimate]
    low = min([float(end[0]) for end in ends] + included)
    high = max([float(end[1]) for end in ends] + included)
    return [low if np.isfinite(low) else None, high if np.isfinite(high) else None]


def interval_over_seeds(values: Sequence[float], texts: Sequence[Any]) -> dict[str, Any]:
    """The fields of an answer that is a geometric mean over seeds, with its 95 % t interval.

    Places along training differ by factors, not by amounts, and in logarithms the interval
    cannot reach below zero.

    Args:
        values: each seed's own, above zero; two or more.
        texts: which draw of the training text each seed has; of those that share one, the spread
            between texts counts (see `texts.spread`).
    """
    from scipy import stats

    logs = np.log(values)
    variance, dof = spread(logs[:, None], texts)
    half = stats.t.ppf(0.975, dof) * np.sqrt(variance[0, 0])
    draws = draws_of(len(logs), texts)
    return {
        "ci95": [float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))],
        "ci95_method": f"t interval over {draws}",
        "ci95_note": ONE_TEXT if draws.one_text else None,
    }


def no_interval(why: str) -> dict[str, Any]:
    """The fields of an answer without an interval."""
    return {"ci95": None, "ci95_method": None, "ci95_note": why}
