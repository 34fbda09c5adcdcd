"""Scaling laws: fits of studies and of tables, what they predict, and backtests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from workbench.api.answers import Answer
from workbench.api.saving import saved
from workbench.api.words import FitKeywords, Where, conditions
from workbench.arguments import public
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit, parameter_rows, summary
from workbench.laws.fitting.tournament import standings, tournament, verdicts
from workbench.laws.prediction import predictions
from workbench.laws.registry import LAWS
from workbench.laws.request import get_law, get_table

if TYPE_CHECKING:
    from workbench.api.figure import Figure

Number = float | int | Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Prediction:
    """The loss that one objective's law predicts of one run."""

    law: str
    objective: str | None
    n_params: float
    total_tokens: float
    unique_tokens: float
    loss: float
    """In the unit of what was fitted."""
    low: float | None
    """Of the 95 % interval of a single run's loss, as `high`; None without resamples."""
    high: float | None
    law_low: float | None
    """Of the 95 % interval of the law alone, without the scatter of runs, as `law_high`."""
    law_high: float | None
    outside: dict[str, str]
    """By input, how far the run lies outside the fitted range."""


@dataclass(frozen=True)
class Predictions(Answer[Prediction]):
    """Predicted losses, one row a run and objective."""

    @property
    def _flat(self) -> list[dict[str, Any]]:
        return [
            row | {"outside": "; ".join(f"{k}: {how}" for k, how in row["outside"].items()) or None}
            for row in self.document
        ]


@public
@dataclass(frozen=True)
class Fits(Answer[Fit]):
    """Fits of a law, one for each objective; of several laws where they are compared.

    A row has `params`, `ci95`, `identified`, `r2`, `fitted_range` and more; `frame` has a row for
    each parameter, and of a tournament one for each law.
    """

    ranked: bool = False
    """Whether several laws are compared."""

    @property
    def table(self) -> list[dict[str, Any]]:
        """The rows that people are shown: parameters, or of a tournament its standings."""
        return standings(list(self.rows)) if self.ranked else parameter_rows(list(self.rows))

    @property
    def _flat(self) -> list[dict[str, Any]]:
        if self.ranked:
            return self.table
        return [
            {
                "law": fit.law,
                "objective": fit.objective_name,
                "parameter": name,
                "value": value,
                "ci95": fit.ci95.get(name),
                "identified": None if name in fit.fixed else fit.identified.get(name),
                "fixed": name in fit.fixed,
            }
            for fit in self.rows
            for name, value in fit.params.items()
        ]

    def predict(
        self, n_params: Number, total_tokens: Number, unique_tokens: Number | None = None
    ) -> Predictions:
        """The losses that the fits predict, with their bands: a row for each run and objective.

        Args:
            n_params, total_tokens, unique_tokens: numbers, or sequences of one length; without
                unique tokens, every token is seen once.

        Raises:
            InputError: the law predicts no losses of runs, or the lengths differ.
        """
        given = (n_params, total_tokens, total_tokens if unique_tokens is None else unique_tokens)
        try:
            inputs = np.broadcast_arrays(*(np.atleast_1d(np.asarray(g, float)) for g in given))
        except ValueError:
            inputs = ()
        if not inputs or inputs[0].ndim != 1 or not inputs[0].size:
            raise InputError(
                "n_params, total_tokens and unique_tokens: expected numbers, or sequences of one "
                "length, with one number at least."
            )
        rows = [row for fit in self.rows for row in predictions(fit, *inputs)]
        return Predictions.of(Prediction, rows, _range_notes(rows))

    def figure(self, kind: str = "predicted", **options: Any) -> "Figure":
        """A figure of the fits: predicted, residuals, profiles, contours or isoflop.

        Args:
            options: of that figure (`unique_tokens=` of contours, `objective=` where it is of one
                fit), and of print, such as `width="column"`: see `Study.figure`.

        Raises:
            InputError: no such figure or option, or the law has none.
        """
        from workbench.api.drawing import fit_figure

        return fit_figure(self, kind, options)


