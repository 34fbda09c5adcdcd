"""Reading records: fast where a file is whole, line by line where it is damaged."""

import errno
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from workbench.errors import InputError
from workbench.runs.files import plain_file
from workbench.runs.records import LONGEST_LINE

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
_BLOCK = 1 << 26  # bytes read at once
_LONGEST_NAME = 1000  # bytes of a metric or an estimator


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
            return _read(path, file, offset)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def _read(path: Path, file: BinaryIO, offset: int) -> Reading:
    frames: list[pl.DataFrame] = []
    problems: list[str] = []
    if os.fstat(file.fileno()).st_size > _LIMIT:
        raise OSError(errno.EFBIG, f"is larger than {_LIMIT / 2**30:.0f} GiB")
    number = file.read(offset).count(b"\n")
    for lines, skipped in _blocks(file):
        offset += len(lines) + skipped
        count = lines.count(b"\n")
        frame, damaged = _read_block(path, lines, number, count)
        frames.append(frame)
        problems += damaged
        number += count
        if skipped:
            number += 1
            problems.append(f"{path}, line {number}: not a record ({skipped:,} bytes); left out.")
    # One block is the usual case, and Polars would copy even that.
    frame = pl.concat(frames or [empty_records()]) if len(frames) != 1 else frames[0]
    return Reading(frame, offset, problems)


def _blocks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Whole lines of a file, as many at a time as fit into memory; and after them, where the next
    line is too long for a record, the number of its bytes."""
    while block := file.read(_BLOCK) + file.readline(LONGEST_LINE):
        end = block.rfind(b"\n") + 1
        rest = len(block) - end
        skipped = 0
        if rest >= LONGEST_LINE:
            skipped, piece = rest, b""
            while not piece.endswith(b"\n") and (piece := file.readline(_BLOCK)):
                skipped += len(piece)
            if not piece:
                skipped = 0  # it may still be being written
        if end or skipped:
            yield block[:end], skipped


def _read_block(
    path: Path, lines: bytes, before: int, count: int
) -> tuple[pl.DataFrame, list[str]]:
    """
    Args:
        before, count: how many lines the file has before these, and how many these are.
    """
    try:
        frame = pl.read_ndjson(lines, schema=RECORD_SCHEMA) if lines else empty_records()
        # Polars fills what a line lacks with nulls: such a line is damaged, not a record.
        if frame.height == count and _are_records(frame):
            return frame, []
    except pl.exceptions.PolarsError:
        pass  # some line is damaged: find out which
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for number, line in enumerate(lines.split(b"\n")[:-1], before + 1):
        try:
            rows.append(_record(json.loads(line.decode())))
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}, line {number}: not a record ({error}); left out.")
    return pl.DataFrame(rows, schema=RECORD_SCHEMA), problems


def _are_records(frame: pl.DataFrame) -> bool:
    names = [frame[name].str.len_bytes().max() for name in ("metric", "estimator")]
    return (
        not (frame["step"].has_nulls() or frame["metric"].has_nulls())
        and int(frame["step"].min() or 0) >= 0  # type: ignore[arg-type]
        and all(int(size or 0) <= _LONGEST_NAME for size in names)  # type: ignore[arg-type]
    )


def _record(row: Any) -> dict[str, Any]:
    """A line's fields, numbers that are not finite as None.

    Raises:
        ValueError: it is not a record.
    """
    if not isinstance(row, dict):
        raise ValueError("not an object")
    record = {name: _field(name, dtype, row.get(name)) for name, dtype in RECORD_SCHEMA.items()}
    # What is measured of a checkpoint of unknown steps says so.
    if "step" not in row or record["metric"] is None:
        raise ValueError("no step or no metric")
    if (record["step"] or 0) < 0:
        raise ValueError(f"step {record['step']}")
    return record


def _field(name: str, dtype: pl.DataType, value: Any) -> Any:
    """One field as the store takes it: Polars would also make numbers of texts and truths."""
    if value is None:
        return None
    if dtype == pl.String:
        if isinstance(value, str) and len(value.encode()) <= _LONGEST_NAME:
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if dtype == pl.Float64:
            return float(value) if abs(value) <= sys.float_info.max else None
        if value == value // 1 and abs(value) < 2**63:
            return int(value)
    raise ValueError(f"{name}: {str(value)[:40]!r}")


def sealed_records(frame: pl.DataFrame) -> pl.DataFrame:
    """The records of a sealed file, of this version or an earlier one, without what is no record.

    Raises:
        PolarsError: a column is of another type.
    """
    records = with_all_columns(frame).cast(dict(RECORD_SCHEMA))  # type: ignore[arg-type]
    numbers = pl.col(pl.Float64)
    return records.filter(
        pl.col("metric").is_not_null(), pl.col("step").is_null() | (pl.col("step") >= 0)
    ).with_columns(pl.when(numbers.is_finite()).then(numbers))


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
