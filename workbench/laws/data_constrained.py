"""Repeated tokens and excess parameters lose their worth (Muennighoff et al. 2023, section 3.1).

    L  = E + A / N'^alpha + B / D'^beta
    D' = U (1 + R_D (1 - exp(-r_D / R_D))),   r_D = D / U - 1
    N' = U_N (1 + R_N (1 - exp(-r_N / R_N))), r_N = N / U_N - 1
    U_N = min(N, G (G U)^(beta / alpha)),     G = (alpha A / (beta B))^(1 / (alpha + beta))

R_D and R_N are e-folding numbers of repetitions, not half-lives.
"""

from collections.abc import Callable

import numpy as np

from workbench.laws.law import IRREDUCIBLE, Floats, Law, Parameter, Rows, Terms, exponent, scale

# (repeats x, log of R) -> log(1 + worth of the repeats), its slopes in x and in log R
Decay = Callable[[Floats, Floats], tuple[Floats, Floats, Floats]]


def exponential_decay(x: Floats, log_r: Floats) -> tuple[Floats, Floats, Floats]:
    """log(1 + R (1 - exp(-x / R))), and its derivatives in x and in log R."""
    r = np.exp(log_r)
    left = np.exp(-x / r)
    gained = -r * np.expm1(-x / r)
    worth = 1.0 + gained
    return np.log(worth), left / worth, (gained - left * x) / worth


def constrained_terms(theta: Floats, rows: Rows, decay: Decay, slopes: bool) -> Terms:
    """Terms of a data-constrained law whose repeats lose worth as `decay` says."""
    e, a, b, alpha, beta, log_rd, log_rn = (theta[:, i, None] for i in range(7))
    worth_d, _, by_rd = decay(rows.repeats[None, :], log_rd)
    log_d = rows.log_u + worth_d

    total = alpha + beta
    g = (np.log(alpha) + a - np.log(beta) - b) / total
    supported = g + beta / alpha * (g + rows.log_u)
    inside = rows.log_n <= supported  # U_N = N: every parameter is supported by the data
    log_un = np.where(inside, rows.log_n, supported)
    excess = np.expm1(np.minimum(rows.log_n - log_un, 300.0))  # far starts overflow otherwise
    worth_n, by_excess, by_rn = decay(excess, log_rn)
    log_n = log_un + worth_n
    # d log N' / d log U_N: fewer unsupported parameters, each of which is worth less.
    slope = np.where(inside, 0.0, 1.0 - by_excess * (excess + 1.0))
    lever = 1.0 + beta / alpha
    by_alpha = lever * (1 / alpha - g) / total - beta / alpha**2 * (g + rows.log_u)
    by_beta = -lever * (1 / beta + g) / total + (g + rows.log_u) / alpha

    shape = log_n.shape
    log_terms = np.empty((*shape, 3))
    log_terms[..., 0] = e
    log_terms[..., 1] = a - alpha * log_n
    log_terms[..., 2] = b - beta * log_d
    if not slopes:
        return log_terms, None
    gradient = np.zeros((*shape, 3, 7))
    gradient[..., 0, 0] = 1.0
    gradient[..., 1, 1] = 1.0 - alpha * slope * lever / total
    gradient[..., 1, 2] = alpha * slope * lever / total
    gradient[..., 1, 3] = -log_n - alpha * slope * by_alpha
    gradient[..., 1, 4] = -alpha * slope * by_beta
    gradient[..., 1, 6] = -alpha * by_rn
    gradient[..., 2, 2] = 1.0
    gradient[..., 2, 4] = -log_d
    gradient[..., 2, 5] = -beta * by_rd
    return log_terms, gradient


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    return constrained_terms(theta, rows, exponential_decay, slopes)


CONSTRAINED_PARAMETERS = (
    IRREDUCIBLE,
    scale("A", "parameters"),
    scale("B", "data"),
    exponent("alpha", "parameters"),
    exponent("beta", "tokens"),
    Parameter("R_D", 1e-2, 1e5, (0.3, 300.0), "repetitions after which repeats lose their worth"),
    Parameter("R_N", 1e-2, 1e5, (0.3, 300.0), "the same of parameters beyond what data supports"),
)

DATA_CONSTRAINED = Law(
    name="data_constrained",
    title="Data-constrained",
    formula="L = E + A / N'^alpha + B / D'^beta, D' = U (1 + R_D (1 - exp(-(D/U - 1) / R_D)))",
    citation="Muennighoff et al. 2023, arXiv:2305.16264, equations 5 and 6",
    parameters=CONSTRAINED_PARAMETERS,
    terms=_terms,
    published={
        "E": 1.86914368,
        "A": 520.82495,
        "B": 1487.71609,
        "alpha": 0.3526596,
        "beta": 0.3526596,
        "R_D": 15.387756,
        "R_N": 5.309743,
    },
    published_for="AR on C4",
    scale_terms=(("A", "alpha", "n"), ("B", "beta", "d")),
    first_stage=("E", "A", "B", "alpha", "beta"),
)
