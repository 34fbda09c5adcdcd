"""The configurations of a study with their values, as figures of keys draw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from workbench.analysis.curves import Curve, chosen, load_curves, run_values
from workbench.analysis.outcomes import outcomes
from workbench.analysis.run_keys import SEEDS, distinguishing_keys
from workbench.analysis.taken_at import taken_at
from workbench.conditions import Conditions
from workbench.figures.exact_columns import with_keys
from workbench.figures.points import OBJECTIVE
from workbench.messages import suggestion
from workbench.metrics import higher_is_better
from workbench.recipe.plain_values import PLAIN

WIDTH, HEIGHT = 430, 300
MOST_AXES = 8
"""Of parallel coordinates."""


@dataclass(frozen=True)
class Outcome:
    """One configuration: its runs' values, their mean and its 95 % interval."""

    keys: dict[str, Any]
    group: dict[str, Any]
    curves: list[Curve]
    values: list[float]
    """Of each run."""
    mean: float
    ci95: list[float] | None

    @property
    def objective(self) -> str:
        return str(self.keys.get(OBJECTIVE))


def outcomes_of(
    results: Path, study: str, metric: str, at: str, where: Conditions
) -> list[Outcome]:
    """The configurations of a study with their values, as `analysis.outcomes` has them."""
    taken = taken_at(at)
    loaded = chosen(load_curves(results, study, metric), where)
    by_id = {curve.run_id: curve for curve in loaded.curves}
    higher = higher_is_better(metric)
    found = []
    for row in outcomes(results, study, metric, where=where):
        curves = [by_id[run_id] for run_id in row["runs"]]
        end = min(curve.x["tokens"][-1] for curve in curves)
        values = [
            float(np.interp(end, curve.x["tokens"], curve.y)) if taken == "last"
            else float(curve.y.max() if higher else curve.y.min())
            for curve in curves
        ]  # fmt: skip
        found.append(
            Outcome(
                PLAIN | _known(run_values(curves[0])), row["group"], curves, values,
                row[taken]["mean"], row[taken]["ci95"],
            )
        )  # fmt: skip
    return found


def _known(keys: dict[str, Any]) -> dict[str, Any]:
    """The keys that have a value: where one has none, it has the value that this stands for."""
    return {key: value for key, value in keys.items() if value is not None or key not in PLAIN}


def no_key(key: str, found: list[Outcome]) -> str:
    known = sorted({name for one in found for name, value in one.keys.items() if value is not None})
    hint = suggestion(key, known)
    if hint:
        return f"no run has the key {key}{hint}"
    differing = differing_keys_of(found)
    return f"no run has the key {key}. Keys in which the runs differ: {', '.join(differing)}."


def differing_keys_of(found: list[Outcome]) -> list[str]:
    every = distinguishing_keys([one.curves[0].keys for one in found])
    keys = [key for key in every if key not in SEEDS][: MOST_AXES - 1]
    several = len({one.objective for one in found}) > 1
    return [OBJECTIVE, *keys] if several else keys


def exact_rows(frame: pl.DataFrame, behind: Sequence[tuple[Outcome, list[Curve]]]) -> pl.DataFrame:
    """The data with the exact keys, run ids and seeds behind each row."""
    return with_keys(
        frame,
        [one.group | {OBJECTIVE: one.objective} for one, _ in behind],
        [[curve.run_id for curve in curves] for _, curves in behind],
        [[curve.keys.get("training.seed") for curve in curves] for _, curves in behind],
    )
