"""What a scaling law is: parameters with bounds, and the logarithm of its terms.

Every law here is a sum of positive terms, L = sum_k exp(t_k(theta)), so that log L is a
log-sum-exp of the t_k. A law gives the t_k and their gradients; the engine in `laws.fitting`
does the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """The inputs of a law, one element a run, as natural logarithms of counts.

    `unique` is at most the total: a run that did not see all of its unique tokens has seen
    `total` distinct ones.
    """

    log_n: Floats
    log_d: Floats
    log_u: Floats

    @classmethod
    def of(cls, n_params: Floats, total_tokens: Floats, unique_tokens: Floats) -> "Rows":
        unique = np.minimum(unique_tokens, total_tokens)
        return cls(np.log(n_params), np.log(total_tokens), np.log(unique))

    @property
    def repeats(self) -> Floats:
        """Passes over the data after the first: D / U - 1."""
        return np.expm1(self.log_d - self.log_u)

    def take(self, index: NDArray[np.intp]) -> "Rows":
        return Rows(self.log_n[index], self.log_d[index], self.log_u[index])

    def __len__(self) -> int:
        return len(self.log_n)


@dataclass(frozen=True)
class Parameter:
    """One parameter: its range, and the part of it where starts are drawn.

    Positive scales (`log`) are fitted as logarithms. An estimate at an end of the range is
    a bound, and is reported as unbounded on that side.
    """

    name: str
    low: float
    high: float
    start: tuple[float, float]
    meaning: str
    log: bool = True

    def to_internal(self, value: float) -> float:
        return float(np.log(value)) if self.log else float(value)

    def to_value(self, internal: Floats) -> Floats:
        return np.exp(internal) if self.log else internal


# (log terms (S, n, K), their gradients (S, n, K, p) or None where they were not requested)
Terms = tuple[Floats, Floats | None]


@dataclass(frozen=True)
class Law:
    """A scaling law.

    `terms(theta, rows, slopes)` takes internal parameters of shape (S, p) and gives the
    logarithms of the terms (S, n, K), and with `slopes` their gradients (S, n, K, p).
    """

    name: str
    title: str
    formula: str
    citation: str
    parameters: tuple[Parameter, ...]
    terms: Callable[[Floats, Rows, bool], Terms]
    published: dict[str, float]
    published_for: str
    needs_unique: bool = True
    reads_runs: bool = True
    """Whether its inputs are sizes and tokens, that may be odd ones. A second step reads losses."""
    scale_terms: tuple[tuple[str, str, str], ...] = ()
    """(scale, exponent, input) of each power-law term, as ("A", "alpha", "n"): for starts."""
    first_stage: tuple[str, ...] = ()
    """Parameters of a two-stage fit's first stage, on runs of at most one epoch."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)

    def parameter(self, name: str) -> Parameter:
        return self.parameters[self.names.index(name)]

    def log_loss(self, theta: Floats, rows: Rows) -> Floats:
        """log L for internal parameters (S, p): shape (S, n)."""
        return np.logaddexp.reduce(self.terms(np.atleast_2d(theta), rows, False)[0], axis=2)

    def internal(self, values: dict[str, float]) -> Floats:
        """Named values as the internal vector (p,)."""
        return np.array([p.to_internal(values[p.name]) for p in self.parameters])

    def predict(self, values: dict[str, float], rows: Rows) -> Floats:
        """Loss (n,) in the units of the data it was fitted to."""
        return np.exp(self.log_loss(self.internal(values), rows)[0])


IRREDUCIBLE = Parameter("E", 1e-4, 50.0, (0.3, 0.95), "loss of an infinite model on infinite data")


def scale(name: str, what: str) -> Parameter:
    return Parameter(name, 1e-6, 1e14, (0.1, 0.9), f"scale of the loss due to finite {what}")


def exponent(name: str, what: str) -> Parameter:
    return Parameter(name, 0.005, 3.0, (0.08, 0.9), f"exponent of {what}", log=False)


@dataclass(frozen=True)
class Procedure:
    """A law that is not one sum of terms over all rows: it has a fit of its own.

    `fit(table, options)` returns a list of `laws.fitting.result.Fit`.
    """

    name: str
    title: str
    formula: str
    citation: str
    fit: Callable[..., list[Any]]
    published: dict[str, float]
    published_for: str
    takes_options: bool = False
    """Whether it is fitted by the engine, with parameters that can be fixed, tied and shared."""
