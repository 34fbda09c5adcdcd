"""Import: curves of other software, written as run folders and compared like trained runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from workbench.errors import InputError
from workbench.importing.folders import check_folders, write_run
from workbench.importing.formats import LOG_FORMATS, find_runs
from workbench.importing.identity import make_runs
from workbench.importing.join_study import check_name, join_study, read_study
from workbench.importing.logs import read_logs
from workbench.importing.points import Points, read_points
from workbench.importing.reference import NAME, ORIGIN, QUESTION, SOURCE, reference_file
from workbench.importing.request import Request
from workbench.importing.table import read_table
from workbench.runs.files import check_writable
from workbench.store.metric_names import in_fractions, renamed


@dataclass(frozen=True)
class ImportReport:
    """Counts of an import. `notes` list what was left out, derived or estimated."""

    runs: int
    records: int
    study: str
    notes: list[str]


def import_runs(
    source: str | Path,
    study: str | None,
    results: Path,
    *,
    columns: Mapping[str, str] | None = None,
    request: Request | None = None,
    estimate_flops: bool = False,
) -> ImportReport:
    """Import all curves of a source into a study; if one is wrong, none is imported.

    A run's id is a hash of the study and the keys that distinguish its runs: importing a file again
    changes nothing, and importing it after it has changed replaces its runs.

    Args:
        source: a long .csv or .parquet table, a folder of TensorBoard event files, or
            "reference", the curves that the workbench ships.
        study: its name; "reference" by default for the shipped curves.
        columns: our column name -> the source's, where they differ. A number stands for a
            column that the source lacks.
        estimate_flops: where the source has no FLOPs, estimate 6 for each parameter and token.

    Raises:
        InputError: the source is wrong. Nothing has been written.
        WorkbenchError: the disk is full, or the store stayed locked.
    """
    shipped = str(source) == NAME
    study = check_name(NAME if shipped and study is None else study)
    request = request or Request()
    request = replace(request, columns={**request.columns, **(columns or {})})
    points = _points(reference_file() if shipped else Path(source), request)
    if shipped:
        points = replace(points, provenance={**points.provenance, "origin": ORIGIN})
    points = _one_name_and_unit(points)
    runs = make_runs(points, study, estimate_flops=estimate_flops)
    read_study(results, study)
    check_folders(results, runs)
    check_writable(results)
    changed = sum(write_run(results, run) for run in runs)
    run_ids = [run.run_id for run in runs]
    description = (QUESTION, SOURCE) if shipped else ("", f"imported from {Path(source).name}")
    pairing = join_study(results, study, run_ids, *description)
    from workbench.store import ingest

    problems = ingest(results, run_ids=run_ids).problems
    same = [] if changed else ["nothing has changed since it was last imported."]
    records = sum(run.records.height for run in runs)
    return ImportReport(len(runs), records, study, [*points.notes, *pairing, *problems, *same])


def _one_name_and_unit(points: Points) -> Points:
    """The points as our own runs are recorded.

    Raises:
        InputError: a share is above 100 %.
    """
    frame, percent = in_fractions(renamed(points.frame))
    beyond = frame.filter(pl.col("metric").is_in(percent) & (pl.col("value") > 1))
    if not beyond.is_empty():
        first = beyond.row(0, named=True)
        raise InputError(
            f"{points.provenance['source']['file']}: {first['metric']} = "
            f"{100 * first['value']:g}: expected a fraction from 0 to 1, or a percentage."
        )
    notes = [f"{metric} is in percent, and imported as a fraction." for metric in percent]
    return replace(points, frame=frame, notes=[*points.notes, *notes])


def _points(path: Path, request: Request) -> Points:
    found = find_runs(path, request)
    if found:
        return read_logs(path, found, request)
    if path.is_dir():
        formats = ", ".join(kind.name for kind in LOG_FORMATS)
        raise InputError(f"{path}: no {formats} in this folder or below it.")
    if not path.exists() and not path.suffix:
        raise InputError(
            f"{path}: no such file or folder. Give a .csv or .parquet file, a folder of "
            "TensorBoard event files, or the word reference."
        )
    return read_points(read_table(path), request.columns)
