"""Corpora: where text comes from, as a stream of pieces that no document has to fit in memory.

A document is the pieces up to and including one that is its last. A new corpus is a class with
`pieces` and `signature`, and an entry in `open_corpus`; or a plug-in (`recipe.plugins`).
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

from workbench.data.readers import READERS, Piece, read_text, score_of, whole
from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.declarations import CorpusPlugin
from workbench.recipe.plugins import Installed
from workbench.recipe.plugins_used import CORPUS_PLUGINS, corpus_plugin
from workbench.runs.paths import globbed

_SKIPPED = {"test", "tests", "idlelib", "site-packages", "__pycache__", "idle_test"}


class Corpus(Protocol):
    """A source of documents."""

    def pieces(self) -> Iterator[Piece]:
        """The documents in a fixed order."""
        ...

    def signature(self) -> str:
        """Return a text that changes with the source's sizes and times; no document is read."""
        ...


def open_corpus(
    corpus: str, *, document: str, text_key: str, quality_key: str | None = None
) -> Corpus:
    """The corpus that `[data] corpus` names.

    Args:
        document: what one document of a text file is: file, line or blank-line.
        text_key: the text's field, where documents have fields.
        quality_key: the field of the score that each piece shall carry.

    Raises:
        InputError: unknown, missing, or of a kind that cannot be read.
    """
    plugin = corpus_plugin(corpus)
    if plugin is not None:
        return PluginCorpus(*plugin, document=document, text_key=text_key, quality_key=quality_key)
    if corpus == "python-stdlib":
        return PythonStdlib(document, quality_key)
    if corpus.startswith("hf:"):
        return HubDataset(corpus, text_key, quality_key)
    return LocalFiles(
        _matching(corpus), document=document, text_key=text_key, quality_key=quality_key
    )


def _matching(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if path.is_dir():
        files = [p for suffix in READERS for p in path.rglob(f"*{suffix}")]
    elif path.exists():
        files = [path]
    else:
        files = [found for found in globbed(path) if found.is_file()]
    if not files:
        names = ["python-stdlib", *CORPUS_PLUGINS.names()]
        near = suggestion(pattern.partition(":")[0], names)
        raise InputError(
            f'data.corpus = "{pattern}": no such file, and no file matches it{near or "."} Corpora '
            f"are {', '.join(names)}, a path or glob of .txt, .jsonl or .parquet files, and "
            "hf:org/name."
        )
    for file in files:
        if file.suffix not in READERS:
            raise InputError(
                f'data.corpus: {file}: files of type "{file.suffix}" are not read. '
                f"Types are {', '.join(READERS)}."
            )
    return sorted(files)


class LocalFiles:
    """Text, JSON lines and Parquet files, in the order of their names."""

    def __init__(
        self, files: list[Path], *, document: str, text_key: str, quality_key: str | None = None
    ) -> None:
        self.files = files
        self.document = document
        self.text_key = text_key
        self.quality_key = quality_key

    def pieces(self) -> Iterator[Piece]:
        for file in self.files:
            yield from READERS[file.suffix](file, self.document, self.text_key, self.quality_key)

    def signature(self) -> str:
        return _stat_signature(self.files, [str(f.absolute()) for f in self.files])


class PythonStdlib:
    """The sources of the running Python's standard library, its tests left out."""

    def __init__(self, document: str, quality_key: str | None = None) -> None:
        self.document = document
        self.quality_key = quality_key
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
            yield from read_text(file, self.document, "", self.quality_key, errors="replace")

    def signature(self) -> str:
        names = [str(path.relative_to(self.root)) for path in self.files]
        return sys.version.split()[0] + ":" + _stat_signature(self.files, names)


def _sources(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _SKIPPED]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


class HubDataset:
    """`hf:org/name`, `hf:org/name:split`, or `hf:/path` of a dataset on disk; streamed."""

    def __init__(self, spec: str, text_key: str, quality_key: str | None = None) -> None:
        name, _, split = spec.removeprefix("hf:").partition(":")
        self.name, self.split = name, split or "train"
        self.text_key = text_key
        self.quality_key = quality_key

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
                where = f"hf:{self.name}: row {number}"
                yield from whole(row[self.text_key], score_of(row, self.quality_key, where))
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


class PluginCorpus:
    """A corpus of a plug-in, prepared again when the plug-in's numbers change."""

    def __init__(
        self,
        plugin: Installed,
        argument: str,
        *,
        document: str,
        text_key: str,
        quality_key: str | None = None,
    ) -> None:
        """Raises:
        InputError: the plug-in cannot be used, or refuses the argument.
        """
        self.plugin = plugin
        self.numbers = plugin.declaration(CorpusPlugin).numbers
        self.corpus: Corpus = plugin.call(
            plugin.code(), argument, document=document, text_key=text_key, quality_key=quality_key
        )

    def pieces(self) -> Iterator[Piece]:
        pieces = iter(self.plugin.call(self.corpus.pieces))
        end = object()
        while (piece := self.plugin.call(next, pieces, end)) is not end:
            yield cast(Piece, piece)

    def signature(self) -> str:
        return f"{self.plugin.name}/{self.numbers}:{self.plugin.call(self.corpus.signature)}"


def _stat_signature(files: list[Path], names: list[str]) -> str:
    digest = hashlib.sha256()
    for file, name in zip(files, names, strict=True):
        stat = file.stat()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
