"""A study's runs as a table to fit."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.analysis.curves import Curve, chosen, load_curves, run_values
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.laws.fitting.loss_table import LossTable
from workbench.messages import suggestion
from workbench.metrics import higher_is_better
from workbench.store import query

AT = ("final", "best", "curve")


def study_table(
    results: Path,
    study: str,
    metric: str = "val_loss",
    at: str = "final",
    where: Conditions = (),
) -> LossTable:
    """A table of losses, one row a run: its last or best value of a metric, and its cost.

    The cost is the tokens and FLOPs up to that value.

    Args:
        at: "final", "best" (early stopping: tokens and FLOPs are those of the best value), or
            "curve" for every point.
        where: only runs that meet these conditions; see `analysis.curves.chosen`.

    Raises:
        InputError: there is no such study or metric, no run matches, the metric is not a loss, or
            the runs were evaluated by different protocols.
    """
    if at not in AT:
        raise InputError(f"--at {at}: allowed are {', '.join(AT)}.")
    if higher_is_better(metric):
        raise InputError(f"--metric {metric}: scaling laws describe losses; {metric} is none.")
    frame = _points(results, study, metric)
    curves = chosen(load_curves(results, study, metric), where).curves
    _require_one_protocol(study, curves)
    place = {curve.run_id: number for number, curve in enumerate(curves)}
    frame = frame.filter(pl.col("run_id").is_in(list(place)))
    if at != "curve":
        order = pl.col("tokens") if at == "final" else -pl.col("value")
        frame = (
            frame.sort(order, maintain_order=True).group_by("run_id", maintain_order=True).last()
        )
    frame = frame.sort("objective", "n_params", "unique_tokens", "run_id", "tokens")
    arrays = {
        name: frame[name].cast(pl.Float64).to_numpy()
        for name in ("n_params", "tokens", "unique_tokens", "value", "flops")
    }
    # Measured FLOPs where there are some; the usual estimate for imported runs without.
    estimate = 6.0 * arrays["n_params"] * arrays["tokens"]
    return LossTable(
        source=f"study {study}",
        name=np.array(frame["run_id"].to_list()),
        n_params=arrays["n_params"],
        total_tokens=arrays["tokens"],
        unique_tokens=arrays["unique_tokens"],
        loss=arrays["value"],
        compute=np.where(np.isfinite(arrays["flops"]), arrays["flops"], estimate),
        objective=np.array(frame["objective"].to_list()),
        estimators=tuple(sorted(set(frame["estimator"].drop_nulls().to_list()))),
        notes=_notes(frame, at, where),
        run_ids=tuple(frame["run_id"].to_list()),
        columns=_columns(curves, np.array([place[run_id] for run_id in frame["run_id"]], int)),
    )


def _require_one_protocol(study: str, curves: list[Curve]) -> None:
    protocols = sorted({curve.protocol for curve in curves if curve.protocol is not None})
    if len(protocols) > 1:
        raise InputError(
            f"study {study}: its runs were evaluated by protocols "
            f"{' and '.join(map(str, protocols))}, whose losses are not comparable. Choose with "
            f"--where 'protocol = {protocols[-1]}', or run the recipe again: runs of an older "
            "protocol then leave the study."
        )


def _columns(curves: list[Curve], run: NDArray[np.intp]) -> dict[str, NDArray[np.object_]]:
    """The store's columns of each row's run, and the keys in which the runs differ.

    Args:
        run: the place of each row's run among the curves.
    """
    runs = [run_values(curve) for curve in curves]
    columns = {}
    for name in {name: None for values in runs for name in values}:
        column = np.empty(len(runs), dtype=object)  # whose elements may be lists
        column[:] = [values.get(name) for values in runs]
        if "." not in name or len(set(map(str, column))) > 1:
            columns[name] = column[run]
    return columns


def _points(results: Path, study: str, metric: str) -> pl.DataFrame:
    name, wanted = (text.replace("'", "''") for text in (study, metric))
    frame = query(
        results,
        f"""SELECT m.run_id, r.objective, r.n_params, r.unique_tokens, m.tokens, m.flops, m.value,
                   m.estimator, r.imported, r.state
            FROM metrics m JOIN runs r USING (run_id) JOIN study_runs s USING (run_id)
            WHERE s.study = '{name}' AND m.metric = '{wanted}' AND m.value > 0 AND m.tokens > 0
            ORDER BY m.run_id, m.tokens""",
    )
    if not frame.is_empty():
        return frame
    known = query(results, "SELECT study FROM studies ORDER BY study")["study"].to_list()
    if study not in known:
        raise InputError(
            f"no study {study}{suggestion(study, known) or '.'} "
            f"Studies here: {', '.join(known) or 'none'}."
        )
    raise InputError(f"study {study} has no {metric} yet.")


def _notes(frame: pl.DataFrame, at: str, where: Conditions) -> tuple[str, ...]:
    notes = [f"losses are each run's {'points' if at == 'curve' else f'{at} value'}"]
    if where:
        notes.append(f"only runs with {' and '.join(map(str, where))}")
    unfinished = frame.filter(pl.col("state") != "finished")["run_id"].n_unique()
    if unfinished:
        notes.append(f"{unfinished} runs have not finished")
    imported = frame.filter(pl.col("imported"))["run_id"].n_unique()
    if imported:
        notes.append(f"{imported} runs are imported")
    if frame["flops"].null_count():
        notes.append("compute of runs without recorded FLOPs is 6 N D")
    kinds = {str(e).partition("/")[0] for e in frame["estimator"].drop_nulls()}
    if {"nll", "nelbo"} <= kinds:
        notes.append("diffusion's losses are NELBOs, upper bounds of what AR's NLLs measure")
    return tuple(notes)
