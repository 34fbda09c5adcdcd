"""The data-constrained law before its approximation: each repeat is worth a fixed share of the
one before it (Muennighoff et al. 2023, section 3.1).

    D' = U (1 + R_D (1 - (R_D / (1 + R_D))^r_D)), r_D = D / U - 1

R_D = (1 - delta) / delta, where a repeat is worth 1 - delta of the one before: the sum of the
series for whole repetitions. N' likewise.
"""

import numpy as np

from workbench.laws.data_constrained import CONSTRAINED_PARAMETERS, constrained_terms
from workbench.laws.law import Floats, Law, Rows, Terms


def geometric_decay(x: Floats, log_r: Floats) -> tuple[Floats, Floats, Floats]:
    """log(1 + R (1 - (R / (1 + R))^x)), and its derivatives in x and in log R."""
    r = np.exp(log_r)
    log_share = -np.log1p(1.0 / r)  # log of the share of worth that the next repeat has
    left = np.exp(x * log_share)
    gained = -r * np.expm1(x * log_share)
    worth = 1.0 + gained
    by_x = -r * left * log_share / worth
    by_r = (gained - left * x * r / (1.0 + r)) / worth
    return np.log(worth), by_x, by_r


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    return constrained_terms(theta, rows, geometric_decay, slopes)


DATA_CONSTRAINED_GEOMETRIC = Law(
    name="data_constrained_geometric",
    title="Data-constrained, geometric",
    formula="L = E + A / N'^alpha + B / D'^beta, D' = U (1 + R_D (1 - (R_D/(1+R_D))^(D/U - 1)))",
    citation="Muennighoff et al. 2023, arXiv:2305.16264, section 3.1, without the approximation",
    parameters=CONSTRAINED_PARAMETERS,
    terms=_terms,
    published={},
    published_for="",
    scale_terms=(("A", "alpha", "n"), ("B", "beta", "d")),
    first_stage=("E", "A", "B", "alpha", "beta"),
)
