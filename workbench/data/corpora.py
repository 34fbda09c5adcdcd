"""Corpora: where text comes from, as a stream of pieces that no document has to fit in memory.

A piece is (text, last): a document is the pieces up to and including one that is its last. A new
corpus is a class with `pieces` and `signature`, and an entry in `open_corpus`.
"""

import glob
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO

from workbench.errors import InputError

Piece = tuple[str, bool]

_CHUNK = 1 << 20
_SKIPPED = {"test", "tests", "idlelib", "site-packages", "__pycache__", "idle_test"}


class Corpus(Protocol):
    """A source of documents."""

    def pieces(self) -> Iterator[Piece]:
        """The documents in a fixed order."""
        ...

    def signature(self) -> str:
        """Changes when the source does; cheap, so it looks at sizes and times, not at text."""
        ...


def open_corpus(corpus: str, *, document: str, text_key: str) -> Corpus:
    """The corpus that `[data] corpus` names.

    Raises:
        InputError: unknown, missing, or of a kind that cannot be read.
    """
    if corpus == "python-stdlib":
        return PythonStdlib(document)
    if corpus.startswith("hf:"):
        return HubDataset(corpus, text_key)
    return LocalFiles(_matching(corpus), document=document, text_key=text_key)


def _matching(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if path.is_dir():
        found = [p for suffix in _READERS for p in path.rglob(f"*{suffix}")]
    elif path.exists():
        found = [path]
    else:
        found = [Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file()]
    if not found:
        raise InputError(
            f'data.corpus = "{pattern}": no such file, and no file matches it. Corpora are '
            "python-stdlib, a path or glob of .txt, .jsonl or .parquet files, and hf:org/name."
        )
    for file in found:
        if file.suffix not in _READERS:
            raise InputError(
                f'data.corpus: {file}: files of type "{file.suffix}" are not read. '
                f"Types are {', '.join(_READERS)}."
            )
    return sorted(found)


class LocalFiles:
    """Text, JSON lines and Parquet files, in the order of their names."""

    def __init__(self, files: list[Path], *, document: str, text_key: str) -> None:
        self.files = files
        self.document = document
        self.text_key = text_key

    def pieces(self) -> Iterator[Piece]:
        for file in self.files:
            yield from _READERS[file.suffix](file, self.document, self.text_key)

    def signature(self) -> str:
        return _stat_signature(self.files, [str(f.absolute()) for f in self.files])


class PythonStdlib:
    """The sources of the running Python's standard library, its tests left out."""

    def __init__(self, document: str) -> None:
        self.document = document
        self.root = Path(sysconfig.get_paths()["stdlib"])
        self.files = sorted(_sources(self.root))
        if not self.files:
            raise InputError(
                f'data.corpus = "python-stdlib": no sources under {self.root}; this Python was '
                "installed without them. Give a path instead."
            )

    def pieces(self) -> Iterator[Piece]:
        for file in self.files:
            # A few sources are in other encodings on purpose.
            yield from _read_text(file, self.document, "", errors="replace")

    def signature(self) -> str:
        names = [str(path.relative_to(self.root)) for path in self.files]
        return sys.version.split()[0] + ":" + _stat_signature(self.files, names)


def _sources(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _SKIPPED]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


class HubDataset:
    """`hf:org/name`, `hf:org/name:split`, or `hf:/path` of a dataset on disk; streamed."""

    def __init__(self, spec: str, text_key: str) -> None:
        name, _, split = spec.removeprefix("hf:").partition(":")
        self.name, self.split = name, split or "train"
        self.text_key = text_key

    def pieces(self) -> Iterator[Piece]:
        import datasets

        try:
            rows = datasets.load_dataset(self.name, split=self.split, streaming=True)
            for number, row in enumerate(rows):
                if not isinstance(row.get(self.text_key), str):
                    raise InputError(
                        f"data.corpus hf:{self.name}: row {number} has no text "
                        f'"{self.text_key}"; its keys are {", ".join(row)}. '
                        "Set data.text_key."
                    )
                yield from _whole(row[self.text_key])
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f'data.corpus = "hf:{self.name}": cannot be read: {type(error).__name__}: {error}'
            ) from error

    def signature(self) -> str:
        local = Path(self.name)
        if local.is_dir():
            files = sorted(p for p in local.rglob("*") if p.is_file())
            return _stat_signature(files, [str(f) for f in files])
        return "hub"  # a hub's data set is taken for unchanged once it is prepared


def _stat_signature(files: list[Path], names: list[str]) -> str:
    digest = hashlib.sha256()
    for file, name in zip(files, names, strict=True):
        stat = file.stat()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _whole(text: str) -> Iterator[Piece]:
    if text:
        yield text, True


def _read_text(file: Path, document: str, _key: str, errors: str = "strict") -> Iterator[Piece]:
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
        yield piece, not following
        piece = following


def _by_line(text: TextIO) -> Iterator[Piece]:
    while line := text.readline(_CHUNK):
        if line.endswith("\n"):
            if len(line) > 1:
                yield line[:-1], True
        else:
            following = text.readline(_CHUNK)
            yield line, not following
            while following:
                line, following = following, text.readline(_CHUNK) if following[-1] != "\n" else ""
                yield line.removesuffix("\n"), not following


def _by_blank_line(text: TextIO) -> Iterator[Piece]:
    paragraph: list[str] = []
    size = 0
    while line := text.readline(_CHUNK):
        if line.strip():
            paragraph.append(line)
            size += len(line)
            if size > _CHUNK:
                yield "".join(paragraph[:-1]) or line, False
                paragraph, size = (paragraph[-1:], len(line)) if len(paragraph) > 1 else ([], 0)
        elif paragraph:
            yield "".join(paragraph).removesuffix("\n"), True
            paragraph, size = [], 0
    if paragraph:
        yield "".join(paragraph).removesuffix("\n"), True


def _read_jsonl(file: Path, _document: str, key: str) -> Iterator[Piece]:
    try:
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield from _whole(_json_text(file, number, line, key))
    except UnicodeDecodeError as error:
        raise InputError(f"data.corpus: {file} is not UTF-8 text ({error.reason}).") from None
    except OSError as error:
        raise InputError(f"data.corpus: {file}: cannot be read: {error.strerror}.") from None


def _json_text(file: Path, number: int, line: str, key: str) -> str:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise InputError(f"data.corpus: {file}, line {number}: not JSON ({error}).") from None
    if not isinstance(row, dict) or not isinstance(row.get(key), str):
        keys = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise InputError(
            f'data.corpus: {file}, line {number}: no text "{key}" (it has: {keys}). '
            "Set data.text_key."
        )
    return str(row[key])


def _read_parquet(file: Path, _document: str, key: str) -> Iterator[Piece]:
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(file)
    except Exception as error:
        raise InputError(f"data.corpus: {file}: not a Parquet file ({error}).") from None
    if key not in table.schema_arrow.names:
        raise InputError(
            f'data.corpus: {file}: no column "{key}"; columns are '
            f"{', '.join(table.schema_arrow.names)}. Set data.text_key."
        )
    for batch in table.iter_batches(batch_size=1024, columns=[key]):
        for value in batch.column(0).to_pylist():
            if value is not None:
                yield from _whole(str(value))


_READERS: dict[str, Callable[[Path, str, str], Iterator[Piece]]] = {
    ".txt": _read_text,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
