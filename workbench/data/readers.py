"""Readers of text, JSON lines and Parquet files, and the ways to cut text into documents."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from workbench.errors import InputError

_CHUNK = 1 << 20


class Piece(NamedTuple):
    """Some text of a document, whether it is the document's last, and the document's score."""

    text: str
    last: bool
    score: float | None = None


def whole(text: str, score: float | None = None) -> Iterator[Piece]:
    """A document in one piece; none where it has no text."""
    if text:
        yield Piece(text, True, score)


def score_of(row: Mapping[str, Any], key: str | None, where: str) -> float | None:
    """A row's score.

    Raises:
        InputError: the row has none, or it is no finite number.
    """
    if key is None:
        return None
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        instead = f"it is {value!r}" if key in row else f"its keys are {', '.join(row)}"
        raise InputError(
            f'data.corpus: {where}: no number "{key}" ({instead}). Every document needs a score: '
            "set data.quality_key, or leave documents without one out of the corpus."
        )
    return float(value)


def read_text(
    file: Path, document: str, _key: str, quality_key: str | None, errors: str = "strict"
) -> Iterator[Piece]:
    """The documents of a text file.

    Raises:
        InputError: it cannot be read, or is not UTF-8; or a score is asked for.
    """
    if quality_key is not None:
        raise InputError(
            f'data.quality_key = "{quality_key}": {file} is text, and text has no fields. Give '
            'data.quality_scores, or data.quality_score = "builtin".'
        )
    split = {"file": _by_file, "line": _by_line, "blank-line": _by_blank_line}[document]
    try:
        with open(file, encoding="utf-8", errors=errors) as text:
            yield from split(text)
    except UnicodeDecodeError as error:
        raise InputError(
            f"data.corpus: {file} is not UTF-8 text (byte {error.object[error.start]:#04x}: "
            f"{error.reason}). Convert it, or leave it out."
        ) from None
    except OSError as error:
        raise InputError(f"data.corpus: {file}: cannot be read: {error.strerror}.") from None


def _by_file(text: TextIO) -> Iterator[Piece]:
    piece = text.read(_CHUNK)
    while piece:
        # Break at a newline where there is one near: a tokenizer should not see half a word.
        piece += text.readline(1 << 12)
        following = text.read(_CHUNK)
        yield Piece(piece, not following)
        piece = following


def _by_line(text: TextIO) -> Iterator[Piece]:
    while line := text.readline(_CHUNK):
        if line.endswith("\n"):
            if len(line) > 1:
                yield Piece(line[:-1], True)
        else:
            following = text.readline(_CHUNK)
            yield Piece(line, not following)
            while following:
                line, following = following, text.readline(_CHUNK) if following[-1] != "\n" else ""
                yield Piece(line.removesuffix("\n"), not following)


def _by_blank_line(text: TextIO) -> Iterator[Piece]:
    paragraph: list[str] = []
    size = 0
    while line := text.readline(_CHUNK):
        if line.strip():
            paragraph.append(line)
            size += len(line)
            if size > _CHUNK:
                yield Piece("".join(paragraph[:-1]) or line, False)
                paragraph, size = (paragraph[-1:], len(line)) if len(paragraph) > 1 else ([], 0)
        elif paragraph:
            yield Piece("".join(paragraph).removesuffix("\n"), True)
            paragraph, size = [], 0
    if paragraph:
        yield Piece("".join(paragraph).removesuffix("\n"), True)


def _read_jsonl(file: Path, _document: str, key: str, quality_key: str | None) -> Iterator[Piece]:
    try:
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    row = _json_row(file, number, line, key)
                    if row[key]:
                        score = score_of(row, quality_key, f"{file}, line {number}")
                        yield Piece(row[key], True, score)
    except UnicodeDecodeError as error:
        raise InputError(f"data.corpus: {file} is not UTF-8 text ({error.reason}).") from None
    except OSError as error:
        raise InputError(f"data.corpus: {file}: cannot be read: {error.strerror}.") from None


def _json_row(file: Path, number: int, line: str, key: str) -> dict[str, Any]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"data.corpus: {file}, line {number}: not JSON ({error}).") from None
    if not isinstance(row, dict) or not isinstance(row.get(key), str):
        keys = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise InputError(
            f'data.corpus: {file}, line {number}: no text "{key}" (it has: {keys}). '
            "Set data.text_key."
        )
    return row


def _read_parquet(file: Path, _document: str, key: str, quality_key: str | None) -> Iterator[Piece]:
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(file)
    except Exception as error:
        raise InputError(f"data.corpus: {file}: not a Parquet file ({error}).") from None
    wanted = [(key, "text_key")] + ([(quality_key, "quality_key")] if quality_key else [])
    for name, setting in wanted:
        if name not in table.schema_arrow.names:
            raise InputError(
                f'data.corpus: {file}: no column "{name}"; columns are '
                f"{', '.join(table.schema_arrow.names)}. Set data.{setting}."
            )
    number = 0
    for batch in table.iter_batches(batch_size=1024, columns=[name for name, _ in wanted]):
        for row in batch.to_pylist():
            number += 1
            if row[key] not in (None, ""):
                score = score_of(row, quality_key, f"{file}, row {number}")
                yield Piece(str(row[key]), True, score)


READERS: dict[str, Callable[[Path, str, str, str | None], Iterator[Piece]]] = {
    ".txt": read_text,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
