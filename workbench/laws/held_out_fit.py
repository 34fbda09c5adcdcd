"""A law fitted to some of the runs, beside the runs that it was not fitted to."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workbench.conditions import Conditions, parse_conditions
from workbench.errors import InputError
from workbench.laws.backtest import ALONG, Split, split_by, splits
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit
from workbench.laws.fitting.study_table import study_table
from workbench.laws.law import Law
from workbench.laws.prediction import predictions
from workbench.laws.request import get_law
from workbench.messages import choose

NOTHING = "nothing"


@dataclass(frozen=True)
class HeldOutFit:
    """The fit of one objective, and its runs that were not fitted."""

    fit: Fit
    held_out: LossTable | None = None
    """None where every run was fitted."""
    train: str = "all runs"
    """What the fitted runs have in common."""

    @property
    def rmse_log(self) -> float | None:
        """The root mean square error of log loss on the held-out runs."""
        if self.held_out is None:
            return None
        table = self.held_out
        rows = predictions(self.fit, table.n_params, table.total_tokens, unique_of(table))
        errors = np.log([row["loss"] for row in rows]) - np.log(table.loss)
        return float(np.sqrt(np.mean(errors**2)))


def unique_of(table: LossTable) -> np.ndarray:
    """Unique tokens of each row; of a table without that column all tokens are."""
    return table.total_tokens if table.unique_tokens is None else table.unique_tokens


def fit_held_out(
    studies: list[str],
    results: Path,
    law: str = "data_constrained",
    *,
    train: Iterable[str] | None = None,
    along: str = "compute",
    metric: str = "val_loss",
    at: str = "last",
    where: Conditions = (),
    starts: int = 32,
    resamples: int = 200,
    seed: int = 0,
) -> list[HeldOutFit]:
    """A law fitted to the smaller runs of studies, an element for each objective.

    Args:
        train: conditions on the runs that are fitted; without them, the split of a backtest.
        along: what the held-out runs have most of: compute, size, unique_tokens or epochs; or
            "nothing", where every run is fitted.
        where: only runs that meet these conditions.

    Raises:
        InputError: no such study, law, quantity or column, the law predicts no losses of runs, or
            there are too few runs for it.
    """
    choose("--along", along, (*ALONG, NOTHING))
    chosen = get_law(law)
    if not isinstance(chosen, Law) or not chosen.reads_runs:
        raise InputError(f"--law {law}: it predicts no losses of runs, so there is no curve of it.")
    table = study_table(results, studies, metric, at, where)
    options = FitOptions(starts=starts, resamples=resamples, seed=seed, diagnostics=False)
    conditions = parse_conditions(train, "--train")
    if not conditions and along == NOTHING:
        return hold_out(chosen, table, None, options)
    split = split_by(table, conditions) if conditions else splits(table, (along,))[0]
    return hold_out(chosen, table, split, options)


def hold_out(
    law: Law, table: LossTable, split: Split | None, options: FitOptions
) -> list[HeldOutFit]:
    """A law fitted to the rows of a split, or to all without one, an element for each objective.

    Raises:
        InputError: no row of an objective is fitted, or too few for the law.
    """
    if split is None:
        return [HeldOutFit(fit) for fit in fit_law(law, table, options)]
    found = []
    for objective in table.objectives:
        own = np.full(len(table), True) if table.objective is None else table.objective == objective
        fitted, held_out = table.take(own & split.fitted), table.take(own & ~split.fitted)
        if not len(fitted):
            raise InputError(
                f"{table.source}: no run{f' of {objective}' if objective else ''} is fitted where "
                f"{split.train}. Give other conditions as --train."
            )
        (fit,) = fit_law(law, replace(fitted, objective=None), options)
        named = replace(fit, objective_name=objective)
        found.append(HeldOutFit(named, held_out if len(held_out) else None, split.train))
    return found
