"""Import: curves of other software, written as run folders and compared like trained runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import stages
from workbench.errors import InputError
from workbench.importing.folders import check_folders, write_run
from workbench.importing.formats import LOG_FORMATS, find_runs
from workbench.importing.identity import make_runs
from workbench.importing.join_study import check_name, join_study, read_study
from workbench.importing.logs import read_logs
from workbench.importing.our_units import in_our_units
from workbench.importing.points import Points, read_points
from workbench.importing.reference import NAME, ORIGIN, QUESTION, SOURCE, reference_file
from workbench.importing.request import Request
from workbench.importing.runs_table import with_runs
from workbench.importing.table import TABLES, read_table
from workbench.importing.table_logs import table_runs
from workbench.recipe.sweep import dotted
from workbench.runs.files import check_writable


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
        source: a table, a log or a folder of logs (docs/formats.md), or "reference", the curves
            that the workbench ships.
        study: its name; "reference" by default for the shipped curves.
        columns: `columns` of the request, for those who need nothing else of it.
        request: how the source is to be read.
        estimate_flops: where the source has no FLOPs, estimate 6 for each parameter and token.

    Raises:
        InputError: the source is wrong. Nothing has been written.
        WorkbenchError: the disk is full, or the store stayed locked.
    """
    shipped = str(source) == NAME
    study = check_name(NAME if shipped and study is None else study)
    request = request or Request()
    points = read_source(source, replace(request, columns={**request.columns, **(columns or {})}))
    runs = make_runs(points, study, estimate_flops=estimate_flops)
    read_study(results, study)
    check_folders(results, runs)
    check_writable(results)
    stages.doing(f"writing {len(runs):,} runs")
    changed = sum(write_run(results, run) for run in runs)
    run_ids = [run.run_id for run in runs]
    description = (QUESTION, SOURCE) if shipped else ("", f"imported from {Path(source).name}")
    pairing = join_study(results, study, run_ids, *description)
    from workbench.store import ingest

    problems = ingest(results, run_ids=run_ids).problems
    same = [] if changed else ["nothing has changed since it was last imported."]
    records = sum(run.records.height for run in runs)
    return ImportReport(len(runs), records, study, [*points.notes, *pairing, *problems, *same])


def read_source(source: str | Path, request: Request | None = None) -> Points:
    """All points of a source, typed, checked, in our units and under our names. Writes nothing.

    Args:
        source: as of `import_runs`.

    Raises:
        InputError: the source is wrong. The message says where, and how to mend it.
    """
    request = request or Request()
    shipped = str(source) == NAME
    points = _points(reference_file() if shipped else Path(source), request)
    if shipped:
        points = replace(points, provenance={**points.provenance, "origin": ORIGIN})
    return in_our_units(str(source), points, request.units)


def preview(
    source: str | Path, request: Request | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """What an import would read: a row for each metric of each run, with its number of points and
    its first and last value; and notes. Writes nothing.

    Raises:
        InputError: the source is wrong.
    """
    points = read_source(source, request)
    rows = []
    for run in make_runs(points, "", estimate_flops=False):
        config = run.config["config"]
        keys = {key.rpartition(".")[2]: value for key, value in dotted(config).items()}
        known = {"objective": keys.pop("objective"), "n_params": run.config["derived"]["n_params"]}
        for metric, records in run.records.group_by("metric", maintain_order=True):
            ends = records.select("tokens", "value")
            first, last = ends.row(0, named=True), ends.row(-1, named=True)
            of_metric = {"metric": metric[0], "points": records.height}
            at = {"first_tokens": first["tokens"], "first": first["value"]}
            at |= {"last_tokens": last["tokens"], "last": last["value"]}
            rows.append({**known, **keys, **of_metric, **at})
    return rows, points.notes


def _points(path: Path, request: Request) -> Points:
    found = find_runs(path, request)
    if found:
        return read_logs(path, found, request)
    if path.is_dir():
        formats = ", ".join(kind.name for kind in LOG_FORMATS)
        raise InputError(f"{path}: in this folder or below it are no {formats}.")
    if not path.exists() and not path.suffix:
        raise InputError(
            f"{path}: no such file or folder. Give {TABLES}, a folder of TensorBoard event files, "
            "or the word reference."
        )
    table = read_table(path)
    runs, rest = table_runs(table, request)
    if runs:
        return read_logs(path, runs, rest)
    return read_points(with_runs(table, request.runs), request)
