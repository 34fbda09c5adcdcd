"""A straight line through points of which some are bounds: maximum likelihood, float64.

    y = intercept + slope x + sigma eps,  eps normal

In Olsen's parameters (1978), 1/sigma and the coefficients over sigma, the log-likelihood is
concave, with or without a fixed slope: there is one maximum, and no starting point to choose.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import log_ndtr

from workbench.analysis.curves import Floats

Sides = NDArray[np.int64]
"""0: y is exact. 1: y is a lower bound. -1: y is an upper bound."""
_EXACT = 1e-9  # residuals below this share of the values' spread are rounding


@dataclass(frozen=True)
class Fit:
    """The most likely line."""

    slope: float
    intercept: float
    sigma: float
    """Maximum likelihood; 0 where the line goes through all points and meets all bounds."""
    scatter: float | None
    """Sigma over n - 2 degrees of freedom; None with n = 2 exact points."""
    x: Floats
    y: Floats
    side: Sides

    @property
    def n(self) -> int:
        """The exact points."""
        return int((self.side == 0).sum())

    def slope_interval(self) -> list[float | None] | None:
        """Profile-likelihood interval, 95 %; a limit is None where nothing bounds it."""
        if self.sigma == 0:
            return [self.slope, self.slope]
        student = stats.t.ppf(0.975, self.n - 2)
        threshold = self.n * np.log1p(student**2 / (self.n - 2)) / 2
        top = _profile(self.slope, self.x, self.y, self.side)
        step = self.sigma / max(float(np.std(self.x[self.side == 0])) * np.sqrt(self.n), 1e-12)

        def excess(slope: float) -> float:
            return top - _profile(slope, self.x, self.y, self.side) - threshold

        return [self._limit(excess, -step), self._limit(excess, step)]

    def _limit(self, excess: Callable[[float], float], step: float) -> float | None:
        inside = self.slope
        for doubling in range(40):
            outside = self.slope + step * 2.0**doubling
            if excess(outside) > 0:
                return float(optimize.brentq(excess, inside, outside, xtol=1e-12, rtol=1e-10))
            inside = outside
        return None

    def prediction_half_width(self, x: float) -> float:
        """Half of the 95 % prediction interval of one more y at x. Exact without bounds."""
        if self.scatter is None or self.sigma == 0:
            return 0.0
        z = (self.y - self.intercept - self.slope * self.x) / self.sigma
        weight = np.where(self.side == 0, 1.0, -_terms(z, self.side)[2])
        design = np.stack([np.ones_like(self.x), self.x])
        at = np.array([1.0, x])
        spread = at @ np.linalg.solve((design * weight) @ design.T, at)
        student = stats.t.ppf(0.975, self.n - 2)
        return float(student * self.scatter * np.sqrt(1 + spread))


def fit_level(y: Floats, side: Sides) -> tuple[float, float | None]:
    """The most likely level of points of which some are bounds, and their scatter around it.

    The scatter is over n - 1 degrees of freedom, n the exact points, of which at least one is
    needed. It is None with n = 1, and where equal points contradict a bound.
    """
    exact = side == 0
    n = int(exact.sum())
    level = float(y[exact].mean())
    rest = y - level
    small = _EXACT * max(float(np.abs(y[exact]).max()), 1e-300)
    if exact.all():
        return level, float(np.sqrt((rest**2).sum() / (n - 1))) if n > 1 else None
    if n == 1 or float(np.abs(rest[exact]).max()) <= small:  # no maximum: grows as sigma shrinks
        return level, 0.0 if n > 1 and np.all(side * rest <= small) else None
    inverse_sigma, coefficients = _maximise(np.ones((1, len(y))), y, side)[1:]
    return float(coefficients[0] / inverse_sigma), float(np.sqrt(n / (n - 1)) / inverse_sigma)


def fit_censored(x: Floats, y: Floats, side: Sides) -> Fit:
    """Fit the most likely line; at least 2 exact points at different x are needed."""
    exact = side == 0
    n = int(exact.sum())
    slope, intercept = np.polyfit(x[exact], y[exact], 1)
    rest = y - intercept - slope * x
    spread = max(float(np.ptp(y[exact])), float(np.max(np.abs(y[exact]))), 1e-300)
    goes_through = float(np.abs(rest[exact]).max()) <= _EXACT * spread
    if goes_through and np.all(side * rest <= _EXACT * spread):
        # The likelihood has no maximum: it grows as sigma shrinks.
        return Fit(float(slope), float(intercept), 0.0, 0.0 if n > 2 else None, x, y, side)
    if exact.all():
        sigma = float(np.sqrt(np.mean(rest**2)))
    else:
        inverse_sigma, coefficients = _maximise(np.stack([np.ones_like(x), x]), y, side)[1:]
        sigma, (intercept, slope) = 1 / inverse_sigma, coefficients / inverse_sigma
    scatter = sigma * float(np.sqrt(n / (n - 2))) if n > 2 else None
    return Fit(float(slope), float(intercept), sigma, scatter, x, y, side)


def _profile(slope: float, x: Floats, y: Floats, side: Sides) -> float:
    """The greatest log-likelihood with this slope."""
    rest = y - slope * x
    if np.all(side == 0):
        return -len(rest) / 2 * (np.log(np.mean((rest - rest.mean()) ** 2)) + 1)
    return _maximise(np.ones((1, len(x))), rest, side)[0]


def _terms(z: Floats, side: Sides) -> tuple[Floats, Floats, Floats]:
    """The log-likelihood of each point, up to a constant and log sigma, and its first two
    derivatives in z."""
    t = -side * z  # a lower bound has z or more: log Phi(-z)
    hazard = np.exp(stats.norm.logpdf(t) - log_ndtr(t))
    value = np.where(side == 0, -(z**2) / 2, log_ndtr(t))
    first = np.where(side == 0, -z, -side * hazard)
    second = np.where(side == 0, -1.0, -hazard * (t + hazard))
    return value, first, second


def _maximise(design: Floats, y: Floats, side: Sides) -> tuple[float, float, Floats]:
    """The greatest log-likelihood, 1/sigma there, and the coefficients over sigma.

    Args:
        design: (coefficients, points).
    """
    exact = side == 0
    n = int(exact.sum())
    # Centred and scaled by the exact points, so that the starting point is near the maximum.
    start = np.linalg.lstsq(design[:, exact].T, y[exact], rcond=None)[0]
    rest = y - start @ design
    size = max(float(np.sqrt(np.mean(rest[exact] ** 2))), 1e-3 * float(np.abs(rest).max()), 1e-300)
    middle = design.mean(axis=1, keepdims=True)
    width = np.where(np.ptp(design, axis=1) > 0, design.std(axis=1), 1.0)[:, None]
    scaled = np.where(np.ptp(design, axis=1)[:, None] > 0, (design - middle) / width, design)
    matrix = np.vstack([rest / size, -scaled])

    def negative(p: Floats) -> float:
        if p[0] <= 0:
            return np.inf
        return float(-_terms(p @ matrix, side)[0].sum() - n * np.log(p[0]))

    def gradient(p: Floats) -> Floats:
        out = -(matrix @ _terms(p @ matrix, side)[1])
        out[0] -= n / p[0]
        return np.asarray(out)

    def hessian(p: Floats) -> Floats:
        out = -(matrix * _terms(p @ matrix, side)[2]) @ matrix.T
        out[0, 0] += n / p[0] ** 2
        return np.asarray(out)

    first = np.zeros(len(matrix))
    first[0] = 1.0
    optimum = optimize.minimize(
        negative, first, method="trust-exact", jac=gradient, hess=hessian, options={"gtol": 1e-9}
    )
    inverse_sigma = float(optimum.x[0]) / size
    coefficients = optimum.x[1:] / width[:, 0]
    if len(coefficients) > 1:  # undo the centring of x in the intercept
        coefficients[0] -= coefficients[1] * middle[1, 0]
    value = -float(optimum.fun) - n * np.log(size)
    return value, inverse_sigma, np.asarray(coefficients + inverse_sigma * start)
