"""L = E + A / N^alpha + B / (U^beta e^gamma), e = D / U: epochs have an exponent of their own.

With gamma = beta every repeated token is worth as much as a new one, and the law is Chinchilla's;
with gamma = 0 repeats are worth nothing. The floor E stays however long one trains.
"""

import numpy as np

from workbench.laws.law import IRREDUCIBLE, Floats, Law, Rows, Terms, exponent, scale


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    """Logarithms of the three terms, [S, n, 3], and their slopes in the parameters, [S, n, 3, 6].

    Scales come as logarithms, exponents as they are: theta is [S, 6], as `parameters` has them.
    """
    log_e, log_a, log_b, alpha, beta, gamma = (theta[:, i, None] for i in range(6))
    log_epochs = rows.log_d - rows.log_u
    log_terms = np.empty((len(theta), len(rows), 3))
    log_terms[..., 0] = log_e
    log_terms[..., 1] = log_a - alpha * rows.log_n
    log_terms[..., 2] = log_b - beta * rows.log_u - gamma * log_epochs
    if not slopes:
        return log_terms, None
    gradient = np.zeros((*log_terms.shape, 6))
    gradient[..., 0, 0] = gradient[..., 1, 1] = gradient[..., 2, 2] = 1.0
    gradient[..., 1, 3] = -rows.log_n
    gradient[..., 2, 4] = -rows.log_u
    gradient[..., 2, 5] = -log_epochs
    return log_terms, gradient


LAW = Law(
    name="epoch_power",
    title="Power of epochs",
    formula="L = E + A / N^alpha + B / (U^beta (D/U)^gamma)",
    citation="workbench-example, after Hoffmann et al. 2022, arXiv:2203.15556",
    parameters=(
        IRREDUCIBLE,
        scale("A", "parameters"),
        scale("B", "data"),
        exponent("alpha", "parameters"),
        exponent("beta", "unique tokens"),
        exponent("gamma", "epochs"),
    ),
    terms=_terms,
    published={},
    published_for="",
    scale_terms=(("A", "alpha", "n"), ("B", "beta", "d")),
)
