"""The first pass over a corpus: its tokens, and a table of its documents.

Tables live in mapped files, so that a corpus of many small documents needs little memory.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.quality import BucketPlaces, Scores, builtin_scores, read_scores
from workbench.data.reading import Piece, half_pair
from workbench.data.sources import TextSource, is_tiered
from workbench.data.tokenizers import Tokenizer
from workbench.errors import InputError
from workbench.recipe import DataConfig

Progress = Callable[[int], None]
Scorer = Callable[[list[Piece]], Scores]

_BATCH_PIECES = 8192
_BATCH_CHARS = 8 << 20
_BLOCK = 1 << 22  # tokens copied at once
_UNDECODED = -1


@dataclass(frozen=True)
class Documents:
    """Every document of every source, in the order in which they were read."""

    folder: Path
    dtype: "np.dtype[Any]"
    digests: NDArray[np.uint64]
    """[documents, 2]: 128 bits of the text's hash."""
    ends: NDArray[np.int64]
    """[documents]: where each ends in `tokens`, its separator counted."""
    lengths: NDArray[np.int64]
    text_bytes: NDArray[np.int64]
    """[documents]: UTF-8 bytes of the text; -1 of token ids that have not been decoded."""
    scores: Scores | None
    """[documents]: of their quality; where that is a bucket, its place in `buckets`."""
    buckets: list[str]
    """The names of quality buckets, in the order in which they were met."""
    bounds: list[int]
    """Documents of source i are bounds[i] .. bounds[i + 1] - 1."""

    def __len__(self) -> int:
        return len(self.ends)

    def of_source(self, number: int) -> NDArray[np.bool_]:
        """[documents] true for those of one source."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[self.bounds[number] : self.bounds[number + 1]] = True
        return chosen

    def first_copies(self) -> NDArray[np.bool_]:
        """[documents] true for the first of each group with equal digests, across sources."""
        digests = self.digests
        order = np.argsort(digests[:, 0], kind="stable")
        is_first = np.ones(len(digests), dtype=bool)
        same = np.flatnonzero(digests[order[1:], 0] == digests[order[:-1], 0]) + 1
        seen: dict[bytes, int] = {}
        for place in same:  # only documents that share half a digest: duplicates
            earlier, later = order[place - 1], order[place]
            seen.setdefault(digests[earlier].tobytes(), int(earlier))
            first = seen.setdefault(digests[later].tobytes(), int(later))
            is_first[later] = first == later
        return is_first

    def decoded(self, chosen: NDArray[np.bool_], tokenizer: Tokenizer) -> "Documents":
        """The same documents, with the bytes of the chosen ones counted where they came as token
        ids: by decoding them."""
        unknown = np.flatnonzero(chosen & (self.text_bytes == _UNDECODED))
        if not len(unknown):
            return self
        tokens = np.memmap(self.folder / "tokens", dtype=self.dtype, mode="r")
        sizes = np.array(self.text_bytes)
        for number in unknown:
            end = self.ends[number] - 1  # its separator is no text
            ids = tokens[end + 1 - self.lengths[number] : end]
            sizes[number] = len(tokenizer.decode(ids.tolist()).encode())
        return replace(self, text_bytes=sizes)

    def copy_tokens(self, chosen: NDArray[np.bool_], target: Path) -> int:
        """Write the chosen documents' tokens, in their order, and return how many they are."""
        written = 0
        with open(target, "wb") as out:
            if len(self) == 0:
                return 0
            tokens = np.memmap(self.folder / "tokens", dtype=self.dtype, mode="r")
            for start in range(0, len(tokens), _BLOCK):
                stop = min(start + _BLOCK, len(tokens))
                first = int(np.searchsorted(self.ends, start, side="right"))
                last = int(np.searchsorted(self.ends, stop, side="left")) + 1
                bounds = np.concatenate([[start], np.minimum(self.ends[first:last], stop)])
                here = np.repeat(chosen[first:last], np.diff(bounds))
                block = tokens[start:stop][here]
                out.write(block.tobytes())
                written += len(block)
        return written


def read_documents(
    data: DataConfig,
    folder: Path,
    sources: list[TextSource],
    tokenizer: Tokenizer,
    progress: Progress | None,
) -> Documents:
    """Tokenise every source into `folder`.

    Raises:
        InputError: a source cannot be read, or its documents have no scores.
    """
    dtype = np.dtype(np.uint16 if tokenizer.vocabulary.size <= 1 << 16 else np.uint32)
    bounds = [0]
    buckets = BucketPlaces(data.quality_bucket or "")
    for source in sources:
        scorer = _scorer(data, buckets) if source.part == "train" else None
        bounds.append(_tokenise(folder, source, tokenizer, dtype, bounds[-1], scorer, progress))

    def table(name: str, kind: Any) -> NDArray[Any]:
        path = folder / name
        return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, kind)

    ends = table("ends", np.int64)
    return Documents(
        folder=folder,
        dtype=dtype,
        digests=table("digests", np.uint64).reshape(-1, 2),
        ends=ends,
        lengths=np.diff(ends, prepend=0),
        text_bytes=table("bytes", np.int64),
        scores=_scores(data, folder, bounds),
        buckets=list(buckets.names),
        bounds=bounds,
    )


