"""Backtests: laws fitted to the smaller runs of a study, and held against the larger ones.

A prediction's interval is for the loss of a single run: it has the uncertainty of the parameters
(resampled fits) and the scatter of runs around the law (the training runs' residuals). How often it
holds what was measured is its coverage; that the law itself may be wrong out there is in no
interval, and shows in bias and coverage.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.conditions import Conditions, parse_conditions
from workbench.errors import InputError
from workbench.laws.fitting.clusters import Clusters
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.margin import Margin, margin
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.study_table import study_table
from workbench.laws.law import Floats, Law
from workbench.laws.naive import NAIVE
from workbench.laws.predictors import DRAWS, Predictor
from workbench.laws.registry import LAWS
from workbench.laws.request import get_law
from workbench.messages import choose

ALONG = ("size", "unique_tokens", "epochs", "compute")
_LEVELS = 8  # more different values than these are divided by their number, not by value
_SHARE = 0.2  # of the rows, then, are predicted

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Which rows are fitted; the others are predicted."""

    along: str
    """size, unique_tokens, epochs or compute; or "conditions"."""
    train: str
    """What the fitted rows have in common, as a condition."""
    fitted: Mask


@dataclass(frozen=True)
class Backtest:
    """One predictor against the held-out runs of one objective and split.

    Arrays have one element a held-out run: its loss, the predicted loss, and the ends of the 95 %
    interval, NaN for predictors without one.
    """

    predictor: str
    naive: bool
    objective: str | None
    split: Split
    table: LossTable
    """The held-out runs."""
    train: LossTable
    predicted: Floats
    low: Floats
    high: Floats
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> Floats:
        """Of log loss, predicted less measured: 0.01 is one percent too high."""
        return np.log(self.predicted / self.table.loss)

    @property
    def rmse(self) -> float:
        return float(np.sqrt((self.error**2).mean()))

    def margin(self, other: "Backtest") -> Margin:
        """How much larger its error is than another's. Runs of one size, length and number of
        unique tokens err together, and count once."""
        return margin(self.error, other.error, Clusters(cell_of(self.table), "configuration"))


@dataclass(frozen=True)
class Backtests:
    """All backtests of a request, and what a reader must know of them."""

    results: list[Backtest]
    notes: list[str]


