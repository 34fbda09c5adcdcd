"""Readers of text and JSON lines, and the ways to cut text into documents.

`READERS` has one for each file type; those of tables are in `tables`.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from workbench.data.opening import open_text
from workbench.data.reading import Piece, Reading, Rows
from workbench.data.tables import read_arrow, read_csv, read_parquet
from workbench.errors import InputError

_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 28  # characters


def whole(text: str, score: float | None = None) -> Iterator[Piece]:
    """A document in one piece; none where it has no text."""
    if text:
        yield Piece(text, True, score)


def read_text(file: Path, how: Reading) -> Iterator[Piece]:
    """The documents of a text file.

    Raises:
        InputError: it cannot be read, or is not UTF-8; or a score is asked for.
    """
    if how.quality_key is not None:
        raise InputError(
            f'data.quality_key = "{how.quality_key}": {file} is text, and text has no fields. Give '
            'data.quality_scores, or data.quality_score = "builtin".'
        )
    if how.bucket_key is not None:
        raise InputError(
            f'data.quality_bucket = "{how.bucket_key}": {file} is text, and text has no fields. '
            "Name the bucket by its path, with {} for the name."
        )
    split = {"file": _by_file, "line": _by_line, "blank-line": _by_blank_line}[how.document]
    with open_text(file, how.errors) as text:
        yield from split(text)


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


def read_jsonl(file: Path, how: Reading) -> Iterator[Piece]:
    """The documents of JSON lines, one object a line.

    Raises:
        InputError: a line is no JSON object, has no text, or does not end.
    """
    rows = Rows(how)
    number = 0

    def where() -> str:
        return f"{file}, line {number}"

    with open_text(file, how.errors) as lines:
        while line := lines.readline(_LONGEST_LINE):
            number += 1
            if number == 1:
                line = line.removeprefix("\ufeff")  # the mark that Windows programs write first
            if line.isspace():
                continue
            piece = rows.piece(_json_object(line, where), where)
            if piece is not None:
                # Only an escape can give half of a surrogate pair.
                yield rows.without_surrogates(piece, where) if "\\u" in line else piece


def _json_object(line: str, where: Callable[[], str]) -> dict[str, Any]:
    if len(line) == _LONGEST_LINE and not line.endswith("\n"):
        raise InputError(
            f"data.corpus: {where()}: longer than {_LONGEST_LINE >> 20} MiB. JSON lines have one "
            "document a line."
        )
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"data.corpus: {where()}: not JSON ({error}). JSON lines have one object a line."
        ) from None
    if not isinstance(row, dict):
        raise InputError(
            f"data.corpus: {where()}: no object but {type(row).__name__}. JSON lines have one "
            "object a line, with the text in a field of it."
        )
    return row


Reader = Callable[[Path, Reading], Iterator[Piece]]

READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".md": read_text,
    ".py": read_text,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".arrow": read_arrow,
}
IN_FOLDERS = (".txt", ".jsonl", ".parquet")
"""What a folder is searched for where data.suffixes does not say: tables of another kind, notes
and scripts lie beside many a corpus."""
