"""IsoFLOP profiles: the best size at each compute budget, and how it grows (Hoffmann et al. 2022,
approach 2).

Within a budget, log L is a parabola in log N; its lowest point is N_opt. Then

    N_opt = k_N C^a,   D_opt = k_D C^b,   each fitted for itself.
"""

from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError
from workbench.laws.fitting.check_table import mixed_conditions, odd_rows, poor_fit
from workbench.laws.fitting.clusters import (
    clusters_of,
    interval_ends,
    resample_counts,
    resampled,
)
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.minimise import minimise
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.problem import Problem
from workbench.laws.fitting.result import Fit, fitted_range, r_squared
from workbench.laws.law import Floats, Law, Parameter, Procedure, Rows, Terms

_WIDTH = 0.08  # in log10 of compute: how far runs of one budget may differ
_LEAST_SQUARES = 1e3  # Huber's delta, of log loss: beyond any residual
_SIZES = 4  # distinct sizes that a parabola and a residual need


def _parabola(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    x = rows.log_n
    powers = np.stack([np.ones_like(x), x, x * x], axis=1)
    log_terms = (theta @ powers.T)[..., None]
    if not slopes:
        return log_terms, None
    return log_terms, np.broadcast_to(powers[None, :, None, :], (len(theta), len(x), 1, 3)).copy()


PARABOLA = Law(
    name="parabola",
    title="Parabola in log N",
    formula="log L = c0 + c1 x + c2 x^2",
    citation="",
    parameters=(
        Parameter("c0", -30.0, 30.0, (0.0, 1.0), "log loss at the middle size", log=False),
        Parameter("c1", -30.0, 30.0, (0.0, 1.0), "slope there", log=False),
        Parameter("c2", 1e-7, 30.0, (0.0, 1.0), "half its curvature", log=False),
    ),
    terms=_parabola,
    published={},
    published_for="",
)


@dataclass(frozen=True)
class Budget:
    """One compute budget: its FLOPs, rows, parabola (of log N about `centre`) and lowest point."""

    compute: float
    rows: np.ndarray
    centre: float
    coefficients: Floats
    objective: float
    n_opt: float
    loss_opt: float
    inside: bool
    """Whether the lowest point lies among the sizes trained."""
    draws: Floats
    """N_opt of the resamples; NaN where a resample has no lowest point."""


def budgets(table: LossTable, options: FitOptions) -> list[Budget]:
    """The parabola of each compute budget that has enough sizes."""
    parts = _by_compute(np.log10(table.compute))
    group = np.empty(len(table), dtype=np.intp)
    for number, part in enumerate(parts):
        group[part] = number
    counts = resample_counts(
        np.random.default_rng(options.seed), options.resamples, group,
        clusters_of(table, options.cluster),
    )  # fmt: skip
    return [
        _budget(table, part, options, counts[:, part])
        for part in parts
        if len(np.unique(table.n_params[part])) >= _SIZES
    ]


def _by_compute(log_c: Floats) -> list[np.ndarray]:
    """Rows of about equal compute. A new budget starts where the previous one would become too
    wide: joining all near neighbours would join budgets that are far from each other."""
    order = np.argsort(log_c, kind="stable")
    cuts: list[int] = []
    start = 0
    for place, row in enumerate(order):
        if log_c[row] - log_c[order[start]] > _WIDTH:
            cuts.append(place)
            start = place
    return np.split(order, cuts)


def _budget(table: LossTable, rows: np.ndarray, options: FitOptions, counts: Floats) -> Budget:
    x, y = np.log(table.n_params[rows]), np.log(table.loss[rows])
    centre = float(x.mean())
    z = x - centre
    zeros = np.zeros(len(rows), dtype=np.intp)
    low, high = (
        np.array([getattr(p, end) for p in PARABOLA.parameters]) for end in ("low", "high")
    )
    problem = Problem(
        PARABOLA, Rows(z, z, z), y, zeros, np.arange(3)[None], PARABOLA.names, low, high,
        _LEAST_SQUARES if options.delta is None else options.delta,
    )  # fmt: skip
    start = np.polyfit(z, y, 2)[::-1]
    minimum = minimise(problem, start[None])
    resampled = (
        minimise(problem, np.tile(minimum.theta[0], (len(counts), 1)), counts=counts)
        if len(counts)
        else minimum
    )
    theta = minimum.theta[0]
    lowest = -theta[1] / (2 * theta[2])
    lowest_draws = -resampled.theta[:, 1] / (2 * resampled.theta[:, 2])
    # A resample whose lowest point is far outside the sizes trained has no usable one.
    usable = (np.abs(lowest_draws) < 3 * np.ptp(z)) & (resampled.theta[:, 2] > 1e-6)
    compute = float(np.exp(np.log(table.compute[rows]).mean()))
    return Budget(
        compute=compute,
        rows=rows,
        centre=centre,
        coefficients=theta,
        objective=float(minimum.objective[0]),
        n_opt=float(np.exp(centre + np.clip(lowest, -50, 50))),
        loss_opt=float(np.exp(theta[0] + theta[1] * lowest / 2)),
        inside=bool(theta[2] > 1e-6 and z.min() < lowest < z.max()),
        draws=np.where(usable, np.exp(centre + np.clip(lowest_draws, -50, 50)), np.nan),
    )


def fit_isoflop(table: LossTable, options: FitOptions) -> list[Fit]:
    """Fit each objective's profiles.

    Raises:
        InputError: fewer than two budgets have a lowest point among their sizes.
    """
    names = [None] if options.joint else table.objectives
    return [_fit_objective(table.of(name), name, options) for name in names]


def _fit_objective(table: LossTable, objective: str | None, options: FitOptions) -> Fit:
    every = budgets(table, options)
    clusters = clusters_of(table, options.cluster)
    used = [b for b in every if b.inside]
    if len(used) < 2:
        who = f" of {objective}" if objective else ""
        raise InputError(
            f"{table.source}: IsoFLOP needs two compute budgets{who} of at least {_SIZES} sizes "
            f"with a lowest loss in between; here are {len(every)} such budgets, {len(used)} with "
            "a lowest point. Fit another law, or train more sizes at equal compute."
        )
    log_c = np.log([b.compute for b in used])
    log_n = np.log([b.n_opt for b in used])
    log_d = log_c - np.log(6) - log_n
    params, draws = _power_laws(log_c, log_n, log_d, used)
    ci95: dict[str, tuple[float | None, float | None] | None] = dict.fromkeys(params)
    if draws is not None:
        for name, values in draws.items():
            if name in ("k_N", "k_D"):  # scales: symmetric, if at all, in their logarithm
                ends = interval_ends(np.log(values), np.log(params[name]), clusters)
                ci95[name] = (float(np.exp(ends[0])), float(np.exp(ends[1])))
            else:
                ci95[name] = interval_ends(values, params[name], clusters)
    predicted = _predicted(table, every)
    poor = poor_fit(_r2_within(table, every), "Within compute budgets,")
    sound = not poor and not mixed_conditions(table, unique=False)
    fitted = np.isfinite(predicted)
    notes = [
        f"budget of {b.compute:.3g} FLOPs left out: its lowest point is outside the sizes trained"
        for b in every
        if not b.inside
    ]
    if (~fitted).any():
        notes.append(f"{(~fitted).sum():,} rows in budgets of fewer than {_SIZES} sizes left out")
    return Fit(
        law="isoflop",
        objective_name=objective,
        n=int(fitted.sum()),
        loss=float(sum(b.objective for b in every)),
        huber_delta=options.delta,  # none for least squares
        r2=r_squared(table.loss[fitted], predicted[fitted]),
        params=params,
        ci95=ci95,
        identified=dict.fromkeys(params, draws is not None and sound),
        starts=1,
        held_out=_held_out(log_c, log_n),
        ci_method=resampled(clusters, options.resamples) if draws else None,
        checks=(*odd_rows(table, unique=False), *poor),
        notes=(*table.notes, f"{len(used)} compute budgets", *notes),
        formula=ISOFLOP.formula,
        citation=ISOFLOP.citation,
        table=table.take(fitted),
        predicted=predicted[fitted],
        draws=draws,
        fitted_range=fitted_range(table),
    )


def _power_laws(
    log_c: Floats, log_n: Floats, log_d: Floats, used: list[Budget]
) -> tuple[dict[str, float], dict[str, Floats] | None]:
    """k and exponent of N_opt and D_opt, with their resamples."""
    params = {name: float(v[0]) for name, v in _lines(log_c, log_n[None], log_d[None]).items()}
    resampled = np.log(np.stack([b.draws for b in used], axis=1))
    # A resample without a lowest point in some budget still has the others.
    usable = resampled[np.isfinite(resampled).sum(axis=1) >= max(2, len(used) // 2)]
    if len(usable) < 100:
        return params, None
    return params, _lines(log_c, usable, log_c - np.log(6) - usable)


def _lines(log_c: Floats, log_n: Floats, log_d: Floats) -> dict[str, Floats]:
    """Least squares of rows (S, budgets) on log C, over the budgets that a row has."""
    a, at_n = _line(log_c, log_n)
    b, at_d = _line(log_c, log_d)
    return {"k_N": np.exp(at_n), "a": a, "k_D": np.exp(at_d), "b": b}


def _line(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept (S,)."""
    there = np.isfinite(y)
    x = np.where(there, x, np.nan)
    mean_x, mean_y = np.nanmean(x, axis=1), np.nanmean(y, axis=1)
    centred = x - mean_x[:, None]
    slope = np.nansum(centred * y, axis=1) / np.nansum(centred**2, axis=1)
    return slope, mean_y - slope * mean_x


def _predicted(table: LossTable, every: list[Budget]) -> Floats:
    predicted = np.full(len(table), np.nan)
    for b in every:
        z = np.log(table.n_params[b.rows]) - b.centre
        predicted[b.rows] = np.exp(np.polyval(b.coefficients[::-1], z))
    return predicted


def _r2_within(table: LossTable, every: list[Budget]) -> float:
    """How much of log loss the parabolas explain within budgets, whose levels are no merit."""
    residual = total = 0.0
    for b in every:
        y = np.log(table.loss[b.rows])
        fitted = np.polyval(b.coefficients[::-1], np.log(table.n_params[b.rows]) - b.centre)
        residual += float(((y - fitted) ** 2).sum())
        total += float(((y - y.mean()) ** 2).sum())
    return 1 - residual / total if total else 1.0


def _held_out(log_c: Floats, log_n: Floats) -> dict[str, float | int] | None:
    """The best size at the largest budget, predicted from the smaller ones."""
    if len(log_c) < 3:
        return None
    slope = np.polyfit(log_c[:-1], log_n[:-1], 1)
    predicted = float(np.polyval(slope, log_c[-1]))
    return {
        "n": 1,
        "compute_from": float(np.exp(log_c[-1])),
        "n_opt_seen": float(np.exp(log_n[-1])),
        "n_opt_predicted": float(np.exp(predicted)),
        "error_log_n": predicted - float(log_n[-1]),
    }


ISOFLOP = Procedure(
    name="isoflop",
    title="IsoFLOP",
    formula="log L parabolic in log N per compute budget; N_opt = k_N C^a, D_opt = k_D C^b",
    citation="Hoffmann et al. 2022, arXiv:2203.15556, approach 2",
    fit=fit_isoflop,
    published={"a": 0.49, "b": 0.51},
    published_for="AR on MassiveText",
)
