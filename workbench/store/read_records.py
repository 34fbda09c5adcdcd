"""Reading records: fast where a file is whole, line by line where it is damaged."""

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.runs.files import plain_file
from workbench.runs.records import FIELDS

RECORD_SCHEMA = pl.Schema(
    {
        "step": pl.Int64,
        "tokens": pl.Int64,
        "epoch": pl.Float64,
        "flops": pl.Float64,
        "metric": pl.String,
        "value": pl.Float64,
        "stderr": pl.Float64,
        "n": pl.Int64,
        "estimator": pl.String,
        "draws": pl.Int64,
        "noise_stderr": pl.Float64,
        "documents": pl.Int64,
    }
)
_LIMIT = 2 * 2**30  # bytes; a record takes some 150
# A step has one number of tokens; tokens distinguish points whose step is not known.
_KEY = ["metric", "step", "tokens", "estimator", "draws"]


@dataclass(frozen=True)
class Reading:
    """Records of one file, up to a byte offset, and the lines that were not records."""

    frame: pl.DataFrame
    offset: int
    problems: list[str]


def read_records(path: Path, offset: int = 0) -> Reading:
    """The complete lines of `records.jsonl` from a byte offset on.

    An incomplete last line is left for later: its writer may still be writing it. A damaged line
    before that is reported and left out; the lines around it are read.

    Raises:
        InputError: it cannot be read, is a link or no file, or is larger than 2 GiB.
    """
    try:
        with open(path, "rb", opener=plain_file) as file:
            if os.fstat(file.fileno()).st_size > _LIMIT:
                raise OSError(errno.EFBIG, f"is larger than {_LIMIT / 2**30:.0f} GiB")
            file.seek(offset)
            content = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    end = content.rfind(b"\n") + 1
    content = content[:end]
    if not content:
        return Reading(empty_records(), offset, [])
    try:
        frame = pl.read_ndjson(content, schema=RECORD_SCHEMA)
        # Polars fills what a line lacks with nulls: such a line is damaged, not a record.
        whole = frame.select(pl.all_horizontal(pl.col("step", "metric").is_not_null()).all())
        if frame.height == content.count(b"\n") and whole.item():
            return Reading(frame, offset + end, [])
    except pl.exceptions.PolarsError:
        pass  # some line is damaged: find out which
    frame, problems = _line_by_line(path, content, offset)
    return Reading(frame, offset + end, problems)


def _line_by_line(path: Path, content: bytes, offset: int) -> tuple[pl.DataFrame, list[str]]:
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    before = 0
    if offset:
        with open(path, "rb", opener=plain_file) as file:
            before = file.read(offset).count(b"\n")
    for number, line in enumerate(content.splitlines(), before + 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("not an object")
            frame = pl.DataFrame([{k: row.get(k) for k in FIELDS}], schema=RECORD_SCHEMA)
            if frame["step"][0] is None or frame["metric"][0] is None:
                raise ValueError("no step or no metric")
            rows.append({k: row.get(k) for k in FIELDS})
        except (ValueError, TypeError, RecursionError, pl.exceptions.PolarsError) as error:
            problems.append(f"{path}, line {number}: not a record ({error}); left out.")
    return pl.DataFrame(rows, schema=RECORD_SCHEMA), problems


def with_all_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Records of `RECORD_SCHEMA`, from a table that may lack columns of later versions."""
    missing = [pl.lit(None, dtype).alias(n) for n, dtype in RECORD_SCHEMA.items() if n not in frame]
    return frame.with_columns(missing).select(RECORD_SCHEMA.names())


def empty_records() -> pl.DataFrame:
    """A table of records without rows."""
    return pl.DataFrame(schema=RECORD_SCHEMA)


def deduplicated(frame: pl.DataFrame) -> pl.DataFrame:
    """One row for each metric, step, tokens, estimator and number of draws: the last one written.

    A resumed run writes again what came after its checkpoint.
    """
    return frame.unique(_KEY, keep="last", maintain_order=True)
