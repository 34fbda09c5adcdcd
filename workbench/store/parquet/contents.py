"""The contents of the store, cut into the files of a dataset."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from workbench.errors import InputError
from workbench.store.connection import connect_current, database_path
from workbench.store.parquet.items import list_items
from workbench.store.parquet.layout import DIGEST, FORMAT, SMALL, bucket_of, part_path
from workbench.store.parquet.part import Part
from workbench.store.schema import METRICS

_ROW_GROUP = 65_536
# Sorted by metric and run, so that a reader of one metric skips the others.
_ORDER = ["metric", "run_id", "step", "tokens", "estimator"]


@dataclass(frozen=True)
class Contents:
    """The store at one moment: small tables, and for numbers and items only lists of parts."""

    parts: dict[str, Part]
    items: dict[str, Part]
    tables: dict[str, pl.DataFrame]

    @property
    def run_ids(self) -> set[str]:
        return set(self.tables["runs"]["run_id"].to_list())


@contextmanager
def _reading(results: Path, timeout: float) -> Iterator[duckdb.DuckDBPyConnection]:
    path = database_path(results)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: no results yet. Run a recipe, or restore it from run folders "
            "with `workbench ingest`."
        )
    with connect_current(path, timeout=timeout) as connection:
        try:
            yield connection
        except duckdb.Error as error:
            raise InputError(
                f"{path}: cannot be read: {str(error).splitlines()[0]} Move it away and run "
                "`workbench ingest --rebuild`."
            ) from None


def list_contents(results: Path, *, timeout: float) -> Contents:
    """The contents that a dataset of this store has.

    Raises:
        InputError: there is no store, or it has a newer schema.
        WorkbenchError: the store stayed locked.
    """
    with _reading(results, timeout) as connection:
        tables = {name: connection.sql(f"FROM {name} ORDER BY ALL").pl() for name in SMALL}
        parts = _parts(connection, None)
    runs = tables["runs"]
    items = list_items(results, zip(runs["run_id"], runs["objective"], strict=True))
    return Contents(parts, items, tables)


def _parts(connection: duckdb.DuckDBPyConnection, run_ids: list[str] | None) -> dict[str, Part]:
    chosen = "" if run_ids is None else "WHERE run_id IN (SELECT unnest(?))"
    run_rows = connection.execute(
        f"""SELECT run_id, objective, source, rows
            FROM (SELECT run_id, count(*) AS rows FROM metrics {chosen} GROUP BY run_id)
            JOIN runs USING (run_id) JOIN ingested USING (run_id) ORDER BY run_id""",
        [] if run_ids is None else [run_ids],
    ).fetchall()
    parts: dict[str, Part] = {}
    for run_id, objective, source, rows in run_rows:
        path = part_path(METRICS.name, objective, bucket_of(run_id))
        part = parts.setdefault(path, Part(path, METRICS))
        part.sources[run_id] = source
        part.rows += rows
    return parts


def read_parts(
    results: Path, parts: Iterable[Part], *, timeout: float
) -> Iterator[tuple[Part, pl.DataFrame]]:
    """The numbers that parts have in the store now, with their current sources.

    A run may have continued since the parts were listed.
    """
    wanted = {part.path for part in parts}
    run_ids = [run_id for part in parts for run_id in part.sources]
    columns = ", ".join(f'"{column.name}"' for column in METRICS.columns)
    with _reading(results, timeout) as connection:
        now = _parts(connection, run_ids)
        frame = connection.sql(
            f"SELECT {columns} FROM metrics WHERE run_id IN (SELECT unnest(?))", params=[run_ids]
        ).pl()
    place = pl.DataFrame(
        [(run_id, part.path) for part in now.values() for run_id in part.sources],
        schema={"run_id": pl.String, "path": pl.String},
        orient="row",
    )
    split = frame.join(place, on="run_id").partition_by("path", as_dict=True, include_key=False)
    for (path,), rows in split.items():
        if path in wanted:
            yield now[path], rows.sort(_ORDER)


def as_parquet(frame: pl.DataFrame, digest: str, metadata: dict[str, str]) -> bytes:
    """A table as the bytes of a Parquet file, with its digest in the metadata.

    Args:
        metadata: further entries of the metadata.
    """
    buffer = io.BytesIO()
    frame.write_parquet(
        buffer,
        compression="zstd",
        row_group_size=_ROW_GROUP,
        statistics=True,
        metadata={DIGEST: digest, **metadata},
    )
    return buffer.getvalue()


def digest_of(frame: pl.DataFrame, metadata: dict[str, str]) -> str:
    """A hash of a small table's rows and of the further metadata of its file."""
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return hashlib.sha256(f"{FORMAT}\n{metadata}".encode() + buffer.getvalue()).hexdigest()
