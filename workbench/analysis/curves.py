"""Curves of a study, as arrays, with the configuration that tells them apart."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.recipe.messages import suggestion
from workbench.store import query

Floats = NDArray[np.float64]
AXES = {"tokens": "tokens", "epochs": "epoch", "flops": "flops"}


@dataclass(frozen=True)
class Curve:
    """One metric of one run, in the order of its steps."""

    run_id: str
    keys: dict[str, Any]
    """The run's configuration with dotted keys, and n_params."""
    x: dict[str, Floats]
    """Tokens, epochs and FLOPs of each point."""
    y: Floats
    stderr: Floats
    estimator: str | None


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
        f"""SELECT m.run_id, step, tokens, epoch, flops, value, stderr, estimator, n_params,
                   any_value(config) OVER (PARTITION BY m.run_id) AS config
            FROM metrics m JOIN runs USING (run_id) JOIN study_runs s USING (run_id)
            WHERE s.study = {name} AND metric = {wanted} AND value IS NOT NULL
            ORDER BY m.run_id, step""",
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
    curves = []
    for (run_id,), rows in frame.group_by("run_id", maintain_order=True):
        keys = {**flat(json.loads(rows["config"][0])), "n_params": rows["n_params"][0]}
        x = {axis: rows[column].cast(float).to_numpy() for axis, column in AXES.items()}
        stderr = rows["stderr"].cast(float).fill_null(np.nan).to_numpy()
        curve = Curve(str(run_id), keys, x, rows["value"].to_numpy(), stderr, rows["estimator"][-1])
        curves.append(curve)
    return StudyCurves(study, metric, json.loads(compare or "{}"), curves)


def flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    out: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = value
    return out


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
