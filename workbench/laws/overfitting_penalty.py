"""Chinchilla with an additive penalty for repeats, so that loss can turn upward (Lovelace et al.
2026).

    L = E + A / N^alpha + B / D^beta + P r^delta (N / U)^kappa,  r = D / U - 1

Without repeats, or with P near 0, it is Chinchilla's law. The penalty grows with the repeats and
with the parameters for each unique token. `--fixed delta=1,kappa=1` leaves its scale alone free.
"""

import numpy as np

from workbench.laws.chinchilla import CHINCHILLA
from workbench.laws.law import Floats, Law, Parameter, Rows, Terms

_NONE = -250.0  # log of a term that is not there: finite, and nothing beside any loss

PENALTY_PARAMETERS = (
    Parameter("P", 1e-12, 1e6, (1e-4, 0.3), "scale of the penalty for repeats"),
    Parameter("delta", 0.05, 4.0, (0.3, 1.5), "exponent of repeats in it", log=False),
    Parameter("kappa", -1.0, 4.0, (0.0, 1.2), "exponent of N / U in it", log=False),
)


def penalty_term(theta: Floats, rows: Rows, slopes: bool) -> Terms:
    """The log of P r^delta (N / U)^kappa (S, n), and its slopes in log P, delta and kappa.

    Args:
        theta: (S, 3), log P, delta and kappa.
    """
    log_p, delta, kappa = (theta[:, i, None] for i in range(3))
    repeats = rows.repeats
    once = repeats <= 0
    log_repeats = np.log(np.where(once, 1.0, repeats))
    log_ratio = rows.log_n - rows.log_u
    term = np.where(once, _NONE, log_p + delta * log_repeats + kappa * log_ratio)
    if not slopes:
        return term, None
    gradient = np.zeros((*term.shape, 3))
    gradient[..., 0] = ~once
    gradient[..., 1] = log_repeats  # which is 0 without repeats
    gradient[..., 2] = np.where(once, 0.0, log_ratio)
    return term, gradient


def with_penalty(theta: Floats, rows: Rows, base: Terms, slopes: bool) -> Terms:
    """The terms of a law and the penalty's, whose three parameters are the last of theta."""
    log_terms, own = base
    term, by_penalty = penalty_term(theta[:, -3:], rows, slopes)
    log_terms = np.concatenate([log_terms, term[..., None]], axis=2)
    if own is None or by_penalty is None:
        return log_terms, None
    gradient = np.zeros((*log_terms.shape, theta.shape[1]))
    gradient[..., :-1, : own.shape[-1]] = own
    gradient[..., -1, -3:] = by_penalty
    return log_terms, gradient


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    return with_penalty(theta, rows, CHINCHILLA.terms(theta[:, :5], rows, slopes), slopes)


OVERFITTING_PENALTY = Law(
    name="overfitting_penalty",
    title="Overfitting penalty",
    formula="L = E + A / N^alpha + B / D^beta + P (D/U - 1)^delta (N/U)^kappa",
    citation="Lovelace et al. 2026, arXiv:2605.01640",
    parameters=(*CHINCHILLA.parameters, *PENALTY_PARAMETERS),
    terms=_terms,
    published={},
    published_for="",
    scale_terms=CHINCHILLA.scale_terms,
)
