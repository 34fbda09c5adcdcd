"""Quokka's law for diffusion: loss may turn upward with too many epochs (arXiv:2510.03280).

L   = A / N^alpha + B / D'^beta
D'  = U e^gain exp(-(max(e - 1, 0) / e_p)^decay),  e = D / U
e_p = k U^mu / N^nu
"""

import numpy as np

from workbench.laws.law import Floats, Law, Parameter, Rows, Terms, exponent, scale


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    a, b, alpha, beta, gain, decay, log_k, mu, nu = (theta[:, i, None] for i in range(9))
    repeats = rows.repeats
    once = repeats <= 0
    log_epochs = rows.log_d - rows.log_u
    log_ratio = np.log(np.where(once, 1.0, repeats)) - (log_k + mu * rows.log_u - nu * rows.log_n)
    lost = np.where(once, 0.0, np.exp(np.minimum(decay * log_ratio, 50.0)))
    log_d = rows.log_u + gain * log_epochs - lost

    shape = log_d.shape
    log_terms = np.empty((*shape, 2))
    log_terms[..., 0] = a - alpha * rows.log_n
    log_terms[..., 1] = b - beta * log_d
    if not slopes:
        return log_terms, None
    gradient = np.zeros((*shape, 2, 9))
    gradient[..., 0, 0] = gradient[..., 1, 1] = 1.0
    gradient[..., 0, 2] = -rows.log_n
    gradient[..., 1, 3] = -log_d
    gradient[..., 1, 4] = -beta * log_epochs
    gradient[..., 1, 5] = beta * lost * log_ratio
    gradient[..., 1, 6] = -beta * decay * lost
    gradient[..., 1, 7] = -beta * decay * lost * rows.log_u
    gradient[..., 1, 8] = beta * decay * lost * rows.log_n
    return log_terms, gradient


QUOKKA = Law(
    name="quokka",
    title="Quokka",
    formula="L = A / N^alpha + B / D'^beta, D' = U e^gain exp(-((e - 1) / e_p)^decay), "
    "e_p = k U^mu / N^nu",
    citation="Ni et al. 2025, arXiv:2510.03280",
    parameters=(
        scale("A", "parameters"),
        scale("B", "data"),
        exponent("alpha", "parameters"),
        exponent("beta", "effective tokens"),
        Parameter("gain", 0.05, 5.0, (0.5, 2.0), "worth of epochs before decay", log=False),
        Parameter("decay", 0.02, 3.0, (0.2, 1.0), "how sharply repeats lose worth", log=False),
        Parameter("k", 1e-8, 1e12, (1.0, 1e3), "scale of the epochs that data bears"),
        Parameter("mu", -2.0, 3.0, (0.0, 1.0), "how unique tokens raise those epochs", log=False),
        Parameter("nu", -2.0, 3.0, (0.0, 1.0), "how parameters lower those epochs", log=False),
    ),
    terms=_terms,
    published={
        "A": 1535.23,
        "B": 54.21,
        "alpha": 0.42,
        "beta": 0.13,
        "gain": 1.49,
        "decay": 0.40,
        "k": 254.35,
        "mu": 0.39,
        "nu": 0.55,
    },
    published_for="masked diffusion, 23,145 runs",
    scale_terms=(("A", "alpha", "n"), ("B", "beta", "d")),
)
