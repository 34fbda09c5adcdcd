"""What is minimised: the summed Huber loss of log-loss residuals, and its derivatives.

    F(theta) = sum_i c_i huber_delta(log L(theta, x_i) - log y_i)

Summed, not averaged: an averaged objective is so small that usual tolerances stop at the start.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workbench.laws.law import Floats, Law, Rows

HUBER_DELTA = 1e-3


@dataclass(frozen=True)
class Derivatives:
    """Gradient (S, q) and two curvatures (S, q, q) of the objective.

    `majoriser` is positive semi-definite: the reweighted least squares that touches the Huber
    loss from above. `newton` is the generalised Hessian, exact where terms are linear in theta.
    """

    gradient: Floats
    majoriser: Floats
    newton: Floats


@dataclass(frozen=True)
class Problem:
    """A law, data and which parameters are free, shared or fixed.

    `index[g, j]` is the place in theta (q) of parameter j of group g; groups are objectives.
    Where `low` equals `high` the parameter is fixed.
    """

    law: Law
    rows: Rows
    log_y: Floats
    group: NDArray[np.intp]
    index: NDArray[np.intp]
    names: tuple[str, ...]
    low: Floats
    high: Floats
    delta: float = HUBER_DELTA

    @property
    def free(self) -> NDArray[np.bool_]:
        return self.low < self.high

    @property
    def n(self) -> int:
        return len(self.log_y)

    def take(self, rows: NDArray[np.intp]) -> "Problem":
        """The same problem on some of the rows."""
        return replace(
            self, rows=self.rows.take(rows), log_y=self.log_y[rows], group=self.group[rows]
        )

    def residuals(self, theta: Floats) -> Floats:
        """log prediction - log loss, (S, n)."""
        return np.logaddexp.reduce(self._log_terms(theta), axis=2) - self.log_y

    def objective(self, theta: Floats, counts: Floats | None = None) -> Floats:
        """F (S,). Infinite where it is not a number.

        Args:
            counts: (S, n), how often each row counts: a bootstrap's resamples.
        """
        with np.errstate(all="ignore"):
            losses = huber(self.residuals(theta), self.delta)
            value = (losses if counts is None else losses * counts).sum(axis=1)
        return np.where(np.isfinite(value), value, np.inf)

    def derivatives(self, theta: Floats, counts: Floats | None = None) -> Derivatives:
        log_terms, slopes = self._terms(theta)
        log_sum = np.logaddexp.reduce(log_terms, axis=2)
        share = np.exp(log_terms - log_sum[..., None])
        jacobian = np.einsum("snk,snkq->snq", share, slopes)
        r = log_sum - self.log_y
        c = np.ones_like(r) if counts is None else counts
        psi = np.clip(r, -self.delta, self.delta)
        gradient = np.einsum("sn,snq->sq", c * psi, jacobian)
        weight = c * self.delta / np.maximum(np.abs(r), self.delta)
        majoriser = _gram(jacobian, weight)
        # Hessian of a log-sum-exp: the spread of the terms' slopes around their mean.
        inside = c * (np.abs(r) <= self.delta)
        flat = slopes.reshape(len(theta), -1, slopes.shape[-1])
        spread = ((c * psi)[..., None] * share).reshape(len(theta), -1)
        newton = _gram(jacobian, inside - c * psi) + _gram(flat, spread)
        return Derivatives(gradient, majoriser, newton)

    def _log_terms(self, theta: Floats) -> Floats:
        if len(self.index) == 1:
            return self.law.terms(theta[:, self.index[0]], self.rows, False)[0]
        parts = [
            (rows, self.law.terms(theta[:, self.index[g]], self.rows.take(rows), False)[0])
            for g, rows in self._by_group()
        ]
        result = np.empty((len(theta), self.n, parts[0][1].shape[2]))
        for rows, log_terms in parts:
            result[:, rows] = log_terms
        return result

    def _terms(self, theta: Floats) -> tuple[Floats, Floats]:
        result: Floats | None = None
        slopes = np.empty(0)
        for g, rows in self._by_group():
            log_terms, own = self.law.terms(theta[:, self.index[g]], self.rows.take(rows), True)
            assert own is not None
            if len(self.index) == 1 and (self.index[0] == np.arange(own.shape[-1])).all():
                return log_terms, own
            if result is None:
                result = np.empty((len(theta), self.n, own.shape[2]))
                slopes = np.zeros((len(theta), self.n, own.shape[2], len(self.low)))
            result[:, rows] = log_terms
            placed = np.zeros((*own.shape[:3], len(self.low)))
            for j, place in enumerate(self.index[g]):
                placed[..., place] += own[..., j]  # tied parameters add up
            slopes[:, rows] = placed
        assert result is not None
        return result, slopes

    def _by_group(self) -> list[tuple[int, NDArray[np.intp]]]:
        return [(g, np.flatnonzero(self.group == g)) for g in range(len(self.index))]


def huber(r: Floats, delta: float) -> Floats:
    """Huber's loss: r^2 / 2 within delta, and delta (|r| - delta / 2) beyond."""
    size = np.abs(r)
    return np.where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))


def _gram(jacobian: Floats, weight: Floats) -> Floats:
    """J^T diag(w) J for a batch: (S, m, q), (S, m) -> (S, q, q)."""
    return (jacobian * weight[..., None]).transpose(0, 2, 1) @ jacobian
