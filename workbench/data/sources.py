"""The corpora of a `[data]` table: one, or those of a mixture, and the annealing set."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.data.corpora import Corpus, open_corpus
from workbench.data.quality import BUILTIN
from workbench.data.tokenizers import load_tokenizer
from workbench.errors import InputError
from workbench.recipe import DataConfig
from workbench.recipe.data import ValidationSet
from workbench.recipe.plugins_used import corpus_plugin

FORMAT = 1
ANNEAL = "anneal"


@dataclass(frozen=True)
class TextSource:
    """One corpus, and what becomes of it."""

    part: str
    """Name of the shard that its training text goes to."""
    name: str
    corpus: Corpus
    held_out: int | None
    """Tokens to hold out at least; None where every document is trained on."""
    held_out_documents: int = 0
    """Documents to hold out at least."""


def part_names(data: DataConfig) -> list[str]:
    """The shards of training text: `train`, `train-1`, ... for a mixture, and `anneal`."""
    corpora = len(data.mixture or ()) or 1
    parts = ["train", *(f"train-{number}" for number in range(1, corpora))]
    return [*parts, ANNEAL] if data.anneal else parts


def open_sources(data: DataConfig) -> list[TextSource]:
    """The corpora in the order of `part_names`.

    Raises:
        InputError: one is missing or cannot be read.
    """
    tables: list[Any] = list(data.mixture or [data])
    share = -(-data.validation_tokens // len(tables))
    documents = -(-(data.validation_documents or 0) // len(tables))
    tables += [data.anneal] if data.anneal else []
    sources = []
    for part, table in zip(part_names(data), tables, strict=True):
        corpus = open_corpus(
            table.corpus,
            document=table.document or data.document,
            text_key=table.text_key or data.text_key,
            quality_key=data.quality_key if part == "train" else None,
            quality_bucket=data.quality_bucket if part == "train" else None,
            suffixes=table.suffixes or data.suffixes,
            encoding_errors=data.encoding_errors,
            tokenizer=data.tokenizer,
        )
        held_out = None if part == ANNEAL else share
        sources.append(TextSource(part, table.corpus, corpus, held_out, documents))
    return sources


def open_validation_set(validation_set: ValidationSet, data: DataConfig) -> TextSource:
    """The corpus of a second validation set.

    Raises:
        InputError: missing, or it cannot be read.
    """
    try:
        corpus = open_corpus(
            validation_set.path,
            document=validation_set.document or data.document,
            text_key=validation_set.text_key or data.text_key,
            suffixes=validation_set.suffixes or data.suffixes,
            encoding_errors=data.encoding_errors,
            tokenizer=data.tokenizer,
        )
    except InputError as error:
        raise InputError(f'data.validation_extra "{validation_set.name}": {error}') from None
    return TextSource("held_out", validation_set.path, corpus, None)


def signature(sources: list[TextSource], data: DataConfig) -> str:
    """Return a text that changes when one of the sources does, or the file of their scores."""
    signatures = [source.corpus.signature() for source in sources]
    if data.quality_scores is not None:
        try:
            stat = Path(data.quality_scores).expanduser().stat()
        except OSError as error:
            raise InputError(
                f"data.quality_scores = {data.quality_scores}: cannot be read: {error.strerror}."
            ) from None
        signatures.append(f"{stat.st_size}:{stat.st_mtime_ns}")
    if len(signatures) == 1:
        return signatures[0]
    return hashlib.sha256("\n".join(signatures).encode()).hexdigest()


def request_of(data: DataConfig, *, tier: str | None = None) -> dict[str, Any]:
    """The part of `[data]` that decides the shards.

    Args:
        tier: the quality tier or bucket, where it shall not be the one of `data`.
    """
    request: dict[str, Any] = {
        "format": FORMAT,
        "corpus": _place(data.corpus) if data.mixture is None else data.corpus,
        "document": data.document,
        "text_key": data.text_key,
        "tokenizer": load_tokenizer(data.tokenizer).reading,
        "validation_tokens": data.validation_tokens,
        **_reading_request(data, data),
    }
    if data.validation_documents is not None:
        request["validation_documents"] = data.validation_documents
    if data.mixture is not None:
        request["mixture"] = [_source_request(source, data) for source in data.mixture]
    if data.anneal is not None:
        request["anneal"] = _source_request(data.anneal, data)
    if is_tiered(data):
        scores = data.quality_scores
        request["quality"] = tier or data.quality
        request["score"] = (
            {"bucket": data.quality_bucket}
            if data.quality_bucket
            else {"key": data.quality_key}
            if data.quality_key
            else {"file": str(Path(scores).expanduser().absolute())}
            if scores
            else {"score": BUILTIN}
        )
    return request


def validation_request_of(validation_set: ValidationSet, data: DataConfig) -> dict[str, Any]:
    """What decides the shards of a second validation set."""
    return {
        "format": FORMAT,
        "validation_set": _place(validation_set.path),
        "document": validation_set.document or data.document,
        "text_key": validation_set.text_key or data.text_key,
        "tokenizer": load_tokenizer(data.tokenizer).reading,
        **_reading_request(validation_set, data),
    }


def request_path(request: dict[str, Any], results: Path) -> Path:
    """Where the answer to a request is remembered."""
    text = json.dumps(request, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return results / "data" / "requests" / f"{name}.json"


def is_tiered(data: DataConfig) -> bool:
    """Whether only a tier or a bucket of the corpus is trained on."""
    return data.quality not in (None, "all")


def _source_request(source: Any, data: DataConfig) -> dict[str, Any]:
    return {
        "corpus": _place(source.corpus),
        "document": source.document or data.document,
        "text_key": source.text_key or data.text_key,
        **_reading_request(source, data),
    }


def _reading_request(source: Any, data: DataConfig) -> dict[str, Any]:
    """Return the keys that came later, where they are given: without them a request is the one
    of before."""
    suffixes = source.suffixes or data.suffixes
    request: dict[str, Any] = {}
    if suffixes:
        request["suffixes"] = sorted(suffixes)
    if data.encoding_errors is not None:
        request["encoding_errors"] = data.encoding_errors
    return request


def _place(corpus: str) -> str:
    """Return a path in full, so that a request is the same from any folder."""
    if corpus == "python-stdlib" or corpus.startswith("hf:") or corpus_plugin(corpus):
        return corpus
    return str(Path(corpus).expanduser().absolute())
