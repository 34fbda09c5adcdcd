"""Readers of tables: Parquet, Arrow, CSV. A row is a document, one of its columns the text."""

import csv
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.data.opening import COMPRESSIONS, format_of, not_utf8, open_binary, open_text
from workbench.data.reading import Piece, Reading, Rows
from workbench.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 1024
_LONGEST_FIELD = 1 << 28  # characters


def read_parquet(file: Path, how: Reading) -> Iterator[Piece]:
    """The documents of a Parquet file.

    Raises:
        InputError: it is damaged, lacks a column, or the column is no text.
    """
    import pyarrow.parquet as parquet

    with _arrow_errors(file, "Parquet"), _seekable(file) as opened:
        table = parquet.ParquetFile(opened)
        rows = Rows(how)
        columns = _columns(file, table.schema_arrow, rows)
        batches = table.iter_batches(batch_size=_BATCH, columns=columns)
        yield from _documents(file, batches, rows)


def read_arrow(file: Path, how: Reading) -> Iterator[Piece]:
    """The documents of an Arrow file, as `datasets` saves them. Errors as `read_parquet`."""
    import pyarrow as pa

    with _arrow_errors(file, "Arrow"), _seekable(file) as opened:
        try:
            stream = pa.ipc.open_file(opened)
            batches = (stream.get_batch(number) for number in range(stream.num_record_batches))
        except pa.ArrowInvalid:  # a stream, as `save_to_disk` writes
            opened.seek(0)
            stream = batches = pa.ipc.open_stream(opened)
        rows = Rows(how)
        columns = _columns(file, stream.schema, rows)
        pieces = (
            part.select(columns)
            for batch in batches
            for part in (batch.slice(at, _BATCH) for at in range(0, batch.num_rows, _BATCH))
        )
        yield from _documents(file, pieces, rows)


@contextmanager
def _arrow_errors(file: Path, kind: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(
            f"data.corpus: {file}: no {kind} file, or a damaged one ({reason})."
        ) from None


@contextmanager
def _seekable(file: Path) -> Iterator[Any]:
    """A file as Arrow opens it; a compressed one in a temporary file, for these formats are read
    from their ends."""
    import pyarrow as pa

    if file.suffix.lower() not in COMPRESSIONS:
        with pa.OSFile(str(file)) as opened:
            yield opened
        return
    with tempfile.NamedTemporaryFile() as whole:
        with open_binary(file) as compressed:
            shutil.copyfileobj(compressed, whole, 1 << 20)
        whole.flush()
        with pa.OSFile(whole.name) as opened:
            yield opened


def _columns(file: Path, schema: "pa.Schema", rows: Rows) -> list[str]:
    """The columns to read.

    Raises:
        InputError: one is missing, or a text's is no text.
    """
    import pyarrow as pa

    for name, setting in rows.columns:
        if name not in schema.names:
            raise InputError(
                f'data.corpus: {file}: no column "{name}"; columns are '
                f"{', '.join(schema.names)}. Set data.{setting}."
            )
        kind = schema.field(name).type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        if setting == "text_key" and not any(is_kind(value) for is_kind in _text_kinds()):
            raise InputError(
                f'data.corpus: {file}: the column "{name}" is no text: its type is {kind}. Set '
                "data.text_key to a column of text, or write one."
            )
    return list(dict.fromkeys(name for name, _ in rows.columns))


def _text_kinds() -> list[Any]:
    """Types that hold text. Older writers leave the mark out that says that bytes are UTF-8."""
    from pyarrow import types

    return [
        types.is_string, types.is_large_string, types.is_string_view,
        types.is_binary, types.is_large_binary, types.is_binary_view, types.is_null,
    ]  # fmt: skip


def _documents(file: Path, batches: "Iterator[pa.RecordBatch]", rows: Rows) -> Iterator[Piece]:
    number = 0

    def where() -> str:
        return f"{file}, row {number}"

    for batch in batches:
        names = batch.schema.names
        columns = [
            _texts(batch.column(name), file, number, rows.how.errors)
            if name in rows.fields
            else batch.column(name).to_pylist()
            for name in names
        ]
        for values in zip(*columns, strict=True):
            number += 1
            piece = rows.piece(dict(zip(names, values, strict=True)), where)
            if piece is not None:
                yield piece


def _texts(column: "pa.Array", file: Path, before: int, errors: str) -> list[str | None]:
    """A column's texts, decoded where they are bytes."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:  # marked as text, and is not
        values = column.cast(pa.large_binary()).to_pylist()
    for place, value in enumerate(values):
        if isinstance(value, bytes):
            try:
                values[place] = value.decode("utf-8", errors)
            except UnicodeDecodeError as error:
                raise not_utf8(f"{file}, row {before + place + 1}", error) from None
    return values


def read_csv(file: Path, how: Reading) -> Iterator[Piece]:
    """The documents of a table of comma- or tab-separated values with a header.

    Raises:
        InputError: it lacks a column, or a line has not as many fields as the header.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    dialect = "excel-tab" if format_of(file) == ".tsv" else "excel"
    rows = Rows(how)
    with open_text(file, how.errors, newline="") as text:
        first = text.readline(_LONGEST_FIELD).removeprefix("\ufeff")
        lines = csv.reader(chain([first], text), dialect, strict=True)
        try:
            names = next(lines, [])
            _check_header(file, names, rows)
            for values in lines:
                if values:
                    yield from _csv_row(file, lines.line_num, names, values, rows)
        except csv.Error as error:
            raise InputError(
                f"data.corpus: {file}, line {lines.line_num}: not CSV ({error})."
            ) from None


def _check_header(file: Path, names: list[str], rows: Rows) -> None:
    for name, setting in rows.columns:
        if names.count(name) != 1:
            found = "no column" if name not in names else "more than one column"
            raise InputError(
                f'data.corpus: {file}: {found} "{name}"; columns are {", ".join(names)}. '
                f"Set data.{setting}."
            )


def _csv_row(
    file: Path, line: int, names: list[str], values: list[str], rows: Rows
) -> Iterator[Piece]:
    def where() -> str:
        return f"{file}, line {line}"

    if len(values) != len(names):
        raise InputError(
            f"data.corpus: {where()}: {len(values)} fields, and the header has {len(names)}. A "
            "text with commas or line ends stands in quotes."
        )
    row: dict[str, Any] = dict(zip(names, values, strict=True))
    key = rows.how.quality_key
    if key is not None:
        with suppress(ValueError):  # `score_of` names it
            row[key] = float(row[key])
    piece = rows.piece(row, where)
    if piece is not None:
        yield piece
