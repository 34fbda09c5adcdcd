"""Reading a table file without interpreting it: CSV as text, Parquet in its own types."""

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from workbench.errors import InputError

ROW = "\0row"  # no file's column is called so
_PARQUET_MARK = b"PAR1"


@dataclass(frozen=True)
class RawTable:
    """A file's cells, not checked yet. Column `ROW` is each row's position in the file."""

    path: Path
    sha256: str
    frame: pl.DataFrame
    columns: list[str]
    text: str | None
    """The content of a CSV file, to find lines in; None for Parquet."""
    notes: list[str] = field(default_factory=list)
    places: Callable[[int], str] | None = None
    """What the row at a position is called, where it is no row of a file."""

    def where(self, position: int) -> str:
        """ "row 3 (line 4)" of the row at a position of the file, from 0."""
        if self.places is not None:
            return self.places(position)
        row = self.frame[ROW].search_sorted(position) + 1
        if self.text is None:
            return f"row {row}"
        return f"row {row} (line {_line(self.text, position)})"


def read_table(path: Path) -> RawTable:
    """The cells of a .csv or .parquet file.

    Raises:
        InputError: there is no such file, or it is of another kind, not UTF-8, damaged, or without
            rows.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(
            f"{path}: expected a .csv or .parquet file, or a folder of TensorBoard event files."
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    if not content.strip():
        raise InputError(f"{path}: the file is empty.")
    sha256 = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() == ".csv":
        table = _read_csv(path, content, sha256)
    else:
        table = _read_parquet(path, content, sha256)
    if table.frame.is_empty():
        raise InputError(f"{path}: there are no rows below the header.")
    return table


def _read_csv(path: Path, content: bytes, sha256: str) -> RawTable:
    text = _decode(path, content)
    names = _header(path, text)
    try:
        frame = pl.read_csv(content, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: {_csv_problem(text, len(names), error)}") from None
    frame.columns = [f"{position}" for position in range(frame.width)]
    frame = frame.with_row_index(ROW)
    named = {str(position): name for position, name in enumerate(names) if name}
    frame = frame.select(ROW, *named).rename(named)
    cells = pl.exclude(ROW).str.strip_chars()
    frame = frame.with_columns(pl.when(cells != "").then(cells))
    # A line without anything on it is no row.
    frame = frame.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
    notes = []
    if len(named) < len(names):
        notes.append(f"{path.name}: {len(names) - len(named)} column without a name is left out.")
    return RawTable(path, sha256, frame, list(named.values()), text, notes)


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: not UTF-8 text (byte {error.start}). Save the file as UTF-8."
        ) from None


def _header(path: Path, text: str) -> list[str]:
    names = [name.strip() for name in next(filter(None, csv.reader(io.StringIO(text))))]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path}, line 1: two columns are called {twice[0]}. Rename one of them.")
    return names


def _csv_problem(text: str, width: int, error: Exception) -> str:
    try:
        reader = csv.reader(io.StringIO(text), strict=True)
        for row in reader:
            if len(row) > width:
                return f"line {reader.line_num}: {len(row)} cells, and the header has {width}."
    except csv.Error as reason:
        return f"not a CSV table ({reason}). Is a quotation mark not closed?"
    return f"not a CSV table ({str(error).splitlines()[0]})."


def _line(text: str, position: int) -> int:
    """The line on which the data row at a position begins, from 1."""
    reader = csv.reader(io.StringIO(text))
    next(filter(None, reader))  # the header
    for _ in range(position):
        next(reader, None)
    return reader.line_num + 1


def _read_parquet(path: Path, content: bytes, sha256: str) -> RawTable:
    if not (content.startswith(_PARQUET_MARK) and content.endswith(_PARQUET_MARK)):
        raise InputError(f"{path}: not a Parquet file, or not all of it is there.")
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: a damaged Parquet file ({reason}).") from None
    for name, kind in frame.schema.items():
        if kind.is_nested() or kind == pl.Binary or kind == pl.Object:
            raise InputError(f"{path}: the column {name} holds {kind}; expected numbers or text.")
    return RawTable(path, sha256, frame.with_row_index(ROW), frame.columns, None)
