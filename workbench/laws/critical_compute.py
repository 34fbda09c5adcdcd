"""The compute from which diffusion is the better use of U unique tokens (Prabhudesai et al. 2025).

    C_crit(U) = k U^p

For each number of unique tokens, the best loss that either objective has reached with at most C
FLOPs is compared, over all its sizes and epochs; C_crit is where the challenger gets ahead for
good. Budgets where it has not yet are lower bounds, and enter the fit as such.
"""

from dataclasses import dataclass, replace

import numpy as np

from workbench.analysis.crossing import Crossing, compare_curves
from workbench.analysis.trends import PowerLawTrend, power_law_trend
from workbench.errors import InputError
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.problem import huber
from workbench.laws.fitting.result import Fit, fitted_range, r_squared
from workbench.laws.law import Floats, Procedure
from workbench.recipe.objectives import BASELINE

PUBLISHED = {"k": 2.12 * 10**1.956, "p": 2.174}
PUBLISHED_RANGE = {"unique_tokens": (2.5e7, 1e8), "n_params": (7e6, 2.5e9), "epochs": (1.0, 800.0)}
"""Of the runs behind it, by its paper; of compute the paper gives no range."""


@dataclass(frozen=True)
class CriticalPoint:
    """One number of unique tokens, and where the challenger's best overtakes (FLOPs)."""

    unique_tokens: float
    crossing: Crossing

    @property
    def place(self) -> float:
        """The critical compute, or the known bound of it."""
        bound = {"not_reached": self.crossing.last_x, "ahead_throughout": self.crossing.first_x}
        crossover = self.crossing.crossover
        return bound[self.crossing.status] if crossover is None else crossover


def critical_points(table: LossTable) -> list[CriticalPoint]:
    """One point for each number of unique tokens that both objectives were trained on.

    Raises:
        InputError: the table does not have AR and exactly one other objective.
    """
    others = [name for name in table.objectives if name not in (None, BASELINE)]
    if BASELINE not in table.objectives or len(others) != 1 or table.unique_tokens is None:
        raise InputError(
            f"{table.source}: critical_compute compares objective {BASELINE} with one other, for "
            f"each unique_tokens. Here: {', '.join(map(str, table.objectives))}."
        )
    ours, theirs = table.of(BASELINE), table.of(others[0])
    assert ours.unique_tokens is not None
    assert theirs.unique_tokens is not None
    points = []
    for unique in np.intersect1d(ours.unique_tokens, theirs.unique_tokens):
        frontiers = [
            frontier(side.compute[own], side.loss[own])
            for side, own in ((s, s.unique_tokens == unique) for s in (ours, theirs))
        ]
        crossing = compare_curves(*frontiers[0], *frontiers[1], higher_is_better=False)
        if crossing is not None:
            points.append(CriticalPoint(float(unique), _in_flops(crossing)))
    return points


def frontier(compute: Floats, loss: Floats) -> tuple[Floats, Floats]:
    """The best loss with at most so much compute: log FLOPs and running minimum."""
    order = np.lexsort((loss, compute))
    x, y = np.log(compute[order]), np.minimum.accumulate(loss[order])
    last = np.r_[x[1:] != x[:-1], True]
    return x[last], y[last]


def _in_flops(crossing: Crossing) -> Crossing:
    return replace(
        crossing,
        crossover=None if crossing.crossover is None else float(np.exp(crossing.crossover)),
        first_x=float(np.exp(crossing.first_x)),
        last_x=float(np.exp(crossing.last_x)),
        all_crossings=[float(np.exp(x)) for x in crossing.all_crossings],
        first_crossing=(
            None if crossing.first_crossing is None else float(np.exp(crossing.first_crossing))
        ),
    )


def fit_critical(table: LossTable, options: FitOptions) -> list[Fit]:
    """Fit C_crit(U), with budgets that have not crossed as censored values.

    Raises:
        InputError: the challenger got ahead at fewer than two unique budgets.
    """
    if options.cluster is not None:
        raise InputError("--cluster: critical_compute draws no resamples; leave it out.")
    points = critical_points(table)
    x = np.array([point.unique_tokens for point in points])
    y = np.array([point.place for point in points])
    trend = power_law_trend(x, y, [point.crossing.status for point in points])
    if trend.exponent is None or trend.scale is None:
        raise InputError(
            f"{table.source}: critical_compute needs at least two unique budgets where the "
            f"challenger got ahead for good; here {trend.n_crossed} of {len(points)} did "
            f"({trend.note})."
        )
    crossed = np.array([point.crossing.status == "crossed" for point in points])
    predicted = trend.scale * x**trend.exponent
    residuals = np.log(predicted[crossed]) - np.log(y[crossed])
    bounds = len(points) - trend.n_crossed
    notes = [f"unique budgets: {trend.n_crossed} crossed, {bounds} are bounds"]
    if trend.note:
        notes.append(trend.note)
    return [
        Fit(
            law="critical_compute",
            objective_name=None,
            n=len(points),
            loss=float(huber(residuals, options.huber_delta).sum()),
            huber_delta=options.huber_delta,
            r2=r_squared(np.log(y[crossed]), np.log(predicted[crossed])),
            params={"k": trend.scale, "p": trend.exponent},
            ci95={"k": _scale_interval(trend), "p": _pair(trend.exponent_ci95)},
            identified={
                "k": trend.exponent_ci95 is not None,
                "p": trend.exponent_ci95 is not None and None not in trend.exponent_ci95,
            },
            starts=1,
            held_out=None,
            ci_method="profile likelihood, bounds censored" if trend.exponent_ci95 else None,
            notes=(*table.notes, *notes),
            formula=CRITICAL_COMPUTE.formula,
            citation=CRITICAL_COMPUTE.citation,
            fitted_range={**fitted_range(table), "unique_tokens": (float(x.min()), float(x.max()))},
        )
    ]


def _pair(ends: list[float | None] | None) -> tuple[float | None, float | None] | None:
    return None if ends is None else (ends[0], ends[1])


def _scale_interval(trend: PowerLawTrend) -> tuple[float | None, float | None] | None:
    """The interval of k = C_crit(1): far outside the data, so it follows the exponent's."""
    if trend.fit is None or trend.exponent_ci95 is None or None in trend.exponent_ci95:
        return None
    centre = float(trend.fit.x.mean())
    middle = trend.fit.intercept + trend.fit.slope * centre
    low, high = (float(np.exp(middle - end * centre)) for end in trend.exponent_ci95 if end)
    return (min(low, high), max(low, high))


CRITICAL_COMPUTE = Procedure(
    name="critical_compute",
    title="Critical compute",
    formula="C_crit = k U^p: FLOPs from which diffusion's best loss is below AR's best",
    citation="Prabhudesai et al. 2025, arXiv:2507.15857",
    fit=fit_critical,
    published=PUBLISHED,
    published_for="masked diffusion against AR",
)
