"""Ingest: from run folders into the store, any number of times, while runs go on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from workbench import stages
from workbench.errors import InputError, WorkbenchError
from workbench.runs.folder import RunFolder, headless_runs, list_runs
from workbench.runs.forecasts import read_forecasts
from workbench.runs.studies import read_study
from workbench.runs.unfinished import replace_durably, sweep, unfinished
from workbench.store.connection import connect, database_path, writing
from workbench.store.inserting import replace_forecasts, replace_runs, replace_studies
from workbench.store.run_rows import RunRows, read_run

_RECORDS_AT_ONCE = 1_000_000
_RUNS_AT_ONCE = 2_000


@dataclass
class IngestReport:
    """What an ingest did. `problems` lists what it could not read and left out."""

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

    It is idempotent: a run's rows are replaced as a whole when its files have changed, a million
    records at a time. Deleting the store loses nothing, and an ingest that was killed continues
    where it stopped.

    Args:
        rebuild: make a new store from all folders, and replace the old one by it.
        run_ids: read only these runs.
        timeout: seconds to wait while another process writes.

    Raises:
        InputError: there is no such results folder, or the store has a newer schema.
        WorkbenchError: the disk is full, or the store stayed locked.
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder. Give --results, or run a recipe first.")
    path = database_path(results)
    wanted = None if run_ids is None or rebuild else set(run_ids)
    runs = [run for run in list_runs(results) if wanted is None or run.run_id in wanted]
    sweep(results)
    try:
        if not rebuild:
            return _ingest(results, path, runs, timeout)
        with unfinished(path, folder=True) as building:
            # In a folder of its own: the writer of `building` holds a lock on that one, and whoever
            # opens a store waits for the lock on its folder.
            made = building / "store" / path.name
            made.parent.mkdir()
            report = _ingest(results, made, runs, timeout)
            with connect(made, read_only=False) as connection:
                # Closing would leave in the log what does not fit on the disk.
                connection.execute("CHECKPOINT")
            with _write_lock(path, timeout):
                replace_durably(made, path)
        return report
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be replaced: {error.strerror}.") from error
    except duckdb.Error as error:
        raise WorkbenchError(
            f"{path}: cannot be written: {str(error).splitlines()[0]} The run folders hold every "
            "record: mend this and run `workbench ingest`."
        ) from error


@contextmanager
def _write_lock(path: Path, timeout: float) -> Iterator[None]:
    """Keep other writers out of the store during the block.

    Otherwise another writer's log of changes could be left beside a store to which it does not
    belong.
    """
    try:
        old = connect(path, read_only=False, timeout=timeout) if path.exists() else None
    except InputError:
        old = None  # damaged: nobody can write it
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    if old is None:
        yield
        return
    with old:
        old.execute("CHECKPOINT")
        yield


def _ingest(results: Path, target: Path, runs: list[RunFolder], timeout: float) -> IngestReport:
    report = IngestReport()
    for run in headless_runs(results):
        report.problems.append(f"{run.config_path} is missing; the run is left out.")
    known = _known_sources(target, timeout)
    for batch in _batches(runs, known, report):
        with writing(target, timeout=timeout) as connection:
            replace_runs(connection, batch)
    studies = _read_studies(results, report)
    forecasts = read_forecasts(results)
    report.problems += [one.problem for one in forecasts if one.problem]
    with writing(target, timeout=timeout) as connection:
        replace_studies(connection, studies)
        replace_forecasts(connection, forecasts)
    return report


def _batches(
    runs: list[RunFolder], known: dict[str, str], report: IngestReport
) -> Iterator[list[RunRows]]:
    """Batches of runs whose records fit into memory together.

    They are read before the store is opened, since others have to wait while it is open.
    """
    batch: list[RunRows] = []
    records = 0
    for number, run in enumerate(runs, 1):
        stages.doing(f"reading run {number:,} of {len(runs):,}")
        try:
            rows = read_run(run, known.get(run.run_id))
        except (WorkbenchError, OSError) as error:
            report.problems.append(str(error))
            continue
        except (Exception, pl.exceptions.PanicException) as error:  # costs this run alone
            report.problems.append(
                f"{run.path}: damaged ({type(error).__name__}: {str(error)[:200]}); the run is "
                "left out."
            )
            continue
        report.problems += rows.problems
        batch.append(rows)
        if rows.records is not None:
            report.runs += 1
            report.records += rows.records.height
            records += rows.records.height
        if records >= _RECORDS_AT_ONCE or len(batch) >= _RUNS_AT_ONCE:
            yield batch
            batch, records = [], 0
    if batch:
        yield batch


def _known_sources(path: Path, timeout: float) -> dict[str, str]:
    if not path.exists():
        return {}
    with writing(path, timeout=timeout) as connection:
        rows = connection.execute("SELECT run_id, source FROM ingested").fetchall()
    return dict(rows)


def _read_studies(results: Path, report: IngestReport) -> list[dict[str, Any]]:
    studies = []
    for path in sorted((results / "studies").glob("*.json")):
        try:
            studies.append(read_study(path))
        except (InputError, FileNotFoundError) as error:
            report.problems.append(f"{error} It is left out.")
    return studies