def _range_notes(rows: list[dict[str, Any]]) -> list[str]:
    outside = [row for row in rows if row["outside"]]
    if not outside:
        return []
    return [
        f"Note: {len(outside)} of {len(rows)} predictions lie outside the runs that were fitted "
        "(column outside). That the law may be wrong out there is in no interval: a backtest shows "
        "how far it was wrong before."
    ]


@public
def fit_table(
    table: str | Path,
    law: str = "data_constrained",
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, float] | None = None,
    where: Where | None = None,
    metric: str = "val_loss",
    **options: Unpack[FitKeywords],
) -> Fits:
    """A scaling law fitted to a table of runs and losses.

    Args:
        table: a CSV, JSON lines or Parquet file with `n_params`, `total_tokens`, `loss` and
            perhaps `unique_tokens`, `objective` and `compute`.
        law: its name, or `all` for a tournament.
        columns: our name -> the table's.
        units: column -> what one of it is, such as `{"n_params": 1e9}`.
        where: conditions on rows.
        metric: for `loss_to_accuracy`, the column of the accuracy.
        options: `fixed` (parameter -> value), `tie` (parameter -> parameter), `share` (parameters
            that all objectives have in common), `joint`, `two_stage`, `starts` (64), `resamples`
            (1000), `seed`, `cluster`, `huber_delta`.

    Raises:
        InputError: no such law or option, or the table cannot be read or is too short.
    """
    return make_fits(
        law, fit_options(**options), table=Path(table), columns=columns, units=units,
        metric=metric, where=conditions(where),
    )  # fmt: skip


def fit_studies(
    results: Path,
    studies: Sequence[str],
    law: str = "data_constrained",
    *,
    metric: str = "val_loss",
    at: str = "last",
    where: Where | None = None,
    save: bool = False,
    **options: Unpack[FitKeywords],
) -> Fits:
    """A scaling law fitted to the runs of studies, together: see `Study.fit`."""
    return make_fits(
        law, fit_options(**options), results=results, studies=studies, metric=metric, at=at,
        where=conditions(where), save=save,
    )  # fmt: skip


def make_fits(
    law: str,
    options: FitOptions,
    *,
    table: Path | None = None,
    results: Path = Path("results"),
    studies: Sequence[str] | None = None,
    metric: str = "val_loss",
    at: str = "last",
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, float] | None = None,
    where: Conditions = (),
    save: bool = False,
) -> Fits:
    """The fits of a law, or of all, to a table's rows or to studies' runs.

    Raises:
        InputError: as `fit_table` and `fit_studies`.
    """
    chosen = None if law == "all" else get_law(law)
    losses = get_table(
        table, list(studies or ()), results, metric, at,
        dict(columns or {}), law, where, units,
    )  # fmt: skip
    if chosen is None:
        fits, missing = tournament(LAWS, losses, options)
        lines = [*verdicts(fits), *(f"Not fitted: {reason}" for reason in missing)]
    else:
        fits = fit_law(chosen, losses, options)
        lines = [line for fitted in fits for line in summary(fitted)]
    document = [fitted.row() for fitted in fits]
    if save and studies:
        from workbench.store import keep_fits

        note = saved(keep_fits, results, ", ".join(dict.fromkeys(studies)), document)
        lines += [note] if note else []
    return Fits(tuple(fits), document, tuple(dict.fromkeys(lines)), chosen is None)


def fit_options(**given: Unpack[FitKeywords]) -> FitOptions:
    """A fit's options, from keywords."""
    options: dict[str, Any] = dict(given)
    share = options.pop("share", ())
    return FitOptions(
        fixed={name: float(value) for name, value in options.pop("fixed", {}).items()},
        tied=tuple(options.pop("tie", {}).items()),
        shared=(share,) if isinstance(share, str) else tuple(share),
        delta=options.pop("huber_delta", None),
        **options,
    )
