"""The law of each objective, fitted to finished runs, with the scatter of runs around it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workbench.errors import InputError
from workbench.laws.backtest import backtest, splits
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit
from workbench.laws.fitting.study_table import study_table
from workbench.laws.law import Floats, Law
from workbench.laws.predictors import DRAWS, Predictor
from workbench.laws.registry import LAWS
from workbench.laws.request import get_law

BEST = "best"
"""In place of a law's name: the one that a backtest finds best."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Expected:
    """An objective's law, fitted, with the scatter of runs around it."""

    law: Law
    fit: Fit
    predictor: Predictor
    """Its parameters, and those of resampled fits."""
    residuals: Floats
    """Of log loss, as large as those of runs that were not fitted."""
    source: str
    """The law and what it was fitted to, for people."""


def expected_losses(
    results: Path, sources: dict[str, list[str] | None], law: str, metric: str, say: Say
) -> tuple[dict[str, Expected], list[str]]:
    """The fitted law of each objective, and why there is none of others.

    Args:
        sources: studies, and which of their runs count; None for all.
        law: one law's name, or `BEST`.

    Raises:
        InputError: no such study or law.
    """
    if law != BEST and not isinstance(get_law(law), Law):
        raise InputError(f"--law {law}: it predicts no losses.")
    if not sources:
        return {}, ["no finished run here is of the same kind: no law can be fitted"]
    table = study_table(results, list(sources), metric, "last")
    wanted = {run for runs in sources.values() for run in runs or ()}
    if wanted:
        table = table.take(np.array([run in wanted for run in table.run_ids]))
    found, notes = {}, []
    for objective in table.objectives:
        own = table.of(objective)
        name = f"{objective}, {len(own)} runs of {', '.join(sources)}"
        try:
            chosen = _best_law(own, say) if law == BEST else get_law(law)
            assert isinstance(chosen, Law)
            found[str(objective)] = _fitted(chosen, own, name)
        except InputError as error:
            notes.append(f"{name}: {error}")
    return found, notes


def _best_law(table: LossTable, say: Say) -> Law:
    """The law of the least error on the runs of most compute; of those within one standard error
    of it, the one with the fewest parameters."""
    laws = {name: law for name, law in LAWS.items() if isinstance(law, Law)}
    (split,) = splits(table, ["compute"])
    found, missing = backtest(laws, table, split, FitOptions(starts=32, resamples=0), say)
    fitted = [result for result in found if not result.naive]
    if not fitted:
        raise InputError("; ".join(missing))
    best = min(fitted, key=lambda result: result.rmse)
    near = [laws[one.predictor] for one in fitted if one.margin(best).within_one_error]
    return min(near, key=lambda law: len(law.parameters))


def _fitted(law: Law, table: LossTable, source: str) -> Expected:
    options = FitOptions(resamples=DRAWS, diagnostics=False)
    (fit,) = fit_law(law, replace(table, objective=None), options)
    predictor = Predictor.of_fit(fit, "")
    return Expected(law, fit, predictor, fit.residuals, f"{law.name} fitted to {source}")
