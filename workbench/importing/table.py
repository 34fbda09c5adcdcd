"""A table file without interpretation: CSV as text, Parquet and JSON in their own types."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from workbench.data.opening import format_of, open_binary
from workbench.errors import InputError
from workbench.importing.table_json import read_json
from workbench.importing.table_text import ROW, read_delimited

_PARQUET_MARK = b"PAR1"
_TEXT = (".csv", ".tsv", ".tab")
_JSON = (".jsonl", ".ndjson", ".json")
TABLES = "a .csv, .tsv, .jsonl or .parquet file, each also as .gz, .zst, .bz2 or .xz"
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
    return format_of(path) in (*_TEXT, *_JSON, ".parquet")


def read_table(path: Path) -> RawTable:
    """The cells of a table: CSV with commas, semicolons or tabs, JSON lines, or Parquet, each also
    compressed.

    Raises:
        InputError: there is no such file, or it is of another kind, no text, damaged, or without
            rows.
    """
    kind = format_of(path)
    if not is_table(path):
        raise InputError(f"{path}: expected {TABLES}. {_OTHERS.get(kind, '')}".rstrip())
    content = read_bytes(path)
    if not content.strip():
        raise InputError(f"{path}: the file is empty.")
    sha256 = hashlib.sha256(content).hexdigest()
    if kind == ".parquet":
        table = _read_parquet(path, content, sha256)
    else:
        read = read_json if kind in _JSON else read_delimited
        frame, line, notes = read(path, content)
        table = RawTable(path, sha256, frame, [n for n in frame.columns if n != ROW], line, notes)
    if table.frame.is_empty():
        raise InputError(f"{path}: there are no rows below the header.")
    return table


def read_bytes(path: Path) -> bytes:
    """A file's bytes, decompressed where it is compressed.

    Raises:
        InputError: it cannot be read, is cut off, or expands without end.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    try:
        with open_binary(path) as opened:
            return opened.read()
    except InputError as error:
        raise InputError(str(error).removeprefix("data.corpus: ")) from None


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
