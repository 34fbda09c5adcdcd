"""Export: the store as a Parquet dataset. Repeated exports write only what changed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from workbench.errors import InputError
from workbench.store.parquet.contents import (
    Contents,
    as_parquet,
    digest_of,
    list_contents,
    read_parts,
)
from workbench.store.parquet.filesystem import Place
from workbench.store.parquet.items import items_as_parquet
from workbench.store.parquet.layout import (
    DIGEST,
    MARKER,
    PARTS,
    check_kind,
    check_marker,
    is_ours,
    marker,
    table_path,
)
from workbench.store.parquet.part import Part

_ROWS_AT_ONCE = 2_000_000  # about 1 GB of memory


@dataclass
class ExportReport:
    """Numbers of files of an export. `foreign` are Parquet files that no export has written."""

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    runs: int = 0
    foreign: list[str] = field(default_factory=list)


def export_parquet(results: Path, location: str, *, timeout: float = 60.0) -> ExportReport:
    """Make a dataset equal to the store, with the items of its runs.

    Numbers and items are written before the tables that list their runs: a run in `runs` has its
    numbers, even if the export is interrupted. Files of runs that the store no longer has are
    removed last.

    Args:
        location: a folder, or a URL that fsspec knows.
        timeout: seconds to wait for a writer of the store, and for another export.

    Raises:
        InputError: there is no store, or the place has other files, another store's runs, or a
            dataset of a newer workbench. Nothing is written.
        WorkbenchError: the place cannot be written, or stayed locked.
    """
    contents = list_contents(results, timeout=timeout)
    place = Place(location)
    files_of(place, published=False)
    with place.exclusive(timeout):
        listed = files_of(place, published=False)
        report = ExportReport(runs=len(contents.run_ids))
        digests = digests_of(place, listed)
        report.foreign = [p for p in listed if p.endswith(".parquet") and not is_ours(p)]
        _refuse_another_store(place, digests, contents)
        if MARKER not in listed:
            put_marker(place, published=False)
        for part in _changed(contents.items, digests, report):
            place.put(part.path, items_as_parquet(results, part))
            report.written += 1
        _write_metrics(results, place, contents, digests, report, timeout)
        parts = {*contents.parts, *contents.items}
        for name, frame in contents.tables.items():
            metadata = {PARTS: json.dumps(sorted(parts))} if name == "runs" else {}
            digest = digest_of(frame, metadata)
            if digests.get(table_path(name)) == digest:
                report.unchanged += 1
                continue
            place.put(table_path(name), as_parquet(frame, digest, metadata))
            report.written += 1
        for path in set(digests) - parts - set(map(table_path, contents.tables)):
            place.remove(path)
            report.removed += 1
        if report.written or report.removed:
            put_marker(place, published=False)  # by which readers see whether anything is new
    return report


def files_of(place: Place, *, published: bool) -> dict[str, str]:
    """The files of a place that this export may write to, as `Place.files` gives them.

    Args:
        published: the kind of dataset, see `layout.check_kind`.

    Raises:
        InputError: it holds other files, or a dataset of another kind or of a newer workbench.
    """
    listed = place.files()
    if MARKER in listed:
        content = place.read(MARKER)
        check_marker(content, place.location)
        check_kind(content, place.location, published=published)
    elif [path for path in listed if not path.startswith("_")]:
        raise InputError(
            f"{place.location}: holds files, but no dataset of a workbench "
            f"(no {MARKER}). Give an empty folder, or a new one. Nothing was changed."
        )
    return listed


def _refuse_another_store(place: Place, digests: dict[str, str | None], contents: Contents) -> None:
    path = table_path("runs")
    if not digests.get(path):
        return
    with place.opened(path) as file:
        there = set(pl.read_parquet(file, columns=["run_id"])["run_id"].to_list())
    if there and not there & contents.run_ids:
        raise InputError(
            f"{place.location}: holds {len(there)} runs of another store, such as {min(there)}. "
            "A dataset mirrors one store: give another folder, or empty this one. Nothing was "
            "changed."
        )


def put_marker(place: Place, *, published: bool) -> None:
    """Write `_workbench.json`."""
    place.put(MARKER, (json.dumps(marker(published=published), indent=1) + "\n").encode())


def digests_of(place: Place, listed: Iterable[str]) -> dict[str, str | None]:
    """What each file of a dataset was made from, by its path; None where it is damaged."""
    return place.each(lambda path: _digest(place, path), [p for p in listed if is_ours(p)])


def _digest(place: Place, path: str) -> str | None:
    """The digest in a file's metadata; None where the file is damaged or missing."""
    try:
        with place.opened(path) as file:
            metadata = pq.read_metadata(file)
        return (metadata.metadata or {}).get(DIGEST.encode(), b"").decode() or None
    except Exception:  # file systems and damaged files raise all kinds; the file is written anew
        return None


def _changed(
    parts: dict[str, Part], digests: dict[str, str | None], report: ExportReport
) -> list[Part]:
    changed = [part for part in parts.values() if digests.get(part.path) != part.digest]
    report.unchanged += len(parts) - len(changed)
    return changed


def _write_metrics(
    results: Path,
    place: Place,
    contents: Contents,
    digests: dict[str, str | None],
    report: ExportReport,
    timeout: float,
) -> None:
    for chunk in _chunks(_changed(contents.parts, digests, report)):
        for part, frame in read_parts(results, chunk, timeout=timeout):
            place.put(part.path, as_parquet(frame, part.digest, {}))
            report.written += 1


def _chunks(parts: list[Part]) -> Iterator[list[Part]]:
    """Lists of parts whose rows fit into memory together."""
    chunk: list[Part] = []
    for part in parts:
        if chunk and sum(p.rows for p in chunk) + part.rows > _ROWS_AT_ONCE:
            yield chunk
            chunk = []
        chunk.append(part)
    if chunk:
        yield chunk
