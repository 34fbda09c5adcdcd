"""The items of a store's runs as files of a dataset: `items/objective=.../bucket=.../`.

They are read from the run folders, one run at a time: those of 10,000 runs do not fit into memory.
"""

import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from workbench.runs.files import signature
from workbench.runs.folder import RunFolder
from workbench.runs.items import SCHEMA, item_files, read_items
from workbench.store.parquet.layout import DIGEST, bucket_of, part_path
from workbench.store.parquet.part import Part
from workbench.store.schema import ITEMS

_ROW_GROUP = 65_536
_ORDER = ["metric", "step", "estimator", "draws", "item"]
_COLUMNS = pl.Schema([("run_id", pl.String()), *SCHEMA.items()])


def list_items(results: Path, runs: Iterable[tuple[str, str | None]]) -> dict[str, Part]:
    """The files that the items of these runs belong into, by path.

    Args:
        runs: id and objective of each. Those without items are in no file.
    """
    parts: dict[str, Part] = {}
    for run_id, objective in runs:
        if source := _source(results, run_id):
            path = part_path(ITEMS.name, objective, bucket_of(run_id))
            parts.setdefault(path, Part(path, ITEMS)).sources[run_id] = source
    return parts


def _source(results: Path, run_id: str) -> str:
    """The files of a run's items with their size and time; empty where it has none."""
    with suppress(FileNotFoundError):  # removed since it was listed
        return "+".join(map(signature, item_files(RunFolder(results / "runs" / run_id).items_dir)))
    return ""


def items_as_parquet(results: Path, part: Part) -> bytes:
    """The Parquet file of a part, from what its runs have now.

    Each run has row groups of its own, by whose statistics a reader of one run skips the others.
    """
    # Looked at before the rows are read: what changes in between is written by the next export.
    now = replace(part, sources={run_id: _source(results, run_id) for run_id in part.sources})
    schema = pl.DataFrame(schema=_COLUMNS).to_arrow().schema.with_metadata({DIGEST: now.digest})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd", compression_level=9) as file:
        for run_id in sorted(part.sources):
            rows = read_items(RunFolder(results / "runs" / run_id).items_dir).sort(_ORDER)
            frame = rows.with_columns(run_id=pl.lit(run_id)).select(_COLUMNS.names())
            file.write_table(frame.to_arrow().cast(schema), row_group_size=_ROW_GROUP)
    return buffer.getvalue()