def _scorer(data: DataConfig, buckets: BucketPlaces) -> Scorer | None:
    """Return what scores documents as they are read; None where nothing does, or a file."""
    if not is_tiered(data) or data.quality_scores is not None:
        return None
    if data.quality_bucket is not None:
        return lambda pieces: buckets.of([str(piece.bucket) for piece in pieces])
    if data.quality_score is not None:
        return lambda pieces: builtin_scores([piece.text for piece in pieces])
    return lambda pieces: np.array([piece.score for piece in pieces], np.float64)


def _scores(data: DataConfig, folder: Path, bounds: list[int]) -> Scores | None:
    """[documents] scores of the main source, NaN for those of others."""
    if not is_tiered(data):
        return None
    scores = np.full(bounds[-1], np.nan)
    if data.quality_scores is not None:
        scores[: bounds[1]] = read_scores(data.quality_scores, bounds[1])
    else:
        scores[: bounds[1]] = np.fromfile(folder / "scores", dtype=np.float64)
    return scores


def _tokenise(
    folder: Path,
    source: TextSource,
    tokenizer: Tokenizer,
    dtype: "np.dtype[Any]",
    n_documents: int,
    scorer: Scorer | None,
    progress: Progress | None,
) -> int:
    """Append one source to the first pass's files, and return how many documents there are now.

    The files are `tokens`, `digests` (128 bits a document), `ends`, `bytes` and, with a scorer,
    `scores`.
    """
    eod = np.array([tokenizer.vocabulary.eod_id], dtype=dtype).tobytes()
    pieces = source.corpus.pieces()
    digest, size, begins = hashlib.blake2b(digest_size=16), 0, True
    with (
        open(folder / "tokens", "ab") as tokens,
        open(folder / "digests", "ab") as digests,
        open(folder / "ends", "ab") as ends,
        open(folder / "bytes", "ab") as sizes,
        open(folder / "scores", "ab") as scores,
    ):
        end = tokens.tell() // dtype.itemsize
        while batch := _next_batch(pieces):
            encoded = _ids(batch, tokenizer, f'"{source.name}", after document {n_documents}')
            out, new_digests = [], []
            new_ends: list[int] = []
            new_sizes: list[int] = []
            firsts: list[Piece] = []
            for piece, ids in zip(batch, encoded, strict=True):
                if begins:
                    firsts.append(piece)
                raw = _raw(piece)
                digest.update(raw)
                size += len(raw)
                out.append(ids.astype(dtype).tobytes())
                end += len(ids)
                begins = piece.last
                if piece.last:
                    out.append(eod)
                    end += 1
                    new_digests.append(digest.digest())
                    new_ends.append(end)
                    new_sizes.append(size if piece.ids is None else _UNDECODED)
                    digest, size = hashlib.blake2b(digest_size=16), 0
            tokens.write(b"".join(out))
            digests.write(b"".join(new_digests))
            ends.write(np.array(new_ends, np.int64).tobytes())
            sizes.write(np.array(new_sizes, np.int64).tobytes())
            if scorer is not None and firsts:
                _check_scored(source, firsts[0])
                scores.write(scorer(firsts).tobytes())
            n_documents += len(new_ends)
            if progress is not None:
                progress(n_documents)
    return n_documents


def _raw(piece: Piece) -> bytes:
    """What a piece's document is known by: its text in UTF-8, or its ids."""
    return piece.text.encode() if piece.ids is None else np.asarray(piece.ids, "<u4").tobytes()


def _ids(batch: list[Piece], tokenizer: Tokenizer, where: str) -> list[NDArray[Any]]:
    """The token ids of each piece, which some corpora give themselves."""
    given = [piece.ids for piece in batch if piece.ids is not None]
    try:
        return given or tokenizer.encode([piece.text for piece in batch])
    except (UnicodeEncodeError, TypeError):  # `tokenizers` takes it for another type
        for piece in batch:
            try:
                piece.text.encode()
            except UnicodeEncodeError as error:  # of a plug-in: readers name file and line
                raise half_pair(where, error) from None
        raise


def _check_scored(source: TextSource, first: Piece) -> None:
    """Raises:
    InputError: documents are token ids, which have neither text nor fields to score.
    """
    if first.ids is not None:
        raise InputError(
            f'data.quality: "{source.name}" is token ids, which have no text to score. Give '
            "data.quality_scores."
        )


def _next_batch(pieces: Iterator[Piece]) -> list[Piece]:
    """Pieces up to a number and a size, so that memory does not depend on the corpus."""
    batch: list[Piece] = []
    size = 0
    for piece in islice(pieces, _BATCH_PIECES):
        batch.append(piece)
        size += len(piece.text) if piece.ids is None else len(piece.ids)
        if size > _BATCH_CHARS:
            break
    return batch
