"""The runs of a study, or of several, as a table to fit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from workbench.analysis.curves import Curve
from workbench.analysis.document_curves import document_curves, stopped_at_best
from workbench.analysis.taken_at import TAKEN_AT, taken_at
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.study_runs import (
    curves_of,
    notes_on_several,
    run_columns,
    source_name,
)
from workbench.metrics import higher_is_better

AT = (*TAKEN_AT, "curve")


def study_table(
    results: Path,
    study: str | Sequence[str],
    metric: str = "val_loss",
    at: str = "last",
    where: Conditions = (),
) -> LossTable:
    """A table of losses, one row a run: its last or best value of a metric, and its cost.

    The cost is the tokens and FLOPs up to that value. Among the columns are `study`, the
    `estimator` of the loss and `trunk`, the run that began the training which a run went on from:
    the run itself where it trained alone.

    Args:
        study: one or several, whose runs are then fitted together. A run of two counts once.
        at: "last" or "final", "best" (early stopping: tokens and FLOPs are those of the best value,
            which is chosen on one half of the documents and measured on the other where that is
            possible), or "curve" for every point.
        where: only runs that meet these conditions; see `analysis.curves.chosen`.

    Raises:
        InputError: there is no such study or metric, no run matches, the metric is not a loss, or
            the runs were evaluated by different protocols or, across studies, estimators.
    """
    at = taken_at(at, AT)
    if higher_is_better(metric):
        raise InputError(
            f"--metric {metric}: scaling laws describe losses; {metric} is none. For how it "
            f"follows from the loss: --law loss_to_accuracy --metric {metric}."
        )
    studies = [study] if isinstance(study, str) else list(dict.fromkeys(study))
    curves, of_study = curves_of(results, studies, metric, where)
    place = {curve.run_id: number for number, curve in enumerate(curves)}
    frame = _points(curves)
    if at != "curve":
        order = pl.col("tokens") if at == "last" else -pl.col("value")
        frame = (
            frame.sort(order, maintain_order=True).group_by("run_id", maintain_order=True).last()
        )
    honest = _measured_on_the_other_half(results, curves, metric) if at == "best" else {}
    if honest:
        known = pl.col("run_id").replace_strict(honest, default=None, return_dtype=pl.Float64)
        frame = frame.with_columns(value=known.fill_null(pl.col("value")))
    frame = frame.sort("objective", "n_params", "unique_tokens", "run_id", "tokens")
    arrays = {
        name: frame[name].cast(pl.Float64).to_numpy()
        for name in ("n_params", "tokens", "unique_tokens", "value", "flops")
    }
    # Measured FLOPs where there are some; the usual estimate for imported runs without.
    estimate = 6.0 * arrays["n_params"] * arrays["tokens"]
    return LossTable(
        source=source_name(studies),
        name=np.array(frame["run_id"].to_list()),
        n_params=arrays["n_params"],
        total_tokens=arrays["tokens"],
        unique_tokens=arrays["unique_tokens"],
        loss=arrays["value"],
        compute=np.where(np.isfinite(arrays["flops"]), arrays["flops"], estimate),
        objective=np.array(frame["objective"].to_list()),
        estimators=tuple(sorted({curve.estimator for curve in curves if curve.estimator})),
        notes=(
            *_notes(frame, curves, at, where, len(honest), len(of_study) - len(curves)),
            *notes_on_several(curves, studies, of_study),
        ),
        run_ids=tuple(frame["run_id"].to_list()),
        columns=run_columns(
            results, curves, of_study, np.array([place[run_id] for run_id in frame["run_id"]], int)
        ),
        metric=metric,
        at=at,
        conditions=tuple(map(str, where)),
    )


def _points(curves: list[Curve]) -> pl.DataFrame:
    """The points of the curves, run after run, those without a loss or without tokens left out."""
    frames = [
        pl.DataFrame(
            {
                "run_id": [curve.run_id] * len(curve.y),
                "objective": [curve.columns.get("objective")] * len(curve.y),
                "n_params": [curve.columns.get("n_params")] * len(curve.y),
                "unique_tokens": [curve.columns.get("unique_tokens")] * len(curve.y),
                "tokens": curve.x["tokens"],
                "flops": curve.x["flops"],
                "value": curve.y,
            },
            schema=_POINTS,
        )
        for curve in curves
    ]
    return pl.concat(frames).filter((pl.col("value") > 0) & (pl.col("tokens") > 0))


_POINTS = pl.Schema(
    {
        "run_id": pl.String,
        "objective": pl.String,
        "n_params": pl.Float64,
        "unique_tokens": pl.Float64,
        "tokens": pl.Float64,
        "flops": pl.Float64,
        "value": pl.Float64,
    }
)


def _measured_on_the_other_half(
    results: Path, curves: list[Curve], metric: str
) -> dict[str, float]:
    """By run, its value at the point that is best on one half of the held-out documents, measured
    on the other, both ways: of the runs for which values of single documents are known."""
    values = {}
    for curve in curves:
        together, _ = document_curves(results, [curve], metric)
        if together is not None and len(together.documents) > 1:
            sums = stopped_at_best(together, [curve], higher=False)
            values[curve.run_id] = float(sums.sum() / together.counts.sum())
    return values


def _notes(
    frame: pl.DataFrame,
    curves: list[Curve],
    at: str,
    where: Conditions,
    honest: int,
    ensembles: int,
) -> tuple[str, ...]:
    """Args:
    honest: runs whose best is chosen on one half of the documents and measured on the other.
    ensembles: how many were left out.
    """
    notes = [f"losses are each run's {'points' if at == 'curve' else f'{at} value'}"]
    if at == "best":
        rest = len(curves) - honest
        notes += ["bests are chosen on half of the documents, measured on the other"] * bool(honest)
        notes += [f"of {rest} runs the best of noisy points, a little too good"] * bool(rest)
    if where:
        notes.append(f"only runs with {' and '.join(map(str, where))}")
    unfinished = sum(not curve.finished for curve in curves)
    if unfinished:
        notes.append(f"{unfinished} runs have not finished")
    if ensembles:
        notes.append(f"without {ensembles} ensembles, which are no models of that size")
    imported = sum(curve.imported for curve in curves)
    if imported:
        notes.append(f"{imported} runs are imported")
    if frame["flops"].is_nan().any():
        notes.append("compute of runs without recorded FLOPs is 6 N D")
    kinds = {str(curve.estimator).partition("/")[0] for curve in curves}
    if {"nll", "nelbo"} <= kinds:
        notes.append("diffusion's losses are NELBOs, upper bounds of what AR's NLLs measure")
    return tuple(notes)
