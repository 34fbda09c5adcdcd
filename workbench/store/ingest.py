"""Ingest: from run folders into the store, any number of times, while runs go on."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from workbench.errors import InputError, WorkbenchError
from workbench.runs import RunFolder, list_runs
from workbench.store.connection import database_path, writing
from workbench.store.reading import deduplicated, empty_records, read_records
from workbench.store.schema import METRICS, RUNS


@dataclass
class IngestReport:
    """What an ingest did. `problems` names what it could not read and left out."""

    runs: int = 0
    records: int = 0
    problems: list[str] = field(default_factory=list)


def ingest(
    results: Path,
    *,
    rebuild: bool = False,
    run_ids: Iterable[str] | None = None,
    timeout: float = 30.0,
) -> IngestReport:
    """Bring the store up to date with the run folders.

    Idempotent: a run's rows are replaced as a whole when its files have changed. Deleting the
    store loses nothing.

    Args:
        rebuild: make a new store from all folders, and put it in the old one's place.
        run_ids: look at these runs only.
        timeout: seconds to wait while another process writes.

    Raises:
        InputError: no such results folder, or a store of a newer schema.
        WorkbenchError: the disk is full, or the store stayed locked.
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder. Give --results, or run a recipe first.")
    path = database_path(results)
    target = path.with_name(f".{path.name}.{os.getpid()}") if rebuild else path
    wanted = None if run_ids is None or rebuild else set(run_ids)
    runs = [run for run in list_runs(results) if wanted is None or run.run_id in wanted]
    try:
        report = _ingest(results, target, runs, timeout)
        if rebuild:
            os.replace(target, path)
        return report
    except duckdb.Error as error:
        raise WorkbenchError(
            f"{path}: cannot be written: {str(error).splitlines()[0]} The run folders hold every "
            "record: mend this and run `workbench ingest`."
        ) from error
    finally:
        if rebuild:
            target.unlink(missing_ok=True)


def _ingest(results: Path, target: Path, runs: list[RunFolder], timeout: float) -> IngestReport:
    report = IngestReport()
    # Read before the store is opened: others wait while it is.
    read: list[_RunRows] = []
    known = _known_sources(target)
    for run in runs:
        try:
            rows = _read_run(run, known.get(run.run_id))
        except (InputError, OSError) as error:
            report.problems.append(str(error))
            continue
        except (KeyError, TypeError, AttributeError) as error:
            report.problems.append(f"{run.config_path}: damaged ({error!r}); the run is left out.")
            continue
        report.problems += rows.problems
        read.append(rows)
    studies = _read_studies(results, report)
    with writing(target, timeout=timeout) as connection:
        for rows in read:
            _replace_run(connection, rows)
            if rows.records is not None:
                report.runs += 1
                report.records += rows.records.height
        _replace_studies(connection, studies)
    return report


@dataclass(frozen=True)
class _RunRows:
    run: dict[str, Any]
    source: str
    records: pl.DataFrame | None
    """None where the store has this source already."""
    problems: list[str]


