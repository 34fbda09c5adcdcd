"""Preparation: a corpus, tokenised once into memory-mapped shards.

One streaming pass writes tokens and, a document, its digest, its end and its bytes
(`documents`). Documents are then chosen (`splitting`), and a second pass writes `train.bin`,
`held_out.bin` and, for mixtures and annealing, a shard for each further corpus. A corpus that is
cut into quality tiers gives a folder for each tier from the same pass.
"""

import errno
import fcntl
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.corpora import counts_of
from workbench.data.documents import Documents, Progress, read_documents
from workbench.data.prepared import FORMAT, PreparedData, find_prepared, find_validation_set
from workbench.data.round_trip import RoundTrip
from workbench.data.shard_checks import fingerprint
from workbench.data.sources import (
    TextSource,
    is_tiered,
    open_sources,
    open_validation_set,
    request_of,
    request_path,
    signature,
    validation_request_of,
)
from workbench.data.splitting import Split, cut_tiers, split_documents
from workbench.data.tokenizers import Tokenizer, load_tokenizer
from workbench.errors import InputError, WorkbenchError
from workbench.messages import suggestion
from workbench.recipe import DataConfig
from workbench.recipe.data import TIERS, ValidationSet
from workbench.runs.forecasts import digest_of
from workbench.runs.unfinished import replace_durably, replacing, sweep, unfinished

Request = dict[str, Any]


def prepare(data: DataConfig, results: Path, progress: Progress | None = None) -> PreparedData:
    """The prepared data of a `[data]` table, made now where it is missing or out of date.

    Two processes may ask at once: one makes it, the other waits and finds it.

    Args:
        progress: called with the number of documents read so far.

    Raises:
        InputError: the corpus cannot be read, or has too few documents to hold some out.
        WorkbenchError: the disk is full. Nothing half-made is left.
    """
    tokenizer = RoundTrip(load_tokenizer(data.tokenizer), data.tokenizer)
    sources = open_sources(data)

    def build(building: Path) -> PreparedData:
        documents = read_documents(data, building, sources, tokenizer, progress)
        tokenizer.check()
        seen = _describe_reading(sources, documents, tokenizer)
        split = split_documents(data, sources, documents)
        variants = cut_tiers(split, documents) if is_tiered(data) else {None: (split, {})}
        if is_tiered(data) and data.quality not in variants:
            raise _no_bucket(data, {str(name): entry for name, (_, entry) in variants.items()})
        folders = {}
        for tier, (chosen, quality) in variants.items():
            request = request_of(data, tier=tier)
            details: dict[str, Any] = (
                {"quality": {**quality, "score": request["score"]}} if quality else {}
            )
            if len(sources) > 1:
                details["sources"] = _describe_sources(sources, documents, chosen)
            folder = _write_split(building, request, tokenizer, documents, chosen, details, results)
            _write_answer(request, folder, signature(sources, data), results, seen)
            folders[tier] = folder
        return PreparedData.open(folders[data.quality if is_tiered(data) else None], seen)

    # Tiers are made together: one lock serves all of them.
    lock = request_of(data, tier=TIERS[0] if is_tiered(data) else None)
    return _once(lock, results, lambda: find_prepared(data, results), build)


def _no_bucket(data: DataConfig, entries: dict[str, dict[str, Any]]) -> InputError:
    """What to say of a bucket that a corpus does not have, from the manifest's entries."""
    names = ", ".join(f"{name} ({entry['documents']:,})" for name, entry in entries.items())
    near = suggestion(str(data.quality), entries) or "."
    return InputError(
        f'data.quality = "{data.quality}": the corpus "{data.corpus}" has no such bucket by '
        f'data.quality_bucket = "{data.quality_bucket}"{near} Its buckets, and documents to train '
        f"on: {names}."
    )


def prepare_validation_set(
    validation_set: ValidationSet, data: DataConfig, results: Path
) -> PreparedData:
    """A second validation set, all of it held out; made now where it is missing or out of date.

    Raises:
        InputError: the text cannot be read, or there is less than a window of it.
        WorkbenchError: the disk is full.
    """
    tokenizer = RoundTrip(load_tokenizer(data.tokenizer), data.tokenizer)
    source = open_validation_set(validation_set, data)
    request = validation_request_of(validation_set, data)
    plain = DataConfig(
        corpus=validation_set.path,
        unique_tokens=1,
        seq_len=1,
        validation_tokens=1,
        tokenizer=data.tokenizer,
    )

    def build(building: Path) -> PreparedData:
        documents = read_documents(plain, building, [source], tokenizer, None)
        tokenizer.check()
        seen = _describe_reading([source], documents, tokenizer)
        if len(documents) == 0:
            raise InputError(
                f'data.validation_extra "{validation_set.name}": {validation_set.path} has no text.'
            )
        distinct = documents.first_copies()
        split = Split(distinct, distinct, {"train": np.zeros_like(distinct)})
        folder = _write_split(building, request, tokenizer, documents, split, {}, results)
        _write_answer(request, folder, signature([source], plain), results, seen)
        return PreparedData.open(folder, seen)

    return _once(
        request, results, lambda: find_validation_set(validation_set, data, results), build
    )


