"""Curves of a study, as arrays, with the configuration of each."""

import json
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.conditions import Conditions, matching
from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.metrics import spellings
from workbench.recipe.identity import AUTO_COMPILE_IS, SOURCE_KEYS
from workbench.recipe.plain_values import PLAIN
from workbench.recipe.sweep import dotted, sweepable_keys
from workbench.store import query
from workbench.store.studies import study_head

Floats = NDArray[np.float64]
AXES = {
    "tokens": "tokens",
    "epochs": "epoch",
    "flops": "flops",
    "flops_per_unique": "flops_per_unique",
}
"""The columns that curves can be drawn along."""
PROTOCOL = "protocol"
"""Key of the curves of a study whose runs were evaluated by more than one protocol."""
_FLOPS_AXES = ("flops", "flops_per_unique")
_ONLY: ContextVar[frozenset[str] | None] = ContextVar("only", default=None)
# Of keys and of the store's columns of the same name: what an absent value stands for.
_PLAIN = PLAIN | {key.rpartition(".")[2]: plain for key, plain in PLAIN.items()}


class Seed(NamedTuple):
    """What distinguishes replicates of one configuration; None where an import has none."""

    text: Any
    """`data.seed`, which draws the text."""
    training: Any
    """`training.seed`, which draws all else."""


@dataclass(frozen=True)
class Curve:
    """One metric of one run, in the order of its tokens and steps."""

    run_id: str
    keys: dict[str, Any]
    """The run's configuration with dotted keys, and n_params; `PROTOCOL` where the study has runs
    of several."""
    x: dict[str, Floats]
    """Tokens, epochs, training FLOPs, and those per unique token, of each point; NaN where the
    store has NULL, as in imported runs without FLOPs."""
    y: Floats
    stderr: Floats
    estimator: str | None
    imported: bool = False
    """Whether its numbers come from elsewhere."""
    ensemble: bool = False
    """Whether it is of several runs that were asked as one model."""
    columns: dict[str, Any] = field(default_factory=dict)
    """The run's row in the store, by which it can be chosen as well as by its keys."""
    protocol: int | None = None
    """Of its evaluation; None where it was imported."""
    finished: bool = True
    """Whether its training has come to its planned end, or it was imported."""
    steps: Floats = field(default_factory=lambda: np.empty(0))
    """Optimizer steps of each point; NaN where an import has none."""

    @property
    def seed(self) -> Seed:
        return Seed(self.keys.get("data.seed"), self.keys.get("training.seed"))

    def first(self, count: int) -> "Curve":
        """The curve of its first points alone."""
        x = {axis: places[:count] for axis, places in self.x.items()}
        y, stderr, steps = self.y[:count], self.stderr[:count], self.steps[:count]
        return replace(self, x=x, y=y, stderr=stderr, steps=steps)


@dataclass(frozen=True)
class StudyCurves:
    """All of a study's curves of one metric, and how its runs are paired."""

    study: str
    metric: str
    compare: dict[str, Any]
    curves: list[Curve]


Loader = Callable[[Path, str, str], StudyCurves]
"""Reads a study's curves of a metric: `load_curves`, or a cache of it."""


def load_curves(
    results: Path, study: str, metric: str, *, estimator: str | None = None
) -> StudyCurves:
    """Read a study's curves.

    Args:
        estimator: only points whose estimator's name contains this text. By default each run's
            points are those of the estimator that measured most of them.

    Raises:
        InputError: there is no such study, or no such metric or estimator in it. The message
            lists those that exist.
    """
    return load_several(results, study, [metric], estimator=estimator)[metric]


def load_several(
    results: Path, study: str, metrics: Sequence[str], *, estimator: str | None = None
) -> dict[str, StudyCurves]:
    """Read a study's curves of several metrics, by their names, as `load_curves` reads one."""
    compare = json.loads(study_head(results, study)["compare"] or "{}")
    points = {metric: _points(results, study, metric) for metric in metrics}
    by_id = {str(row["run_id"]): row for row in run_rows(results, study)}
    loaded = {}
    for metric, frame in points.items():
        what = f"study {study}: {metric}"
        if estimator is not None:
            frame = _of_estimator(frame, estimator, what)
        curves = _by_protocol(_of_only(_curves(frame, by_id), by_id, what))
        loaded[metric] = StudyCurves(study, spellings(metric)[0], compare, curves)
    return loaded


