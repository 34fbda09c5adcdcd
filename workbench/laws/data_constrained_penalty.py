"""Repeats lose their worth and also overfit: the data-constrained law with a penalty.

    L  = E + A / N^alpha + B / D'^beta + P r^delta (N / U)^kappa
    D' = U (1 + R_D (1 - exp(-r / R_D))),  r = D / U - 1

A law of this workbench, for curves that flatten before they turn: D' is Muennighoff et al.'s
(2023), the penalty Lovelace et al.'s (2026). With P near 0 it is `data_constrained` with R_N at
infinity (a model too large for its data is the penalty's matter), with R_D at infinity
`overfitting_penalty`, and without repeats Chinchilla's law.
"""

import numpy as np

from workbench.laws.chinchilla import CHINCHILLA
from workbench.laws.data_constrained import CONSTRAINED_PARAMETERS, exponential_decay
from workbench.laws.law import Floats, Law, Rows, Terms
from workbench.laws.overfitting_penalty import PENALTY_PARAMETERS, with_penalty

_R_D = CONSTRAINED_PARAMETERS[5]


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    beta, log_rd = theta[:, 4, None], theta[:, 5, None]
    worth, _, by_rd = exponential_decay(rows.repeats[None, :], log_rd)
    log_terms, own = CHINCHILLA.terms(theta[:, :5], rows, slopes)
    log_d = rows.log_u + worth
    log_terms[..., 2] = theta[:, 2, None] - beta * log_d
    if own is not None:
        own[..., 2, 4] = -log_d
        data = np.zeros((*own.shape[:-1], 1))
        data[..., 2, 0] = -beta * by_rd
        own = np.concatenate([own, data], axis=-1)
    return with_penalty(theta, rows, (log_terms, own), slopes)


DATA_CONSTRAINED_PENALTY = Law(
    name="data_constrained_penalty",
    title="Data-constrained with an overfitting penalty",
    formula="L = E + A / N^alpha + B / D'^beta + P (D/U - 1)^delta (N/U)^kappa, "
    "D' = U (1 + R_D (1 - exp(-(D/U - 1) / R_D)))",
    citation="a law of this workbench, of arXiv:2305.16264's D' and arXiv:2605.01640's penalty",
    parameters=(*CHINCHILLA.parameters, _R_D, *PENALTY_PARAMETERS),
    terms=_terms,
    published={},
    published_for="",
    scale_terms=CHINCHILLA.scale_terms,
)
