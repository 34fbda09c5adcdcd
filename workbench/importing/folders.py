"""Writing imported runs as run folders, like those of trained runs."""

import time
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import InputError, WorkbenchError
from workbench.importing.identity import ImportedRun
from workbench.runs.files import plain_path, replacing, write_json
from workbench.runs.folder import RunFolder, RunStatus
from workbench.runs.tables import read_parquet

_TIME = "imported_at"


def check_folders(results: Path, runs: list[ImportedRun]) -> None:
    """Check that no trained run would be overwritten, and no curve of another source lost.

    Raises:
        InputError: a run was trained here under the same id, or has metrics of another source that
            this one lacks.
    """
    for run in runs:
        folder = RunFolder(results / "runs" / run.run_id)
        if folder.config_path.exists() and not folder.is_imported():
            raise InputError(
                f"{folder.path} was trained here and is never overwritten. Import under another "
                "study name."
            )
        if folder.config_path.exists():
            _check_metrics(folder, run)


def _check_metrics(folder: RunFolder, run: ImportedRun) -> None:
    try:
        before = folder.provenance_json()["source"]["file"]
        metrics = set(read_parquet(plain_path(folder.sealed_path), ["metric"])["metric"])
    except (WorkbenchError, pl.exceptions.PolarsError, OSError, KeyError, TypeError):
        return  # damaged: it is written again
    now = run.provenance["source"]["file"]
    lost = sorted(metrics - set(run.records["metric"]))
    if lost and now != before:
        raise InputError(
            f"{now} has a run that was imported from {before} with {', '.join(lost[:5])}, which "
            "it lacks. All that is known of a run is imported together: put both sources into one "
            "folder or table, or import this one under another study name."
        )


def write_run(results: Path, run: ImportedRun) -> bool:
    """Make or replace an imported run's folder.

    Returns:
        Whether anything was written; an equal run is not changed.

    Raises:
        WorkbenchError: the disk is full or the folder cannot be written.
    """
    folder = RunFolder(results / "runs" / run.run_id)
    now = time.time()
    provenance = {**run.provenance, _TIME: time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    status = RunStatus(
        state="finished", step=run.step, tokens=run.tokens, updated=now, finished=now
    )
    if not folder.config_path.exists():
        RunFolder.create(
            results,
            run.run_id,
            run.config,
            provenance,
            status=status,
            fill=lambda path: _write_records(path / "records.parquet", run.records),
        )
        return True
    if _is_equal(folder, run):
        return False
    with folder.claim():
        _write_records(folder.sealed_path, run.records)
        write_json(folder.config_path, run.config)
        write_json(folder.provenance_path, provenance)
        folder.write_status(**_changes(status))
    return True


def _changes(status: RunStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "step": status.step,
        "tokens": status.tokens,
        "finished": status.finished,
    }


def _is_equal(folder: RunFolder, run: ImportedRun) -> bool:
    try:
        same = folder.config_json() == run.config
        same = same and folder.stored_status().state == "finished"
        provenance = folder.provenance_json()
        provenance.pop(_TIME, None)
        same = same and provenance == run.provenance
        return same and read_parquet(plain_path(folder.sealed_path)).equals(run.records)
    except (WorkbenchError, pl.exceptions.PolarsError, OSError):
        return False  # damaged: write it again


def _write_records(path: Path, records: pl.DataFrame) -> None:
    """Write records as Parquet in one step."""
    try:
        with replacing(path) as temporary:
            records.write_parquet(temporary)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WorkbenchError(f"{path}: cannot be written: {error}.") from error