def _known_sources(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with writing(path) as connection:
        rows = connection.execute("SELECT run_id, source FROM ingested").fetchall()
    return dict(rows)


def _read_run(run: RunFolder, known: str | None) -> _RunRows:
    row = _run_row(run)
    problems: list[str] = []
    if row["state"] == "finished" and not run.sealed_path.exists():
        problems += _seal(run)
    path = run.sealed_path if run.sealed_path.exists() else run.records_path
    files = [one for one in (path, run.evaluations_path) if one.exists()]
    if not files:
        return _RunRows(row, "", None, problems)
    source = "+".join(_signature(one) for one in files)
    if source == known:
        return _RunRows(row, source, None, problems)
    records = _read_trained(run, path, problems) if path in files else empty_records()
    if run.evaluations_path in files:
        reading = read_records(run.evaluations_path)
        problems += reading.problems
        records = pl.concat([records, deduplicated(reading.frame)], how="vertical_relaxed")
    return _RunRows(row, source, records, problems)


def _signature(path: Path) -> str:
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"


def _read_trained(run: RunFolder, path: Path, problems: list[str]) -> pl.DataFrame:
    """What training measured, from the sealed file or else from the JSON lines."""
    if path == run.sealed_path:
        try:
            return pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            if not run.records_path.exists():
                raise InputError(
                    f"{path}: cannot be read ({error}); the run is left out. Import it again."
                ) from None
            # The JSONL stays beside it for the whole of a trained run's life.
            problems.append(f"{path}: cannot be read ({error}); read records.jsonl instead.")
    reading = read_records(run.records_path)
    problems += reading.problems
    return deduplicated(reading.frame)


def _seal(run: RunFolder) -> list[str]:
    """Write a finished run's records as Parquet, complete or not at all."""
    if not run.records_path.exists():
        return []
    reading = read_records(run.records_path)
    temporary = run.sealed_path.with_name(f".{run.sealed_path.name}.{os.getpid()}")
    try:
        deduplicated(reading.frame).write_parquet(temporary)
        os.replace(temporary, run.sealed_path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        return [*reading.problems, f"{run.sealed_path}: cannot be written: {error.strerror}."]
    return reading.problems


def _run_row(run: RunFolder) -> dict[str, Any]:
    document, status = run.config_json(), run.status()
    config, derived = document["config"], document["derived"]
    training, data, model = config["training"], config["data"], config["model"]
    provenance = None
    if run.provenance_path.exists():
        provenance = run.provenance_path.read_text()
    return {
        "run_id": run.run_id,
        "objective": training.get("objective"),
        "n_params": derived.get("n_params"),
        "n_params_non_embedding": derived.get("n_params_non_embedding"),
        "unique_tokens": data.get("unique_tokens"),
        "total_tokens": training.get("total_tokens", derived.get("total_tokens")),
        "epochs": derived.get("epochs"),
        "steps": derived.get("steps"),
        "train_flops": derived.get("train_flops"),
        "seed": training.get("seed"),
        "data_seed": data.get("seed"),
        "size": model.get("size"),
        "corpus": data.get("corpus"),
        "seq_len": data.get("seq_len"),
        "batch_size": training.get("batch_size"),
        "lr": training.get("lr"),
        "weight_decay": training.get("weight_decay"),
        "noise_schedule": training.get("noise_schedule"),
        "loss_weighting": training.get("loss_weighting"),
        "quality": data.get("quality"),
        "input_mask": training.get("input_mask"),
        "dropout": model.get("dropout"),
        "config": json.dumps(config),
        "provenance": provenance,
        "data_fingerprint": document["data"].get("fingerprint"),
        "parent": document.get("parent"),
        "state": status.state,
        "attempts": status.attempts,
        "steps_done": status.step,
        "error": status.error,
        "imported": document.get("imported") is True,
    }


def _read_studies(results: Path, report: IngestReport) -> list[dict[str, Any]]:
    studies = []
    for path in sorted((results / "studies").glob("*.json")):
        try:
            study = json.loads(path.read_text())
            studies.append({**study, "name": study["name"], "run_ids": list(study["run_ids"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            report.problems.append(f"{path}: not a study ({error}); left out.")
    return studies


def _replace_run(connection: duckdb.DuckDBPyConnection, rows: _RunRows) -> None:
    run_id = rows.run["run_id"]
    names = [column.name for column in RUNS.columns]
    marks = ", ".join("?" for _ in names)
    connection.execute("DELETE FROM runs WHERE run_id = ?", [run_id])
    connection.execute(f"INSERT INTO runs VALUES ({marks})", [rows.run[name] for name in names])
    if rows.records is None:
        return
    columns = [column.name for column in METRICS.columns]
    frame = rows.records.with_columns(run_id=pl.lit(run_id)).select(columns)
    connection.execute("DELETE FROM metrics WHERE run_id = ?", [run_id])
    connection.register("new_records", frame)
    connection.execute("INSERT INTO metrics SELECT * FROM new_records")
    connection.unregister("new_records")
    connection.execute("DELETE FROM ingested WHERE run_id = ?", [run_id])
    connection.execute("INSERT INTO ingested VALUES (?, ?)", [run_id, rows.source])


def _replace_studies(connection: duckdb.DuckDBPyConnection, studies: list[dict[str, Any]]) -> None:
    for study in studies:
        name = study["name"]
        connection.execute("DELETE FROM studies WHERE study = ?", [name])
        connection.execute(
            "INSERT INTO studies VALUES (?, ?, ?, ?, ?)",
            [
                name,
                study.get("question"),
                study.get("source"),
                json.dumps(study.get("compare")),
                study.get("recipe"),
            ],
        )
        connection.execute("DELETE FROM study_runs WHERE study = ?", [name])
        frame = pl.DataFrame(
            {"study": [name] * len(study["run_ids"]), "run_id": study["run_ids"]},
            schema={"study": pl.String, "run_id": pl.String},
        )
        connection.register("new_study_runs", frame)
        connection.execute("INSERT INTO study_runs SELECT * FROM new_study_runs")
        connection.unregister("new_study_runs")
