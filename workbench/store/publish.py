"""Publishing: what evaluations measured in chosen studies, as a small dataset to give away.

It has the finished runs, without the numbers of each training step and without items, and nothing
that tells whose machine they ran on. Other studies that the dataset has already stay in it, so that
one dataset collects studies of several stores.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from workbench.errors import InputError
from workbench.metrics import OF_TRAINING
from workbench.store.parquet.contents import as_parquet
from workbench.store.parquet.export import ExportReport, digests_of, files_of, put_marker
from workbench.store.parquet.filesystem import Place, is_url
from workbench.store.parquet.layout import (
    FORMAT,
    MARKER,
    METRICS,
    PARTS,
    SMALL,
    part_path,
    table_path,
)
from workbench.store.parquet.mirror import mirrored
from workbench.store.query import literal, query

Tables = dict[str, pl.DataFrame]

# What says how a number came about. The rest of provenance, such as the host and the command line,
# says where and by whom.
_PROVENANCE = (
    "created", "recipe_sha256", "git", "versions", "plugins", "cpus", "trained_on", "shared_trunk",
    "origin", "flops",
)  # fmt: skip
# A path that is a whole text or a quoted one may have blanks in it.
_WHOLE_PATH = re.compile(r"""(?:^|(?<=["']))(hf:)?((?:~|/)[^"'\n]*/[^"'\n]+)(?=["']|$)""")
_PATH = re.compile(r"""(?<![\w/.*)}\]>-])(?:~|/(?!/))[^\s"'`,;()/]*(?:/[^\s"'`,;()/]+)+""")


def publish_studies(
    results: Path, location: str, studies: Sequence[str], *, timeout: float = 60.0
) -> ExportReport:
    """Add studies to a dataset of published ones, or bring those that it has up to date.

    Args:
        results: a results folder, or a dataset.
        location: a folder, or a URL that fsspec knows.
        timeout: seconds to wait for another export.

    Raises:
        InputError: no such study, or none of its runs has finished; the place has other files, a
            dataset that mirrors a whole store, or one of a newer workbench. Nothing is written.
        WorkbenchError: the place cannot be written, or stayed locked.
    """
    chosen = _without_machine(_read(results, studies))
    place = Place(location)
    files_of(place, published=True)
    with place.exclusive(timeout):
        listed = files_of(place, published=True)
        tables = _merged(_published(location), chosen, studies) if MARKER in listed else chosen
        files = _files(tables)
        digests = digests_of(place, listed)
        report = ExportReport(runs=tables["runs"].height)
        if MARKER not in listed:
            put_marker(place, published=True)
        for path, (frame, metadata) in files.items():
            digest = _digest(frame, metadata)
            if digests.get(path) == digest:
                report.unchanged += 1
                continue
            place.put(path, as_parquet(frame, digest, metadata))
            report.written += 1
        for path in set(digests) - set(files):
            place.remove(path)
            report.removed += 1
        if report.written or report.removed:
            put_marker(place, published=True)
    return report


def _read(results: Path, studies: Sequence[str]) -> Tables:
    """The rows of these studies."""
    known = query(results, "SELECT study FROM studies ORDER BY study")["study"].to_list()
    for study in studies:
        if study not in known:
            raise InputError(
                f"--study {study}: {results} has no such study. It has: {', '.join(known)}."
            )
    chosen = f"study IN ({', '.join(map(literal, studies))})"
    members = f"SELECT run_id FROM study_runs WHERE {chosen}"
    where = {
        "runs": f"state = 'finished' AND run_id IN ({members})",
        # Read after the runs: what is added meanwhile is dropped, and no run lacks its numbers.
        "metrics": f"run_id IN ({members}) AND metric NOT IN {OF_TRAINING}",
    }
    names = sorted((METRICS, *SMALL), key=lambda name: name != "runs")
    tables = {
        name: query(results, f"FROM {name} WHERE {where.get(name, chosen)}") for name in names
    }
    finished = tables["runs"].select("run_id")
    for name in (METRICS, "study_runs"):
        tables[name] = tables[name].join(finished, on="run_id", how="semi")
    for study in studies:
        if study not in tables["study_runs"]["study"]:
            raise InputError(f"--study {study}: none of its runs in {results} has finished yet.")
    return tables


def _published(location: str) -> Tables:
    """What a dataset has now, with the columns of today."""
    folder = mirrored(location) if is_url(location) else Path(location)
    return {name: query(folder, f"FROM {name}") for name in (METRICS, *SMALL)}


def _merged(old: Tables, new: Tables, studies: Sequence[str]) -> Tables:
    """The tables of both, these studies and their runs as they are in the new ones."""
    merged: Tables = {}
    for name in (*(name for name in SMALL if name != "runs"), "runs", METRICS):
        if name in ("runs", METRICS):
            others = merged["study_runs"].select("run_id")
            kept = old[name].join(others, on="run_id", how="semi")
            kept = kept.join(new["runs"].select("run_id"), on="run_id", how="anti")
        else:
            kept = old[name].filter(~pl.col("study").is_in(studies))
        merged[name] = pl.concat([kept, new[name]], how="vertical_relaxed")
    return merged


def _files(tables: Tables) -> dict[str, tuple[pl.DataFrame, dict[str, str]]]:
    """Rows and metadata of each file, numbers before the table that lists their runs."""
    files: dict[str, tuple[pl.DataFrame, dict[str, str]]] = {}
    objectives = tables["runs"].select("run_id", "objective")
    numbers = tables[METRICS].join(objectives, on="run_id")
    for (objective,), rows in numbers.partition_by("objective", as_dict=True).items():
        path = part_path(METRICS, None if objective is None else str(objective), 0)
        rows = rows.drop("objective")
        files[path] = (_sorted(rows, "metric", "run_id", "step"), {})
    parts = {PARTS: json.dumps(sorted(files))}
    for name in SMALL:
        files[table_path(name)] = (_sorted(tables[name]), parts if name == "runs" else {})
    return files


def _sorted(frame: pl.DataFrame, *first: str) -> pl.DataFrame:
    """The rows in an order of their own, so that equal tables are equal files."""
    rest = [name for name in frame.columns if name not in first]
    return frame.sort(*first, *rest, nulls_last=True)


def _digest(frame: pl.DataFrame, metadata: dict[str, str]) -> str:
    """A hash of the rows as text: equal rows can lie in memory in several ways."""
    return hashlib.sha256(f"{FORMAT}\n{metadata}\n{frame.write_ndjson()}".encode()).hexdigest()


def _without_machine(tables: Tables) -> Tables:
    """The tables without hosts, command lines and folders of anybody's machine."""
    runs = tables["runs"].with_columns(
        pl.col("provenance").map_elements(_public, return_dtype=pl.String)
    )
    named = {**{name: tables[name] for name in SMALL}, "runs": runs}
    text = pl.col(pl.String).map_elements(without_folders, return_dtype=pl.String)
    return {METRICS: tables[METRICS], **{name: f.with_columns(text) for name, f in named.items()}}


def _public(provenance: str) -> str:
    document = json.loads(provenance) or {}
    return json.dumps({key: document[key] for key in _PROVENANCE if key in document})


def without_folders(text: str) -> str:
    """A text in which each absolute path has become the name of its file."""
    text = _WHOLE_PATH.sub(lambda found: (found[1] or "") + _name(found[2]), text)
    return _PATH.sub(lambda found: _name(found[0]), text)


def _name(path: str) -> str:
    return PurePosixPath(path).name
