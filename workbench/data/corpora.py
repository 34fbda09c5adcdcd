"""Corpora: where text comes from, as a stream of pieces that no document has to fit in memory.

A document is the pieces up to and including one that is its last. A new corpus is a class with
`pieces` and `signature`, and an entry in `open_corpus`; or a plug-in (`recipe.plugins`).
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

from workbench.data.matching import files_of
from workbench.data.opening import format_of
from workbench.data.readers import READERS, Reader, read_text
from workbench.data.reading import REPLACEMENT, Counts, Piece, Reading, Rows
from workbench.data.saved import is_saved, saved_files
from workbench.data.tables import read_arrow
from workbench.data.token_shards import TokenShards, indices_of, is_token_shard
from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.bucket_paths import bucket_of_path, is_path
from workbench.recipe.declarations import CorpusPlugin
from workbench.recipe.plugins import Installed
from workbench.recipe.plugins_used import CORPUS_PLUGINS, corpus_plugin

_SKIPPED = {"test", "tests", "idlelib", "site-packages", "__pycache__", "idle_test"}


class Corpus(Protocol):
    """A source of documents."""

    def pieces(self) -> Iterator[Piece]:
        """The documents in a fixed order."""
        ...

    def signature(self) -> str:
        """Return a text that changes with the source's sizes and times; no document is read."""
        ...


def counts_of(corpus: Corpus) -> Counts:
    """What was met while a corpus was read; nothing of a plug-in's."""
    counts = getattr(corpus, "counts", None)
    return counts if isinstance(counts, Counts) else Counts()


def open_corpus(
    corpus: str,
    *,
    document: str,
    text_key: str,
    quality_key: str | None = None,
    quality_bucket: str | None = None,
    suffixes: Sequence[str] | None = None,
    encoding_errors: str | None = None,
    tokenizer: str | None = None,
) -> Corpus:
    """The corpus that `[data] corpus` names.

    Args:
        document: what one document of a text file is: file, line or blank-line.
        text_key: the text's field, where documents have fields, or a template of several.
        quality_key: the field of the score that each piece shall carry.
        quality_bucket: the field of the bucket's name that it shall carry, or the part of its
            file's path that has the name.
        suffixes: endings of files to read, in place of those that folders are searched for.
        encoding_errors: what becomes of what is no text: "strict" refuses it, "replace" reads
            it as U+FFFD.
        tokenizer: whose ids token shards hold; None where text is needed.

    Raises:
        InputError: unknown, missing, or of a kind that cannot be read.
    """
    by_path = quality_bucket if quality_bucket and is_path(quality_bucket) else None
    field = None if by_path else quality_bucket
    how = Reading(document, text_key, quality_key, field, encoding_errors or "strict")
    plugin = corpus_plugin(corpus)
    if quality_bucket is not None and (plugin is not None or corpus == "python-stdlib"):
        raise InputError(
            f'data.quality_bucket = "{quality_bucket}": data.corpus = "{corpus}" has no buckets. '
            "Files and data of the hub have; other corpora can have scores (data.quality_key)."
        )
    if plugin is not None:
        return PluginCorpus(*plugin, document=document, text_key=text_key, quality_key=quality_key)
    if corpus == "python-stdlib":
        return PythonStdlib(document, quality_key)
    on_hub = corpus.startswith("hf:")
    name, _, split = corpus.removeprefix("hf:").partition(":") if on_hub else (corpus, "", "")
    folder = Path(name).expanduser()
    if is_saved(folder):
        return LocalFiles(saved_files(folder, split or None), how, by_path, reader=read_arrow)
    if on_hub:
        if by_path is not None:
            raise InputError(
                f'data.quality_bucket = "{by_path}": data of the hub are rows, without paths. Name '
                "the field that has the bucket."
            )
        return HubDataset(corpus, how)
    files = files_of(corpus, suffixes, how.counts)
    if not files:
        raise _nothing_there(corpus)
    if any(is_token_shard(file) for file in files):
        if quality_bucket is not None:
            raise InputError(f"data.corpus: {files[0]} holds token ids: buckets are of text.")
        return _token_shards(corpus, files, how, tokenizer)
    return LocalFiles(files, how, by_path)


