"""Curves of a study, as arrays, with the configuration that tells them apart."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.recipe.messages import suggestion
from workbench.recipe.sweep import dotted
from workbench.store import query

Floats = NDArray[np.float64]
AXES = {
    "tokens": "tokens",
    "epochs": "epoch",
    "flops": "flops",
    "flops_per_unique": "flops_per_unique",
}
"""The columns that curves can be drawn along."""
_FLOPS_AXES = ("flops", "flops_per_unique")


@dataclass(frozen=True)
class Curve:
    """One metric of one run, in the order of its tokens and steps."""

    run_id: str
    keys: dict[str, Any]
    """The run's configuration with dotted keys, and n_params."""
    x: dict[str, Floats]
    """Tokens, epochs, training FLOPs, and those per unique token, of each point; NaN where the
    store has NULL, as in imported runs without FLOPs."""
    y: Floats
    stderr: Floats
    estimator: str | None
    imported: bool = False


@dataclass(frozen=True)
class StudyCurves:
    """All of a study's curves of one metric, and how its runs are paired."""

    study: str
    metric: str
    compare: dict[str, Any]
    curves: list[Curve]


def load_curves(results: Path, study: str, metric: str) -> StudyCurves:
    """Read a study's curves.

    Raises:
        InputError: no such study, or no such metric in it; both lists are named.
    """
    studies = query(results, "SELECT study, compare FROM studies ORDER BY study")
    known = studies["study"].to_list()
    if study not in known:
        raise InputError(
            f"no study {study}{suggestion(study, known)} "
            f"Studies here: {', '.join(known) or 'none'}."
        )
    compare = studies.filter(studies["study"] == study)["compare"].item()
    name, wanted = _literal(study), _literal(metric)
    frame = query(
        results,
        f"""SELECT m.run_id, step, tokens, epoch, flops, value, stderr, n, estimator, n_params,
                   flops / nullif(unique_tokens, 0) AS flops_per_unique, unique_tokens,
                   coalesce(imported, false) AS imported,
                   any_value(config) OVER (PARTITION BY m.run_id) AS config
            FROM metrics m JOIN runs USING (run_id) JOIN study_runs s USING (run_id)
            WHERE s.study = {name} AND metric = {wanted} AND value IS NOT NULL
            ORDER BY m.run_id, tokens, step""",
    )
    if frame.is_empty():
        metrics = query(
            results,
            f"""SELECT DISTINCT metric FROM metrics JOIN study_runs USING (run_id)
                WHERE study = {name} ORDER BY metric""",
        )["metric"].to_list()
        raise InputError(
            f"study {study} has no {metric}{suggestion(metric, metrics)} "
            f"Its metrics: {', '.join(metrics) or 'none yet'}."
        )
    curves = [
        _curve(str(run_id), rows)
        for (run_id,), rows in frame.group_by("run_id", maintain_order=True)
    ]
    return StudyCurves(study, metric, json.loads(compare or "{}"), curves)


def _curve(run_id: str, rows: pl.DataFrame) -> Curve:
    rows = _measured_alike(rows)
    keys = {**dotted(json.loads(rows["config"][0])), "n_params": rows["n_params"][0]}
    if keys.get("data.unique_tokens") is None:
        keys["data.unique_tokens"] = rows["unique_tokens"][0]
    return Curve(
        run_id=run_id,
        keys=keys,
        x={axis: _floats(rows[column]) for axis, column in AXES.items()},
        y=_floats(rows["value"]),
        stderr=_floats(rows["stderr"]),
        estimator=rows["estimator"][-1],
        imported=bool(rows["imported"][0]),
    )


def _measured_alike(rows: pl.DataFrame) -> pl.DataFrame:
    """The points of one estimator: what training measured all along, and not what was measured
    otherwise later at a checkpoint, which would look like a step of the curve."""
    if rows["estimator"].n_unique() == 1:
        return rows
    kinds = rows.group_by("estimator").agg(points=pl.len(), most=pl.col("n").max())
    chosen = kinds.sort(
        "points", "most", "estimator", descending=[True, True, False], nulls_last=True
    )["estimator"][0]
    return rows.filter(pl.col("estimator").eq_missing(pl.lit(chosen, dtype=pl.String)))


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def require_axis(curves: Iterable[Curve], axis: str) -> None:
    """Refuse an axis that some of the curves do not have.

    Raises:
        InputError: no such axis, or NULL there for some runs, which are named.
    """
    if axis not in AXES:
        raise InputError(f"no axis {axis}{suggestion(axis, AXES)} Axes: {', '.join(AXES)}.")
    lacking = sorted({curve.run_id for curve in curves if np.isnan(curve.x[axis]).any()})
    if not lacking:
        return
    named = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
    if axis in _FLOPS_AXES:
        raise InputError(
            f"--axis {axis}: no FLOPs are known for runs {named}. For imported runs, "
            "`workbench import --estimate-flops` fills them in as 6 N D: 6 x parameters x tokens."
        )
    raise InputError(f"--axis {axis}: no {axis} are known for runs {named}.")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
