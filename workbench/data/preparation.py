"""Preparation: a corpus, tokenised once into memory-mapped shards.

One streaming pass writes tokens and, a document, its digest, its end and its bytes. Exact
duplicates are then found by sorting digests, documents are held out by a hash of their content,
and a second pass writes `train.bin` and `held_out.bin`. Per-document tables live in mapped
files, so that a corpus of many small documents needs little memory of its own.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.corpora import Corpus, open_corpus
from workbench.data.prepared import FORMAT, PreparedData, find_prepared, request_of, request_path
from workbench.data.tokenizers import Tokenizer, load_tokenizer
from workbench.errors import InputError, WorkbenchError
from workbench.recipe import DataConfig

Progress = Callable[[int], None]

_BATCH_PIECES = 8192
_BATCH_CHARS = 8 << 20
_BLOCK = 1 << 22  # tokens copied at once
HELD_OUT_SHARE = 0.05


def prepare(data: DataConfig, results: Path, progress: Progress | None = None) -> PreparedData:
    """The prepared data of a `[data]` table, made now where it is missing or out of date.

    Two processes may ask at once: one makes it, the other waits and finds it.

    Args:
        progress: called with the number of documents read so far.

    Raises:
        InputError: the corpus cannot be read, or has too few documents to hold some out.
        WorkbenchError: the disk is full. Nothing half-made is left to be believed.
    """
    tokenizer = load_tokenizer(data.tokenizer)
    corpus = open_corpus(data.corpus, document=data.document, text_key=data.text_key)
    request = request_path(data, results)
    try:
        request.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(request.with_suffix(".lock")):
            found = find_prepared(data, results)
            if found is not None:
                return found
            return _build(data, results, request, corpus, tokenizer, progress)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WorkbenchError(f"no space left on the disk of {results}.") from error
        raise InputError(f"{results}: cannot be written: {error.strerror}.") from error


@contextmanager
def _only_one(lock_path: Path) -> Iterator[None]:
    with open(lock_path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(
    data: DataConfig,
    results: Path,
    request: Path,
    corpus: Corpus,
    tokenizer: Tokenizer,
    progress: Progress | None,
) -> PreparedData:
    signature = corpus.signature()
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=results / "data"))
    building.chmod(0o755)
    try:
        counts = _write_tokens(data, building, corpus, tokenizer, progress)
        fingerprint = _fingerprint(building, tokenizer.identity)
        folder = results / "data" / fingerprint[:16]
        manifest = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "request": request_of(data),
            "tokenizer": tokenizer.identity,
            "vocabulary": vars(tokenizer.vocabulary),
            **counts,
        }
        (building / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        if not folder.exists():
            os.rename(building, folder)
        answer = {"folder": folder.name, "signature": signature}
        temporary = request.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(answer) + "\n")
        os.replace(temporary, request)
        return PreparedData.open(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_tokens(
    data: DataConfig,
    building: Path,
    corpus: Corpus,
    tokenizer: Tokenizer,
    progress: Progress | None,
) -> dict[str, Any]:
    dtype = np.dtype(np.uint16 if tokenizer.vocabulary.size <= 1 << 16 else np.uint32)
    n_documents = _tokenise(building, corpus, tokenizer, dtype, progress)
    if n_documents < 2:
        raise InputError(
            f'data.corpus = "{data.corpus}" has {n_documents} document(s), and some must be held '
            'out. Set data.document = "blank-line" or "line" to cut it into more.'
        )
    digests = np.memmap(building / "digests", dtype=np.uint64, mode="r").reshape(-1, 2)
    ends = np.memmap(building / "ends", dtype=np.int64, mode="r")
    text_bytes = np.memmap(building / "bytes", dtype=np.int64, mode="r")
    lengths = np.diff(ends, prepend=0)
    kept = _first_copies(digests)
    held_out = _held_out(data, digests, lengths, kept)
    tokens = np.memmap(building / "tokens", dtype=dtype, mode="r")
    train_tokens = _copy(tokens, ends, kept & ~held_out, building / "train.bin")
    held_tokens = _copy(tokens, ends, held_out, building / "held_out.bin")
    held_ends = np.cumsum(lengths[held_out])
    np.save(
        building / "held_out_documents.npy",
        np.stack([held_ends - lengths[held_out], held_ends], axis=1),
    )
    counts = {
        "dtype": dtype.name,
        "documents": n_documents,
        "duplicates_removed": int(n_documents - kept.sum()),
        "held_out_documents": int(held_out.sum()),
        "train_tokens": train_tokens,
        "held_out_tokens": held_tokens,
        "held_out_bytes": int(text_bytes[held_out].sum()),
    }
    for name in ("digests", "ends", "bytes", "tokens"):
        (building / name).unlink()
    return counts


def _tokenise(
    building: Path,
    corpus: Corpus,
    tokenizer: Tokenizer,
    dtype: "np.dtype[Any]",
    progress: Progress | None,
) -> int:
    """First pass: `tokens`, and per document `digests` (128 bits), `ends` and `bytes`."""
    eod = np.array([tokenizer.vocabulary.eod_id], dtype=dtype).tobytes()
    pieces = corpus.pieces()
    digest, size = hashlib.blake2b(digest_size=16), 0
    n_documents = end = 0
    with (
        open(building / "tokens", "wb") as tokens,
        open(building / "digests", "wb") as digests,
        open(building / "ends", "wb") as ends,
        open(building / "bytes", "wb") as sizes,
    ):
        while batch := _next_batch(pieces):
            encoded = tokenizer.encode([text for text, _ in batch])
            out, new_digests = [], []
            new_ends: list[int] = []
            new_sizes: list[int] = []
            for (text, last), ids in zip(batch, encoded, strict=True):
                raw = text.encode()
                digest.update(raw)
                size += len(raw)
                out.append(ids.astype(dtype).tobytes())
                end += len(ids)
                if last:
                    out.append(eod)
                    end += 1
                    new_digests.append(digest.digest())
                    new_ends.append(end)
                    new_sizes.append(size)
                    digest, size = hashlib.blake2b(digest_size=16), 0
            tokens.write(b"".join(out))
            digests.write(b"".join(new_digests))
            ends.write(np.array(new_ends, np.int64).tobytes())
            sizes.write(np.array(new_sizes, np.int64).tobytes())
            n_documents += len(new_ends)
            if progress is not None:
                progress(n_documents)
    return n_documents


def _next_batch(pieces: Iterator[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Pieces up to a number and a size, so that memory does not depend on the corpus."""
    batch: list[tuple[str, bool]] = []
    size = 0
    for piece in islice(pieces, _BATCH_PIECES):
        batch.append(piece)
        size += len(piece[0])
        if size > _BATCH_CHARS:
            break
    return batch


