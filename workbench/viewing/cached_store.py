"""Read-only queries of the store, cached until the store changes."""

import json
import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import streamlit as st

from workbench.analysis.curves import StudyCurves, load_curves, only_runs, run_keys
from workbench.runs.folder import list_runs
from workbench.store import database_path, query
from workbench.store.parquet.layout import MARKER, is_dataset
from workbench.store.query import literal
from workbench.store.shipped import shipped_studies

T = TypeVar("T")
VARIABLE = "WORKBENCH_RESULTS"
_MIRROR_S = 60


@dataclass(frozen=True)
class Source:
    """A results folder as it is now."""

    results: Path
    stamp: str
    """Changes whenever the store does."""
    shipped: bool = False
    """Whether these are the studies that come with the workbench."""
    folders: int = 0
    """Run folders that the store does not know, where there is no store."""
    only: tuple[str, ...] | None = None
    """The chosen runs, by their ids, whose curves alone are loaded; None for all."""


def results_folder() -> Path:
    return Path(os.environ.get(VARIABLE) or "results")


def stamp_of(results: Path) -> str:
    """A text that changes whenever the store or the dataset is written."""
    _follow(str(results))
    path = results / MARKER if is_dataset(results) else database_path(results)
    try:
        stat = path.stat()
    except OSError:
        return "none"
    return f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"


@st.cache_data(ttl=_MIRROR_S, show_spinner=False)
def _follow(results: str) -> None:
    """Fetch what is new if the folder mirrors a remote dataset, at most once a minute."""
    from workbench.store.parquet.mirror import refresh

    refresh(Path(results))


def source() -> Source:
    """The results folder, or the shipped studies while it has no study."""
    results = results_folder()
    shipped = shipped_studies()
    stamp = stamp_of(results)
    if stamp != "none":
        here = Source(results, stamp, shipped=results.resolve() == shipped)
        if studies(here):
            return here
    return Source(shipped, stamp_of(shipped), shipped=True, folders=len(list_runs(results)))


@st.cache_resource(max_entries=96, show_spinner=False)
def _cached(key: str, _make: Callable[[], Any]) -> Any:
    return _make()


def cached(where: Source, make: Callable[[], T], *key: Any) -> T:
    """`make()`, called once for each key, choice of runs and state of the store.

    All sessions share the value, so no caller may change it. Here, and nowhere else, the chosen
    runs become those of every figure and answer.
    """
    parts = [str(where.results), where.stamp, where.only, *key]
    with only_runs(where.only):
        value: T = _cached(json.dumps(parts, default=str), make)
    return value


def ask(where: Source, sql: str) -> pl.DataFrame:
    """A query's answer, cached.

    Raises:
        WorkbenchError: as `store.query`.
    """
    return cached(replace(where, only=None), lambda: query(where.results, sql), "sql", sql)


def loader(where: Source) -> Callable[[Path, str, str], StudyCurves]:
    """A `load_curves` that reads each metric of a study once."""

    def load(results: Path, study: str, metric: str) -> StudyCurves:
        return cached(where, lambda: load_curves(results, study, metric), "curves", study, metric)

    return load


def studies(where: Source) -> list[dict[str, Any]]:
    """Name, question and source of every study, trained ones before imported ones."""
    return ask(
        where,
        """SELECT study, question, source, compare,
                  count(run_id) AS runs, coalesce(bool_and(imported), false) AS imported
           FROM studies LEFT JOIN study_runs USING (study) LEFT JOIN runs USING (run_id)
           GROUP BY ALL ORDER BY imported, study""",
    ).to_dicts()


def spent(where: Source) -> list[dict[str, Any]]:
    """For every study, its runs by state, and the tokens and FLOPs spent so far."""
    return ask(
        where,
        """WITH spent AS (
               SELECT run_id, max(tokens) AS tokens, max(flops) AS flops
               FROM metrics GROUP BY run_id)
           SELECT study, question, count(run_id) AS runs,
                  count(*) FILTER (state = 'finished') AS finished,
                  count(*) FILTER (state IN ('failed', 'diverged')) AS failed,
                  count(*) FILTER (state = 'finished') / greatest(count(run_id), 1) AS done,
                  sum(tokens)::BIGINT AS tokens, sum(flops) AS "training FLOPs",
                  if(coalesce(bool_and(imported), false), 'imported', 'trained') AS origin
           FROM studies LEFT JOIN study_runs USING (study) LEFT JOIN runs USING (run_id)
                LEFT JOIN spent USING (run_id)
           GROUP BY study, question ORDER BY origin DESC, study""",
    ).to_dicts()


def metrics(where: Source, study: str) -> list[str]:
    """A study's metrics, validation losses first."""
    names = ask(
        where,
        f"""SELECT DISTINCT metric FROM metrics JOIN study_runs USING (run_id)
            WHERE study = {literal(study)} AND value IS NOT NULL ORDER BY metric""",
    )["metric"].to_list()
    return sorted(names, key=lambda name: (name != "val_loss", not name.startswith("val_"), name))


def runs(where: Source, study: str | None = None) -> list[dict[str, Any]]:
    """Runs of a study, or all, as the store has them."""
    chosen = (
        f"WHERE run_id IN (SELECT run_id FROM study_runs WHERE study = {literal(study)})"
        if study
        else ""
    )
    return ask(where, f"SELECT * FROM runs {chosen} ORDER BY run_id").to_dicts()


def differing(where: Source, study: str) -> dict[str, list[Any]]:
    """The configuration keys that differ between a study's runs, and their values in order."""
    every = replace(where, only=None)
    return cached(every, lambda: _differing(runs(where, study)), "differing", study)


def _differing(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    from workbench.figures.points import by_number

    values: dict[str, set[str]] = {}
    texts = {row["config"]: row for row in rows}
    for row in texts.values():
        for key, value in run_keys(row).items():
            values.setdefault(key, set()).add(json.dumps(value))
    usual = ("training.objective", "data.unique_tokens", "n_params")
    varying = [key for key in values if len(values[key]) > 1]
    varying.sort(
        # How runs are evaluated is the last thing that one looks for.
        key=lambda k: (usual.index(k) if k in usual else len(usual), k.startswith("evaluation."), k)
    )
    return {key: [json.loads(v) for v in sorted(values[key], key=by_number)] for key in varying}


def swept_keys(where: Source, study: str) -> list[str]:
    """The keys that a study's recipe sweeps, in its order; those of `evaluation` are left out."""
    recipe = ask(where, f"SELECT recipe FROM studies WHERE study = {literal(study)}").item()
    try:
        swept = tomllib.loads(recipe or "").get("sweep", {})
    except tomllib.TOMLDecodeError:  # an imported table, or a recipe of another version
        return []
    return [key for key in swept if not key.startswith("evaluation.")]


def read_ahead() -> None:
    """Read into the cache what the first page needs, while the browser is still loading."""
    where = source()
    names = [str(row["study"]) for row in studies(where)]
    if names:
        runs(where, names[0])
        known = metrics(where, names[0])
        differing(where, names[0])
        if known:
            loader(where)(where.results, names[0], known[0])
