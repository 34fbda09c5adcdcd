"""L = E + A / N^alpha + B / D^beta: every token as if it were new (Hoffmann et al. 2022)."""

import numpy as np

from workbench.laws.law import IRREDUCIBLE, Floats, Law, Rows, Terms, exponent, scale


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    e, a, b, alpha, beta = (theta[:, i, None] for i in range(5))
    n = len(rows)
    log_terms = np.empty((len(theta), n, 3))
    log_terms[..., 0] = e
    log_terms[..., 1] = a - alpha * rows.log_n
    log_terms[..., 2] = b - beta * rows.log_d
    if not slopes:
        return log_terms, None
    gradient = np.zeros((len(theta), n, 3, 5))
    gradient[..., 0, 0] = gradient[..., 1, 1] = gradient[..., 2, 2] = 1.0
    gradient[..., 1, 3] = -rows.log_n
    gradient[..., 2, 4] = -rows.log_d
    return log_terms, gradient


CHINCHILLA = Law(
    name="chinchilla",
    title="Chinchilla",
    formula="L = E + A / N^alpha + B / D^beta",
    citation="Hoffmann et al. 2022, arXiv:2203.15556, section 3.3",
    parameters=(
        IRREDUCIBLE,
        scale("A", "parameters"),
        scale("B", "data"),
        exponent("alpha", "parameters"),
        exponent("beta", "tokens"),
    ),
    terms=_terms,
    published={"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
    published_for="AR on MassiveText, refitted by Besiroglu et al. 2024 (arXiv:2404.10102)",
    needs_unique=False,
    scale_terms=(("A", "alpha", "n"), ("B", "beta", "d")),
)
