"""A table file without interpretation: CSV as text, Parquet and JSON in their own types."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from workbench.errors import InputError
from workbench.importing.table_text import ROW, read_delimited

_PARQUET_MARK = b"PAR1"
_GZIP_MARK = b"\x1f\x8b"
_MOST_BYTES = 1 << 30  # that a compressed table may expand to: all of it is held in memory
_TEXT = (".csv", ".tsv", ".tab")
_JSON = (".jsonl", ".ndjson", ".json")
TABLES = "a .csv, .tsv, .jsonl or .parquet file, each also as .gz"
"""What can be read, for messages."""
_OTHERS = {
    ".xlsx": "Save it as CSV.",
    ".xls": "Save it as CSV.",
    ".ods": "Save it as CSV.",
    ".feather": "Save it as Parquet.",
    ".arrow": "Save it as Parquet.",
    ".npz": "Save it as CSV.",
    ".pkl": "Save it as Parquet.",
}


@dataclass(frozen=True)
class RawTable:
    """A file's cells, not checked yet. Column `ROW` is each row's position in the file."""

    path: Path
    sha256: str
    frame: pl.DataFrame
    columns: list[str]
    line: Callable[[int], int] | None = None
    """The line of the file on which the row at a position begins; None for Parquet."""
    notes: list[str] = field(default_factory=list)
    places: Callable[[int], str] | None = None
    """What the row at a position is called, where it is no row of a file."""

    def where(self, position: int) -> str:
        """ "row 3 (line 4)" of the row at a position of the file, from 0."""
        if self.places is not None:
            return self.places(position)
        row = self.frame[ROW].search_sorted(position) + 1
        return f"row {row}" + ("" if self.line is None else f" (line {self.line(position)})")


def is_table(path: Path) -> bool:
    """Whether a file's name is that of a table."""
    return _kind(path) in (*_TEXT, *_JSON, ".parquet")


def read_table(path: Path) -> RawTable:
    """The cells of a table: CSV with commas, semicolons or tabs, JSON lines, or Parquet, each also
    compressed by gzip.

    Raises:
        InputError: there is no such file, or it is of another kind, no text, damaged, or without
            rows.
    """
    kind = _kind(path)
    if not is_table(path):
        raise InputError(f"{path}: expected {TABLES}. {_OTHERS.get(kind, '')}".rstrip())
    content = read_bytes(path)
    if not content.strip():
        raise InputError(f"{path}: the file is empty.")
    sha256 = hashlib.sha256(content).hexdigest()
    if kind == ".parquet":
        table = _read_parquet(path, content, sha256)
    elif kind in _JSON:
        from workbench.importing.table_json import read_json

        frame, line, notes = read_json(path, content)
        table = RawTable(path, sha256, frame, [n for n in frame.columns if n != ROW], line, notes)
    else:
        frame, line, notes = read_delimited(path, content)
        table = RawTable(path, sha256, frame, [n for n in frame.columns if n != ROW], line, notes)
    if table.frame.is_empty():
        raise InputError(f"{path}: there are no rows below the header.")
    return table


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_bytes(path: Path) -> bytes:
    """A file's bytes, decompressed where it is compressed.

    Raises:
        InputError: it cannot be read, is cut off, or expands without end.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MARK):
            with gzip.open(io.BytesIO(content)) as compressed:
                content = compressed.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: cut off or damaged: {error}. Get it again.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path}: expands to more than {_MOST_BYTES >> 30} GiB.")
    return content


def _read_parquet(path: Path, content: bytes, sha256: str) -> RawTable:
    if not (content.startswith(_PARQUET_MARK) and content.endswith(_PARQUET_MARK)):
        raise InputError(f"{path}: not a Parquet file, or not all of it is there.")
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: a damaged Parquet file ({reason}).") from None
    notes = []
    for name, kind in frame.schema.items():
        if kind.is_nested() or kind in (pl.Binary, pl.Object):
            notes.append(f"{path.name}: the column {name} holds {kind} and is left out.")
            frame = frame.drop(name)
    return RawTable(path, sha256, frame.with_row_index(ROW), frame.columns, None, notes)