def _once(
    request: Request,
    results: Path,
    find: Callable[[], PreparedData | None],
    build: Callable[[Path], PreparedData],
) -> PreparedData:
    """Return what `find` finds, or what one process at a time builds in a temporary folder."""
    lock = request_path(request, results).with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(lock):
            prepared = find()
            if prepared is not None:
                return prepared
            sweep(results / "data")
            with unfinished(results / "data" / "building", folder=True) as building:
                return build(building)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WorkbenchError(f"no space left on the disk of {results}.") from error
        raise InputError(f"{results}: cannot be written: {error.strerror}.") from error


@contextmanager
def _only_one(lock_path: Path) -> Iterator[None]:
    with open(lock_path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_split(
    building: Path,
    request: Request,
    tokenizer: Tokenizer,
    documents: Documents,
    split: Split,
    details: dict[str, Any],
    results: Path,
) -> Path:
    """Write the shards of a split, whole or not at all, and return their folder.

    Args:
        details: what else the manifest says.
    """
    shards = building / "shards"
    shards.mkdir()
    documents = documents.decoded(split.held_out, tokenizer)
    counts = _write_shards(shards, documents, split)
    tokens = fingerprint(shards, tokenizer.identity)
    manifest = {
        "format": FORMAT,
        "fingerprint": tokens,
        "request": request,
        "tokenizer": tokenizer.identity,
        "vocabulary": vars(tokenizer.vocabulary),
        **counts,
        **details,
    }
    manifest["digest"] = digest_of(manifest)
    (shards / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    folder = results / "data" / tokens[:16]
    if folder.exists():
        shutil.rmtree(shards)
    else:
        replace_durably(shards, folder)
    return folder


def _write_answer(
    request: Request, folder: Path, source: str, results: Path, seen: dict[str, Any]
) -> None:
    """Remember where a request's shards are, and what was met when they were made: other text can
    have the same shards."""
    path = request_path(request, results)
    answer = {"folder": folder.name, "signature": source, "seen": seen}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(answer) + "\n")


def _describe_reading(
    sources: list[TextSource], documents: Documents, tokenizer: RoundTrip
) -> dict[str, Any]:
    """What was met when corpora were read: `read`, one object a source with how many documents it
    has and what was left out of it, and `round_trip`, what the tokenizer loses."""
    read = [
        {
            "corpus": source.name,
            "documents": documents.bounds[number + 1] - documents.bounds[number],
            **counts_of(source.corpus).document(),
        }
        for number, source in enumerate(sources)
    ]
    return {"read": read, "round_trip": tokenizer.counts}


def _write_shards(folder: Path, documents: Documents, split: Split) -> dict[str, Any]:
    lengths = documents.lengths
    tokens = {
        part: documents.copy_tokens(chosen, folder / f"{part}.bin")
        for part, chosen in split.parts.items()
    }
    held_out_tokens = documents.copy_tokens(split.held_out, folder / "held_out.bin")
    held_out_ends = np.cumsum(lengths[split.held_out])
    _save(
        folder / "held_out_documents.npy",
        np.stack([held_out_ends - lengths[split.held_out], held_out_ends], axis=1),
    )
    counts: dict[str, Any] = {
        "dtype": documents.dtype.name,
        "documents": len(documents),
        "duplicates_removed": int(len(documents) - split.distinct.sum()),
        "held_out_documents": int(split.held_out.sum()),
        "train_tokens": tokens["train"],
        "held_out_tokens": held_out_tokens,
        "held_out_bytes": int(documents.text_bytes[split.held_out].sum()),
    }
    if len(tokens) > 1:
        counts["parts"] = tokens
    return counts


def _save(path: Path, array: NDArray[np.int64]) -> None:
    """Save as `np.save` does, which loses the reason why a file cannot be written."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    path.write_bytes(buffer.getbuffer())


def _describe_sources(
    sources: list[TextSource], documents: Documents, split: Split
) -> list[dict[str, Any]]:
    """Describe what came from each source, in the order of their texts in `held_out.bin`."""
    described = []
    for number, source in enumerate(sources):
        own = documents.of_source(number)
        held_out = own & split.held_out
        described.append(
            {
                "part": source.part,
                "corpus": source.name,
                "documents": int(own.sum()),
                "held_out_tokens": int(documents.lengths[held_out].sum()),
                "held_out_bytes": int(documents.text_bytes[held_out].sum()),
            }
        )
    return described
