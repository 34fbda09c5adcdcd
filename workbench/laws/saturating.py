"""Loss between what no model can beat and what an uninformed one has (arXiv:2605.09189).

    L = E + G h / (1 + h),  h = a / N^alpha + b / D^beta + c N^gamma / U^delta

G = L0 - E, where L0 is the loss of an uninformed guess. The last part of h is overfitting: loss
turns upward with size where unique tokens are few, not with epochs. Where h is small it is
Chinchilla's law with A = a G and B = b G, plus that part.
"""

import numpy as np

from workbench.laws.law import IRREDUCIBLE, Floats, Law, Parameter, Rows, Terms, exponent, scale


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    e, gap, a, b, c, alpha, beta, gamma, delta = (theta[:, i, None] for i in range(9))
    parts = np.stack(
        [
            a - alpha * rows.log_n,
            b - beta * rows.log_d,
            c + gamma * rows.log_n - delta * rows.log_u,
        ],
        axis=2,
    )
    log_rest = np.logaddexp(0.0, np.logaddexp.reduce(parts, axis=2))  # log(1 + h)
    log_terms = np.empty((*parts.shape[:2], 4))
    log_terms[..., 0] = e
    log_terms[..., 1:] = gap[..., None] + parts - log_rest[..., None]
    if not slopes:
        return log_terms, None
    by_part = np.zeros((*parts.shape, 9))
    for k, j in enumerate((2, 3, 4)):
        by_part[..., k, j] = 1.0
    by_part[..., 0, 5] = -rows.log_n
    by_part[..., 1, 6] = -rows.log_d
    by_part[..., 2, 7] = rows.log_n
    by_part[..., 2, 8] = -rows.log_u
    share = np.exp(parts - log_rest[..., None])  # of each part in 1 + h
    gradient = np.zeros((*log_terms.shape, 9))
    gradient[..., 1:, :] = by_part - np.einsum("snk,snkp->snp", share, by_part)[..., None, :]
    gradient[..., 1:, 1] = 1.0
    gradient[..., 0, 0] = 1.0
    return log_terms, gradient


SATURATING = Law(
    name="saturating",
    title="Saturating",
    formula="L = E + G h / (1 + h), h = a / N^alpha + b / D^beta + c N^gamma / U^delta, G = L0 - E",
    citation="Practical Scaling Laws 2026, arXiv:2605.09189",
    parameters=(
        IRREDUCIBLE,
        Parameter("G", 1e-2, 1e3, (1.0, 8.0), "loss of an uninformed guess above E"),
        scale("a", "parameters"),
        scale("b", "training"),
        Parameter("c", 1e-10, 1e10, (1e-2, 1e2), "scale of the loss due to overfitting"),
        exponent("alpha", "parameters"),
        exponent("beta", "tokens"),
        Parameter("gamma", 0.0, 3.0, (0.1, 0.8), "how parameters raise overfitting", log=False),
        exponent("delta", "unique tokens in overfitting"),
    ),
    terms=_terms,
    published={},
    published_for="",
    scale_terms=(("a", "alpha", "n"), ("b", "beta", "d")),
)
