"""Tables in text files: their encoding, comments, separator, header, and decimal commas."""

import codecs
import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl

from workbench.errors import InputError
from workbench.importing.columns import literal

ROW = "\0row"  # no file's column is called so
_SEPARATORS = (",", "\t", ";", "|")
_NOTHING = ("NA", "N/A", "#N/A", "null", "None")
# Of 3,125 nobody knows whether it is 3125; 3,01 and 0,125 and 1234,567 have decimals.
_COMMA = r"^[+-]?\d+,\d+(?:[eE][+-]?\d+)?$"
_DECIMALS = r"^[+-]?(?:\d+,(?:\d{1,2}|\d{4,})|0\d*,\d+|\d{4,},\d+|\d+,\d+[eE][+-]?\d+)(?:[eE].*)?$"
_POINT = r"^[+-]?\d+\.\d+(?:[eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?\d{1,3}(?:,\d{3})+(?:,\d{3}|\.\d+)$"

Read = tuple[pl.DataFrame, Callable[[int], int], list[str]]
"""Rows with their positions, which line of the file a position is on, and notes."""


def read_delimited(path: Path, content: bytes) -> Read:
    """The rows of a table with commas, semicolons, tabs or bars, as text; empty cells are null.

    Raises:
        InputError: it is not text, has no header, or lines that are no rows.
    """
    text = decode(path, content)
    before, text, separator, notes = _without_comments(path, text)
    names = _header(path, text, separator or _separator(text), before)
    separator = separator or _separator(text)
    try:
        frame = pl.read_csv(text.encode(), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        problem = _problem(text, separator, len(names), before, error)
        raise InputError(f"{path}: {problem}") from None
    frame.columns = [f"{position}" for position in range(frame.width)]
    frame = frame.with_row_index(ROW)
    named = {str(position): name for position, name in enumerate(names) if name}
    frame = frame.select(ROW, *named).rename(named)
    cells = pl.exclude(ROW).str.strip_chars()
    frame = frame.with_columns(pl.when(~cells.is_in(["", *_NOTHING])).then(cells))
    # A line without anything on it is no row.
    frame = frame.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
    if len(named) < len(names):
        notes.append(f"{path.name}: {len(names) - len(named)} column without a name is left out.")

    def line(position: int) -> int:
        return _line(text, separator, position) + before

    if separator != ",":
        frame = _with_points(path, frame, line, notes)
    return frame, line, notes


def decode(path: Path, content: bytes) -> str:
    """A file's text: UTF-8, or UTF-16 by its mark or its many zeros, with lines that end in \\n.

    Raises:
        InputError: it is neither, naming the line.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif content[1:200:2].count(0) > 50 or content[1:6:2] == b"\0\0\0":
        encoding = "utf-16-le"  # PowerShell and old exports write it without a mark
    else:
        encoding = "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        kind = "UTF-8" if encoding == "utf-8-sig" else "UTF-16"
        raise InputError(
            f"{path}, line {line}: not {kind} text (byte {error.start}). Save the file as UTF-8."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line}: not text, it holds NUL characters.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _without_comments(path: Path, text: str) -> tuple[int, str, str | None, list[str]]:
    """How many lines come before the table, the table, the separator if they name it, and notes."""
    lines = text.split("\n")
    before, separator, last = 0, None, None
    while before < len(lines) and (
        not lines[before].strip()
        or lines[before].startswith("#")
        or re.fullmatch(r"sep=.", lines[before].strip("\ufeff"))
    ):
        if lines[before].startswith("sep="):  # Excel's own
            separator = lines[before][4]
        elif lines[before].startswith("#"):
            last = lines[before].lstrip("#").strip()
        before += 1
    body = "\n".join(lines[before:])
    if last is None:
        return before, body, separator, []
    cells = next(csv.reader([lines[before]], delimiter=separator or _separator(body)), [])
    if cells and all(literal(cell) is not None for cell in cells):
        # numpy.savetxt and others put the names behind a comment's mark.
        note = f"{path.name}: the names of the columns are taken from the comment above them."
        return before - 1, f"{last}\n{body}", separator, [note]
    note = f"{path.name}: comments before the header are left out."
    return before, body, separator, [note]


def _separator(text: str) -> str:
    """What parts the columns: what gives the header and the first row equally many cells, and of
    several such the one that gives most."""
    widths = {}
    for mark in _SEPARATORS:
        rows = filter(None, csv.reader(io.StringIO(text), delimiter=mark))
        try:
            header = len(next(rows, []))
            first = len(next(rows, []))
        except csv.Error:
            continue
        widths[mark] = (header > 1 and header == first, header)
    return max(widths, key=lambda mark: widths[mark]) if widths else ","


def _header(path: Path, text: str, separator: str, before: int) -> list[str]:
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        names = [name.strip() for name in next(filter(None, rows))]
    except (csv.Error, StopIteration) as error:
        raise InputError(f"{path}, line {before + 1}: no header ({error}).") from None
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(
            f"{path}, line {before + 1}: two columns are called {twice[0]}. Rename one of them."
        )
    if all(literal(name) is not None for name in names if name):
        raise InputError(
            f"{path}, line {before + 1}: numbers where the names of the columns should be. Put a "
            "line with their names above them."
        )
    return names


def _problem(text: str, separator: str, width: int, before: int, error: Exception) -> str:
    try:
        reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
        for row in reader:
            if len(row) > width:
                line = reader.line_num + before
                return f"line {line}: {len(row)} cells, and the header has {width}."
    except csv.Error as reason:
        return f"not a CSV table ({reason}). Is a quotation mark not closed?"
    return f"not a CSV table ({str(error).splitlines()[0]})."


def _line(text: str, separator: str, position: int) -> int:
    """The line on which the data row at a position begins, from 1."""
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    next(filter(None, reader))  # the header
    for _ in range(position):
        next(reader, None)
    return reader.line_num + 1


def _with_points(
    path: Path, frame: pl.DataFrame, line: Callable[[int], int], notes: list[str]
) -> pl.DataFrame:
    """The rows with decimal points where the file has decimal commas.

    Raises:
        InputError: it is not clear which of both a comma is.
    """
    comma = _first(frame, _COMMA)
    if comma is None or _first(frame, _THOUSANDS) is not None:
        return frame
    point = _first(frame, _POINT)
    if point is not None:
        raise InputError(
            f"{path}: line {line(comma[0])} has {comma[1]} and line {line(point[0])} {point[1]}: "
            "is the comma or the point before the decimals? Write all numbers with points, without "
            "marks between thousands."
        )
    if _first(frame, _DECIMALS) is None:
        number = comma[1]
        raise InputError(
            f"{path}, line {line(comma[0])}: {number} may be {number.replace(',', '.')} or "
            f"{number.replace(',', '')}. Write numbers with decimal points, without marks between "
            "thousands."
        )
    example = _first(frame, _DECIMALS)
    assert example is not None
    notes.append(f"{path.name}: decimal commas: {example[1]} is {example[1].replace(',', '.')}.")
    cells = pl.exclude(ROW)
    return frame.with_columns(
        pl.when(cells.str.contains(_COMMA)).then(cells.str.replace(",", ".")).otherwise(cells)
    )


def _first(frame: pl.DataFrame, pattern: str) -> tuple[int, str] | None:
    """Position and text of some cell of a form, or None."""
    for name in frame.columns:
        if name != ROW:
            found = frame.filter(pl.col(name).str.contains(pattern))
            if not found.is_empty():
                return int(found[ROW][0]), str(found[name][0])
    return None