def _token_shards(corpus: str, files: list[Path], how: Reading, tokenizer: str | None) -> Corpus:
    text = [file for file in files if not is_token_shard(file)]
    if text:
        raise InputError(
            f'data.corpus = "{corpus}" has token shards beside text ({text[0].name}). Name one of '
            "the two by a glob or by data.suffixes."
        )
    if tokenizer is None or how.quality_key is not None:
        needs = "a tokenizer is trained on" if tokenizer is None else "data.quality_key is of"
        raise InputError(f"data.corpus: {files[0]} holds token ids, and {needs} text.")
    signature = _path_signature([*files, *indices_of(files)])
    return TokenShards(files, tokenizer, signature, how.counts)


def _nothing_there(corpus: str) -> InputError:
    names = ["python-stdlib", *CORPUS_PLUGINS.names()]
    near = suggestion(corpus.partition(":")[0], names)
    return InputError(
        f'data.corpus = "{corpus}": no such file, and no file matches it{near or "."} Corpora '
        f"are {', '.join(names)}, a path or glob of files ({', '.join(READERS)}), and hf:org/name."
    )


class LocalFiles:
    """Files of text and tables, in the order of their names."""

    def __init__(
        self,
        files: list[Path],
        how: Reading,
        bucket_path: str | None = None,
        *,
        reader: Reader | None = None,
    ) -> None:
        """Args:
            bucket_path: the part of a file's path that names its bucket.
            reader: for all files, where their names do not say.

        Raises:
            InputError: a file's path names no bucket.
        """
        self.files, self.how, self._reader = files, how, reader
        self.counts = how.counts
        self._buckets = {file: bucket_of_path(bucket_path, file) for file in files if bucket_path}
        for file, bucket in self._buckets.items():
            if bucket is None:
                raise InputError(
                    f'data.quality_bucket = "{bucket_path}": no part of {file} is of this form. '
                    "Every file needs a bucket."
                )

    def pieces(self) -> Iterator[Piece]:
        replaced = False  # in this document
        for file in self.files:
            reader = self._reader or READERS.get(format_of(file), read_text)
            bucket = self._buckets.get(file)
            for piece in reader(file, self.how):
                yield piece if bucket is None else piece._replace(bucket=bucket)
                if self.how.errors == "replace":
                    replaced = replaced or REPLACEMENT in piece.text
                    self.counts.replaced += replaced and piece.last
                    replaced = replaced and not piece.last

    def signature(self) -> str:
        # Tables were read in another way before: columns of bytes became Python's notation.
        tables = any(format_of(file) == ".parquet" for file in self.files)
        return _path_signature(self.files) + ":2" * tables


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
        how = Reading(self.document, quality_key=self.quality_key, errors="replace")
        for file in self.files:
            # A few sources are in other encodings on purpose.
            yield from read_text(file, how)

    def signature(self) -> str:
        names = [str(path.relative_to(self.root)) for path in self.files]
        return sys.version.split()[0] + ":" + _stat_signature(self.files, names)


def _sources(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _SKIPPED]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


class HubDataset:
    """`hf:org/name`, `hf:org/name:split`, or `hf:/path` of a folder in the hub's form; streamed."""

    def __init__(self, spec: str, how: Reading) -> None:
        name, _, split = spec.removeprefix("hf:").partition(":")
        self.name, self.split = name, split or "train"
        self.how = how
        self.counts = how.counts

    def pieces(self) -> Iterator[Piece]:
        import datasets

        rows, number = Rows(self.how), 0

        def where() -> str:
            return f"hf:{self.name}: row {number}"

        try:
            data = datasets.load_dataset(self.name, split=self.split, streaming=True)
            for row in data:
                piece = rows.piece(row, where)
                if piece is not None:
                    yield rows.without_surrogates(piece, where)
                number += 1
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


def _path_signature(files: list[Path]) -> str:
    return _stat_signature(files, [str(file.absolute()) for file in files])


def _stat_signature(files: list[Path], names: list[str]) -> str:
    digest = hashlib.sha256()
    for file, name in zip(files, names, strict=True):
        stat = file.stat()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