def run_backtest(
    studies: list[str],
    results: Path,
    *,
    train: Iterable[str] | None = None,
    along: str = "all",
    law: str = "all",
    metric: str = "val_loss",
    at: str = "last",
    where: Iterable[str] | None = None,
    cluster: str | None = None,
    starts: int = 32,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Backtests:
    """Backtest laws on the runs of studies.

    Args:
        train: conditions on the runs that are fitted; without them, splits `along` a quantity, or
            along each with "all".
        law: one law's name, or "all" of those that predict losses.
        say: is called with what is being fitted.

    Raises:
        InputError: no such study, law, quantity or column, or no law can be fitted.
    """
    chosen = None if law == "all" else get_law(law)
    if chosen is not None and not isinstance(chosen, Law):
        raise InputError(f"--law {law}: it predicts no losses, so there is nothing to hold it to.")
    laws = {name: one for name, one in LAWS.items() if isinstance(one, Law)}
    laws = laws if chosen is None else {law: chosen}
    table = study_table(results, studies, metric, at, parse_conditions(where, "--where"))
    options = FitOptions(starts=starts, resamples=DRAWS, seed=seed, cluster=cluster)
    if conditions := parse_conditions(train, "--train"):
        chosen_splits = [split_by(table, conditions)]
    else:
        chosen_splits = splits(table, ALONG if along == "all" else (along,))
    found: list[Backtest] = []
    notes = list(table.notes)
    for split in chosen_splits:
        some, missing = backtest(laws, table, split, options, say)
        found += some
        notes += [f"not fitted {reason}" for reason in missing]
    notes += [note for result in found for note in result.notes]
    if all(result.naive for result in found):
        raise InputError(f"{table.source}: no law can be fitted:\n" + "\n".join(notes))
    return Backtests(found, list(dict.fromkeys(notes)))


def splits(table: LossTable, along: Iterable[str]) -> list[Split]:
    """The rows below the highest level of a quantity, or below its highest fifth.

    Raises:
        InputError: a quantity is unknown.
    """
    found = []
    for name in along:
        values = _quantity(table, name)
        levels = np.unique(values.round(6))
        threshold = float(levels[-1] if len(levels) <= _LEVELS else np.quantile(values, 1 - _SHARE))
        fitted = values < threshold * (1 - 1e-6)
        column = {"size": "n_params"}.get(name, name)
        found.append(Split(name, f"{column} < {threshold:.4g}", fitted))
    return found


def split_by(table: LossTable, conditions: Conditions) -> Split:
    """The rows that meet conditions are fitted, all others predicted.

    Raises:
        InputError: there is no such column, or no row meets them, or all do.
    """
    known = replace(table, columns={**table.columns, "place": np.arange(len(table)).astype(object)})
    fitted = np.zeros(len(table), dtype=bool)
    fitted[known.where(conditions).columns["place"].astype(np.intp)] = True
    text = " and ".join(map(str, conditions))
    if fitted.all():
        raise InputError(
            f"--train {text}: every run of {table.source} is so, and none is left to predict."
        )
    return Split("conditions", text, fitted)


def _quantity(table: LossTable, name: str) -> Floats:
    unique = table.total_tokens if table.unique_tokens is None else table.unique_tokens
    values = {
        "size": table.n_params,
        "unique_tokens": unique,
        "epochs": table.total_tokens / unique,
        "compute": table.compute,
    }
    return values[choose("--along", name, (*ALONG, "all"))]


def cell_of(table: LossTable) -> NDArray[np.intp]:
    """For each row (n,), the number of its configuration: size, length and unique tokens."""
    inputs = np.column_stack([table.n_params, table.total_tokens, table.rows.log_u])
    return np.unique(inputs, axis=0, return_inverse=True)[1].astype(np.intp)


def cells(table: LossTable) -> list[NDArray[np.intp]]:
    """The places of the rows of each configuration."""
    label = cell_of(table)
    return [np.flatnonzero(label == one) for one in range(label.max() + 1)]


def backtest(
    laws: Mapping[str, Law],
    table: LossTable,
    split: Split,
    options: FitOptions,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[list[Backtest], list[str]]:
    """Every law, and the naive predictors, against the held-out runs of each objective.

    Returns:
        the results, and for each law that could not be fitted the reason.
    """
    found: list[Backtest] = []
    missing: list[str] = []
    for objective in table.objectives:
        own = np.full(len(table), True) if table.objective is None else table.objective == objective
        train, test = table.take(own & split.fitted), table.take(own & ~split.fitted)
        who = f"along {split.along}" + (f", {objective}" if objective else "")
        if not len(train) or not len(test):
            missing.append(f"{who}: no run to {'predict' if len(train) else 'fit'}")
            continue
        naive = {name: predict(train, test) for name, predict in NAIVE.items()}
        nothing = np.full(len(test), np.nan)
        made = partial(Backtest, objective=objective, split=split, table=test, train=train)
        for name, predicted in naive.items():
            found.append(made(name, True, predicted=predicted, low=nothing, high=nothing))
        for name, law in laws.items():
            say(f"{who}: {name}")
            try:
                predicted, low, high, notes = _predicted(law, train, test, options)
            except InputError as error:
                missing.append(f"{who}: {name}: {error}")
                continue
            found.append(made(name, False, predicted=predicted, low=low, high=high, notes=notes))
    return found, missing


def _predicted(
    law: Law, train: LossTable, test: LossTable, options: FitOptions
) -> tuple[Floats, Floats, Floats, tuple[str, ...]]:
    """Losses (n,) of the held-out runs by a law, with the ends of their 95 % intervals."""
    (fit,) = fit_law(law, replace(train, objective=None), replace(options, diagnostics=False))
    predictor = Predictor.of_fit(fit, str(None if train.objective is None else train.objective[0]))
    log_loss = law.log_loss(predictor.theta, test.rows)
    low, high = prediction_interval(log_loss[1:], fit.residuals, options.seed)
    notes = (f"{law.name}: intervals: {fit.ci_method}, and the runs' residuals",)
    return np.exp(log_loss[0]), low, high, notes if len(log_loss) > 1 else ()


def prediction_interval(log_loss: Floats, residuals: Floats, seed: int) -> tuple[Floats, Floats]:
    """The 95 % intervals (n,), (n,) of single losses; NaN without resampled fits.

    Args: see `prediction_draws`.
    """
    if len(log_loss) < 20:
        nothing = np.full(log_loss.shape[1], np.nan)
        return nothing, nothing
    together = prediction_draws(log_loss, residuals, seed)
    low, high = np.exp(np.quantile(together, [0.025, 0.975], axis=0))
    return low, high


def prediction_draws(log_loss: Floats, residuals: Floats, seed: int) -> Floats:
    """Draws (20 S, n) of the log losses of single runs.

    Args:
        log_loss: (S, n), predicted by resampled fits.
        residuals: of log loss around the fit, as large as those of runs that were not fitted.
    """
    rng = np.random.default_rng(seed)
    scatter = rng.choice(residuals - residuals.mean(), size=(20, *log_loss.shape))
    return (log_loss[None] + scatter).reshape(-1, log_loss.shape[1])


def score(result: Backtest, best_naive: Backtest) -> dict[str, Any]:
    """How good one predictor was: error, bias, coverage, and what it is better by than the best
    naive one, paired over the held-out cells."""
    error = result.error
    covered: dict[str, Any] = {"coverage": None, "coverage_ci95": None, "covered": None}
    if np.isfinite(result.low).all():
        inside = (result.low <= result.table.loss) & (result.table.loss <= result.high)
        held = stats.binomtest(int(inside.sum()), len(inside)).proportion_ci(0.95, method="exact")
        covered = {
            "coverage": float(inside.mean()),
            "coverage_ci95": [float(held.low), float(held.high)],
            "covered": int(inside.sum()),
        }
    better: dict[str, Any] = {"difference": None, "difference_ci95": None}
    if not result.naive:
        difference = result.margin(best_naive)
        ends = difference.interval
        better = {
            "difference": difference.value,
            "difference_ci95": None if ends is None else list(ends),
        }
    return {
        "objective": result.objective,
        "metric": result.table.metric,
        "at": result.table.at,
        "along": result.split.along,
        "train": result.split.train,
        "predictor": result.predictor,
        "naive": result.naive,
        "n_train": len(result.train),
        "n_test": len(error),
        "cells": len(cells(result.table)),
        "mean_abs_log": float(np.abs(error).mean()),
        "rmse_log": result.rmse,
        "bias_log": float(error.mean()),
        **covered,
        "held_out": _held_out(result),
        "fitted": np.column_stack([result.train.compute, result.train.loss]).tolist(),
        "best_naive": best_naive.predictor,
        **better,
    }


def _held_out(result: Backtest) -> list[dict[str, Any]]:
    """The held-out configurations, the losses of each one's runs averaged."""
    table = result.table
    unique = table.total_tokens if table.unique_tokens is None else table.unique_tokens
    rows = []
    for place in cells(table):
        first = place[0]
        low, high = (float(ends[first]) for ends in (result.low, result.high))
        rows.append(
            {
                "n_params": float(table.n_params[first]),
                "unique_tokens": float(unique[first]),
                "total_tokens": float(table.total_tokens[first]),
                "compute": float(np.mean(table.compute[place])),
                "runs": len(place),
                "loss": float(np.exp(np.mean(np.log(table.loss[place])))),
                "predicted": float(result.predicted[first]),
                "low": low if np.isfinite(low) else None,
                "high": high if np.isfinite(high) else None,
            }
        )
    return rows


def scores(results: list[Backtest]) -> list[dict[str, Any]]:
    """One row a predictor, the smallest error first within each split and objective."""
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[str, str | None], list[Backtest]] = {}
    for result in results:
        groups.setdefault((result.split.train, result.objective), []).append(result)
    for group in groups.values():
        naive = [result for result in group if result.naive]
        best = min(naive, key=lambda result: result.rmse)
        own = [score(result, best) for result in group]
        rows += sorted(own, key=lambda row: row["rmse_log"])
    return rows


def score_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of `scores` as table cells, errors in percent of the loss."""

    def percent(name: str) -> float | None:
        return None if row[name] is None else float(f"{100 * row[name]:.3g}")

    def interval(name: str, factor: float = 1) -> str:
        ends = row[name]
        return "" if ends is None else f" ({factor * ends[0]:.3g} to {factor * ends[1]:.3g})"

    covered = None if row["coverage"] is None else f"{row['coverage']:.2f}"
    over = percent("difference")
    return {
        "along": row["along"],
        "fitted": row["train"],
        "objective": row["objective"],
        "values": " ".join(filter(None, (row.get("at"), row.get("metric")))) or None,
        "predictor": row["predictor"],
        "runs": f"{row['n_train']} for {row['n_test']}",
        "error (%)": percent("rmse_log"),
        "bias (%)": percent("bias_log"),
        "coverage": covered and covered + interval("coverage_ci95"),
        "over the best naive (%)": None
        if over is None
        else f"{over}{interval('difference_ci95', 100)}",
    }