def _first_copies(digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """True for the first of each group of documents with equal digests."""
    order = np.argsort(digests[:, 0], kind="stable")
    kept = np.ones(len(digests), dtype=bool)
    same = np.flatnonzero(digests[order[1:], 0] == digests[order[:-1], 0]) + 1
    seen: dict[bytes, int] = {}
    for place in same:  # only documents that share half a digest: duplicates
        earlier, later = order[place - 1], order[place]
        seen.setdefault(digests[earlier].tobytes(), int(earlier))
        first = seen.setdefault(digests[later].tobytes(), int(later))
        kept[later] = first == later
    return kept


def _held_out(
    data: DataConfig,
    digests: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    kept: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whole documents, chosen by a hash of their content, until they are enough."""
    candidates = np.flatnonzero(kept)
    total = int(lengths[candidates].sum())
    wanted = max(data.validation_tokens, int(HELD_OUT_SHARE * total))
    if wanted * 2 > total or len(candidates) < 2:
        raise InputError(
            f"data.validation_tokens = {data.validation_tokens}: the corpus has {total} tokens in "
            f"{len(candidates)} distinct documents, and no more than half may be held out."
        )
    order = candidates[np.argsort(digests[candidates, 1], kind="stable")]
    reached = np.cumsum(lengths[order])
    count = min(int(np.searchsorted(reached, wanted)) + 1, len(order) - 1)
    held_out = np.zeros(len(digests), dtype=bool)
    held_out[order[:count]] = True
    return held_out


def _copy(
    tokens: NDArray[Any], ends: NDArray[np.int64], chosen: NDArray[np.bool_], target: Path
) -> int:
    """Write the chosen documents' tokens, in corpus order, and return how many they are."""
    written = 0
    with open(target, "wb") as out:
        for start in range(0, len(tokens), _BLOCK):
            stop = min(start + _BLOCK, len(tokens))
            first = int(np.searchsorted(ends, start, side="right"))
            last = int(np.searchsorted(ends, stop, side="left")) + 1
            bounds = np.concatenate([[start], np.minimum(ends[first:last], stop)])
            here = np.repeat(chosen[first:last], np.diff(bounds))
            block = tokens[start:stop][here]
            out.write(block.tobytes())
            written += len(block)
    return written


def _fingerprint(folder: Path, identity: str) -> str:
    digest = hashlib.sha256(f"{FORMAT}:{identity}".encode())
    for name in ("train.bin", "held_out.bin", "held_out_documents.npy"):
        digest.update(f"{name}:{(folder / name).stat().st_size}".encode())
        with open(folder / name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
