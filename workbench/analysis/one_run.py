"""One run: what was asked of it, what it measured, where its files are; and two side by side."""

import json
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.metrics import higher_is_better
from workbench.recipe.sides import same_value
from workbench.recipe.sweep import dotted
from workbench.runs.folder import RunFolder
from workbench.runs.studies import chosen_run, find_run, studies_of
from workbench.store import database_path, query
from workbench.store.parquet.layout import is_dataset
from workbench.store.query import literal


def about_run(results: Path, name: str) -> dict[str, Any]:
    """A run of a results folder or of a dataset.

    Args:
        name: its id, or the beginning of it.

    Returns:
        "run_id", "studies", "state" and what else is known of it as a whole; "keys", dotted, with
        the values that it was trained with; "values", of each metric the last and the best one,
        and the steps and tokens of both; "files" by what they hold.

    Raises:
        InputError: no run, or several, are called so.
    """
    if is_dataset(results):
        return _from_store(results, name) | {"files": {}}
    folder = find_run(results, name)
    document, status = folder.config_json(), folder.status()
    derived = document["derived"]
    return {
        "run_id": folder.run_id,
        "studies": [study for study, ids in studies_of(results).items() if folder.run_id in ids],
        "state": status.state,
        "step": status.step,
        **{key: derived.get(key) for key in ("steps", "n_params", "epochs", "train_flops")},
        "tokens": status.tokens,
        "attempts": status.attempts,
        "protocol": document.get("protocol", 1),
        "parent": document.get("parent"),
        "host": status.host,
        "error": status.error,
        "keys": _keys(document["config"]),
        "values": _values(results, folder.run_id) if database_path(results).exists() else [],
        "files": _files(folder),
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """What differs between two answers of `about_run`: a row each of keys, then of last values.

    Keys that change no number, such as how often a run is saved, count too: they are of the run.

    Raises:
        InputError: both are the same run.
    """
    first, second = one["run_id"], other["run_id"]
    if first == second:
        raise InputError(f"{first} is one run: give another one to compare it with.")
    rows = []
    for what in ("state", "steps", "n_params", "train_flops", "protocol", "parent"):
        if one.get(what) != other.get(what):
            rows.append({"what": what, first: one.get(what), second: other.get(what)})
    for key in dict.fromkeys((*one["keys"], *other["keys"])):
        values = one["keys"].get(key), other["keys"].get(key)
        if not same_value(*values):
            rows.append({"what": key, first: values[0], second: values[1]})
    last = [{row["metric"]: row["last"] for row in of["values"]} for of in (one, other)]
    for metric in dict.fromkeys((*last[0], *last[1])):
        rows.append(
            {"what": f"last {metric}", first: last[0].get(metric), second: last[1].get(metric)}
        )
    return rows


def best_first(results: Path, rows: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Rows of runs with "best", "best_step" and "last" of a metric, best first; those without a
    value come at the end.

    Args:
        rows: with "run_id".

    Raises:
        InputError: none of these runs has the metric; or there is no store.
    """
    frame = query(
        results,
        f"""SELECT b.run_id, b.value AS best, b.step AS best_step, f.value AS last
            FROM best b JOIN final f USING (run_id, metric) WHERE metric = {literal(metric)}""",
    )
    values = {row.pop("run_id"): row for row in frame.to_dicts()}
    if not values.keys() & {row["run_id"] for row in rows}:
        known = query(results, "SELECT DISTINCT metric FROM metrics")["metric"].to_list()
        raise InputError(
            f"--metric {metric}: none of these runs has it{suggestion(metric, known) or '.'}"
        )
    none = {"best": None, "best_step": None, "last": None}
    found = [row | (values.get(row["run_id"]) or none) for row in rows]
    sign = -1 if higher_is_better(metric) else 1
    return sorted(found, key=lambda row: (row["best"] is None, sign * (row["best"] or 0.0)))


def _keys(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dotted(config).items() if value is not None}


def _files(folder: RunFolder) -> dict[str, str]:
    places = {
        "folder": folder.path,
        "config": folder.config_path,
        "provenance": folder.provenance_path,
        "records": folder.sealed_path if folder.sealed_path.exists() else folder.records_path,
        "evaluations": folder.evaluations_path,
        "items": folder.items_dir,
        "checkpoint": folder.checkpoint_dir,
        "log": folder.log_path,
    }
    return {name: str(path) for name, path in places.items() if path.exists()}


def _from_store(results: Path, name: str) -> dict[str, Any]:
    """What a dataset knows of a run."""
    run_ids = query(results, "SELECT run_id FROM runs ORDER BY run_id")["run_id"].to_list()
    run_id = chosen_run(run_ids, name, results)
    (row,) = query(results, f"SELECT * FROM runs WHERE run_id = {literal(run_id)}").to_dicts()
    studies = query(
        results, f"SELECT study FROM study_runs WHERE run_id = {literal(run_id)} ORDER BY study"
    )
    names = ("state", "steps", "n_params", "epochs", "train_flops", "protocol", "parent", "error")
    config = json.loads(row["config"]) if row["config"] else {}
    return {
        "run_id": run_id,
        "studies": studies["study"].to_list(),
        "step": row["steps_done"],
        **{key: row[key] for key in names},
        "keys": _keys(config),
        "values": _values(results, run_id),
    }


def _values(results: Path, run_id: str) -> list[dict[str, Any]]:
    """A row a metric: its last value and its best."""
    return query(
        results,
        f"""SELECT f.metric, f.value AS last, f.stderr, f.step, f.tokens, f.epoch, f.estimator,
                   b.value AS best, b.step AS best_step, b.tokens AS best_tokens
            FROM (SELECT * FROM final WHERE run_id = {literal(run_id)}) f
            LEFT JOIN (SELECT * FROM best WHERE run_id = {literal(run_id)}) b USING (metric)
            ORDER BY f.metric""",
    ).to_dicts()