def _points(results: Path, study: str, metric: str) -> pl.DataFrame:
    name, wanted = _literal(study), ", ".join(map(_literal, spellings(metric)))
    frame = query(
        results,
        f"""SELECT m.run_id, step, tokens, epoch, flops, value, stderr, n, estimator
            FROM metrics m JOIN study_runs s USING (run_id)
            WHERE s.study = {name} AND metric IN ({wanted}) AND value IS NOT NULL
            QUALIFY row_number() OVER (
                PARTITION BY m.run_id, tokens, step, estimator ORDER BY draws DESC NULLS LAST
            ) = 1
            ORDER BY m.run_id, tokens, step""",
    )
    if frame.is_empty():
        metrics = study_metrics(results, study)
        raise InputError(
            f"study {study} has no {metric}{suggestion(metric, metrics) or '.'} "
            f"Its metrics: {', '.join(metrics) or 'none yet'}."
        )
    return frame


@contextmanager
def only_runs(run_ids: Collection[str] | None) -> Iterator[None]:
    """Load the curves of these runs alone inside the block, whatever asks for curves there.

    A study that has none of the runs keeps all of its own.

    Args:
        run_ids: None for all runs.
    """
    token = _ONLY.set(None if run_ids is None else frozenset(run_ids))
    try:
        yield
    finally:
        _ONLY.reset(token)


def _of_only(curves: list[Curve], of_study: Container[str], what: str) -> list[Curve]:
    only = _ONLY.get()
    if only is None or not any(run_id in of_study for run_id in only):
        return curves
    found = [curve for curve in curves if curve.run_id in only]
    if not found:
        raise InputError(f"{what}: none of the {len(only)} chosen runs has it.")
    return found


def study_metrics(results: Path, study: str) -> list[str]:
    """The names of what was measured in a study's runs, sorted."""
    frame = query(
        results,
        f"""SELECT DISTINCT metric FROM metrics JOIN study_runs USING (run_id)
            WHERE study = {_literal(study)} ORDER BY metric""",
    )
    return [str(name) for name in frame["metric"].to_list()]


def run_rows(results: Path, study: str) -> list[dict[str, Any]]:
    """A study's runs as the store's table `runs` has them, without provenance.

    Of equal data they have equal names of it, wherever their text lay.
    """
    runs = query(
        results,
        f"""SELECT * EXCLUDE (study, provenance) FROM runs JOIN study_runs USING (run_id)
            WHERE study = {_literal(study)}""",
    )
    return _one_spelling(runs.to_dicts())


def run_keys(run: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration with dotted keys, its number of parameters and of unique tokens.

    The unique tokens are known even where the configuration asks for all there are.

    Args:
        run: the run's row in the store, with config, n_params and unique_tokens.
    """
    keys = {**_parsed(run["config"]), "n_params": run["n_params"]}
    if keys.get("data.unique_tokens") is None:
        keys["data.unique_tokens"] = run["unique_tokens"]
    if keys.get("training.compile") == "auto":
        # One value whatever became of it: a run is the same whether or not its recipe chose.
        keys["training.compile"] = AUTO_COMPILE_IS
    return keys


def _one_spelling(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs whose data are the same have the same names of them: a folder that moved, or was spelt
    in another way, distinguishes no runs."""
    named: dict[str, dict[str, Any]] = {}
    for run in runs:
        if run["data_fingerprint"] is None:
            continue
        data = json.loads(run["config"]).get("data") or {}
        first = named.setdefault(run["data_fingerprint"], data)
        changed = {k: first.get(k) for k in SOURCE_KEYS if k in data and first.get(k) != data[k]}
        if changed:
            config = json.loads(run["config"])
            config["data"] |= changed
            run["config"] = json.dumps(config)
    return runs


@lru_cache(maxsize=4096)
def _parsed(config: str) -> dict[str, Any]:
    return dotted(json.loads(config))


def _by_protocol(curves: list[Curve]) -> list[Curve]:
    """The curves, with their protocols among their keys where there are several.

    Numbers of two protocols are not comparable, so these keys separate runs that agree in all
    others. Imported curves have no protocol.
    """
    if len({curve.protocol for curve in curves} - {None}) < 2:
        return curves
    return [
        curve
        if curve.protocol is None
        else replace(curve, keys={**curve.keys, PROTOCOL: curve.protocol})
        for curve in curves
    ]


def _of_estimator(frame: pl.DataFrame, estimator: str, what: str) -> pl.DataFrame:
    matching = frame.filter(pl.col("estimator").str.contains(estimator, literal=True))
    if matching.is_empty():
        known = frame["estimator"].drop_nulls().unique().sort().to_list()
        raise InputError(
            f"{what} has no estimator with {estimator} in its name. "
            f"Its estimators: {', '.join(known) or 'none is named'}."
        )
    return matching


def _curves(frame: pl.DataFrame, runs: dict[str, dict[str, Any]]) -> list[Curve]:
    """Cut a table of points, run after run, into curves: slices of its columns."""
    frame = _measured_alike(frame)
    columns = {name: _floats(frame[name]) for name in ("step", "tokens", "epoch", "flops", "value")}
    columns["stderr"] = _floats(frame["stderr"])
    lengths = frame.group_by("run_id", maintain_order=True).agg(
        pl.len().alias("count"), pl.col("estimator").last()
    )
    curves, start = [], 0
    for run_id, count, estimator in lengths.iter_rows():
        if run_id in runs:  # else a study lists it whose folder has gone
            own = {name: column[start : start + count] for name, column in columns.items()}
            curves.append(_curve(str(run_id), own, runs[run_id], estimator))
        start += count
    return curves


def _curve(
    run_id: str, columns: dict[str, Floats], run: dict[str, Any], estimator: str | None
) -> Curve:
    x = {axis: columns[name] for axis, name in AXES.items() if name in columns}
    x["flops_per_unique"] = columns["flops"] / (run["unique_tokens"] or np.nan)
    # Of what was not trained here, only an ensemble was evaluated by a protocol of ours.
    ensemble = bool(run["imported"]) and run["protocol"] is not None
    return Curve(
        run_id=run_id,
        keys=run_keys(run),
        x=x,
        y=columns["value"],
        stderr=columns["stderr"],
        estimator=estimator,
        imported=bool(run["imported"]) and not ensemble,
        ensemble=ensemble,
        protocol=run["protocol"],
        finished=bool(run["imported"]) or run["state"] == "finished",
        steps=columns["step"],
        columns={name: value for name, value in run.items() if name != "config"},
    )


def _measured_alike(frame: pl.DataFrame) -> pl.DataFrame:
    """Each run's points of one estimator: the one that training measured along the whole run.

    What was measured later at a checkpoint, in another way, would look like a step of the curve.
    The seed of `workbench eval` stands in its estimators, in training's never.
    """
    kinds = frame.group_by("run_id", "estimator").agg(points=pl.len(), most=pl.col("n").max())
    if len(kinds) == kinds["run_id"].n_unique():
        return frame
    kinds = kinds.with_columns(later=pl.col("estimator").str.contains("/seed=", literal=True))
    chosen = kinds.sort(
        *("later", "points", "most", "estimator"),
        descending=[False, True, True, False],
        nulls_last=True,
    ).unique("run_id", keep="first", maintain_order=True)
    return frame.join(
        chosen.select("run_id", "estimator"),
        on=["run_id", "estimator"],
        how="semi",
        nulls_equal=True,
        maintain_order="left",
    )


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def chosen(loaded: StudyCurves, where: Conditions) -> StudyCurves:
    """The curves whose runs meet the conditions.

    A condition's column is a dotted key of the recipe or a column of the store's runs. A key that
    is absent has the value that this stands for: no dropout is a dropout of 0.

    Raises:
        InputError: there is no such key or column, or no run meets the conditions.
    """
    rows = [run_values(curve) for curve in loaded.curves]
    found = matching(rows, where, f"study {loaded.study}", columns=sweepable_keys(), absent=_PLAIN)
    return replace(loaded, curves=[c for c, met in zip(loaded.curves, found, strict=True) if met])


def run_values(curve: Curve) -> dict[str, Any]:
    """What a run can be chosen by: its row in the store and its dotted keys."""
    return {**curve.columns, **curve.keys, "run_id": curve.run_id}


def require_axis(curves: Iterable[Curve], axis: str) -> None:
    """Refuse an axis that some of the curves do not have.

    Raises:
        InputError: there is no such axis, or some runs have NULL there; the message names them.
    """
    if axis not in AXES:
        raise InputError(f"no axis {axis}{suggestion(axis, AXES) or '.'} Axes: {', '.join(AXES)}.")
    lacking = sorted({curve.run_id for curve in curves if np.isnan(curve.x[axis]).any()})
    if not lacking:
        return
    named = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
    if axis in _FLOPS_AXES:
        raise InputError(
            f"no FLOPs are known for runs {named}. For imported runs, "
            "`workbench import --estimate-flops` fills them in as 6 N D: 6 x parameters x tokens."
        )
    raise InputError(f"no {axis} are known for runs {named}.")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
