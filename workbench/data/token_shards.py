"""Token shards: a corpus that another program has tokenised, with the tokenizer that it used.

Megatron    `X.bin` and its index `X.idx`: Megatron-LM, Megatron-DeepSpeed, NeMo.
llm.c       a header of 256 int32, then uint16 (magic 20240520) or uint32 (20240801) ids: llm.c,
            modded-nanogpt. Each document begins with the end-of-document token.
nanoGPT     uint16 ids and nothing else; uint32 where a vocabulary needs it. Each document ends
            with that token.

Token ids are used as they are. Their text is known by decoding alone, so bits a byte are over the
bytes of decoded text.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.opening import COMPRESSIONS, format_of, open_binary
from workbench.data.reading import Counts, Piece
from workbench.data.tokenizers import load_tokenizer
from workbench.errors import InputError

Ids = NDArray[Any]

_MEGATRON = b"MMIDIDX\x00\x00"
_FAIRSEQ = b"TNTIDX\x00\x00"
_MEGATRON_TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
_LLM_C: "dict[int, np.dtype[Any]]" = {20240520: np.dtype("<u2"), 20240801: np.dtype("<u4")}
_LLM_C_HEADER = 256 * 4  # bytes
_CHUNK = 1 << 22  # bytes


def is_token_shard(file: Path) -> bool:
    """Whether a file's name says that it holds token ids."""
    return format_of(file) == ".bin"


def shard_of_prefix(path: Path) -> Path | None:
    """`X.bin` where a path is Megatron's X, without an ending."""
    shard = path.with_name(path.name + ".bin")
    return shard if shard.exists() and path.with_name(path.name + ".idx").exists() else None


def indices_of(shards: list[Path]) -> list[Path]:
    """The indices that lie beside shards."""
    return [index for shard in shards if (index := shard.with_suffix(".idx")).exists()]


class TokenShards:
    """Token ids as documents, in the order of the files' names."""

    def __init__(self, files: list[Path], tokenizer: str, signature: str, counts: Counts) -> None:
        self.files = files
        self.tokenizer = tokenizer
        self.counts = counts
        self._signature = signature

    def pieces(self) -> Iterator[Piece]:
        """Raises:
        InputError: a shard is damaged, or its ids are not those of the tokenizer.
        """
        vocabulary = load_tokenizer(self.tokenizer).vocabulary
        eod, n_documents = vocabulary.eod_id, 0
        for file in self.files:
            for ids, last in _documents(file, vocabulary.n_tokens, eod):
                n_documents += last
                self._check(file, ids, vocabulary.n_tokens)
                yield Piece("", last, ids=ids)
        if n_documents <= len(self.files) and not indices_of(self.files):
            raise InputError(
                f"data.corpus: {self.files[0]}: no more than one document a file: they end by the "
                f'token id {eod} in data.tokenizer = "{self.tokenizer}". Give the tokenizer that '
                "made the shards, or the text itself."
            )

    def signature(self) -> str:
        return self._signature

    def _check(self, file: Path, ids: Ids, n_tokens: int) -> None:
        wrong = np.flatnonzero((ids < 0) | (ids >= n_tokens))
        if len(wrong):
            raise InputError(
                f"data.corpus: {file}: token id {ids[wrong[0]]}, and those of data.tokenizer = "
                f'"{self.tokenizer}" end at {n_tokens - 1}. Name the tokenizer that made the shard.'
            )


def _documents(file: Path, n_tokens: int, eod: int) -> Iterator[tuple[Ids, bool]]:
    """(ids, whether a document ends with them) of a file, without end-of-document tokens."""
    index = file.with_suffix(".idx")
    if index.exists():
        for ids in _megatron(file, index):
            ids = ids[:-1] if ids[-1] == eod else ids
            if len(ids):
                yield ids, True
        return
    open_document = False
    for ids in _flat(file, n_tokens):
        start = 0
        for end in np.flatnonzero(ids == eod):
            if end > start or open_document:
                yield ids[start:end], True
            start, open_document = int(end) + 1, False
        if start < len(ids):
            yield ids[start:], False
            open_document = True
    if open_document:  # the shard's last document: another shard begins with another
        yield np.empty(0, np.uint16), True


def _flat(file: Path, n_tokens: int) -> Iterator[Ids]:
    """Blocks of the ids of a file without an index."""
    with open_binary(file) as opened:
        header = opened.read(_LLM_C_HEADER)
        words = np.frombuffer(header[: len(header) // 4 * 4], "<i4")
        kind = _LLM_C.get(int(words[0])) if len(words) == 256 else None
        expected, block = None, header
        if kind is not None:
            expected, block = int(words[2]), opened.read(_CHUNK)
        else:
            kind = np.dtype("<u2" if n_tokens <= 1 << 16 else "<u4")
        read = 0
        while block:
            if len(block) % kind.itemsize:
                raise InputError(
                    f"data.corpus: {file}: cut off, or not of {kind.name} token ids: it ends "
                    f"within one. {_CONVERT}"
                )
            read += len(block) // kind.itemsize
            yield np.frombuffer(block, kind)
            block = opened.read(_CHUNK)
    if expected is not None and read != expected:
        raise InputError(
            f"data.corpus: {file}: {read} token ids, and its header says {expected}: it is cut off "
            "or damaged."
        )


_CONVERT = "Token shards are those of Megatron, nanoGPT and llm.c."


def _megatron(file: Path, index: Path) -> Iterator[Ids]:
    """The documents of a Megatron shard: sequences in a row, as its index says."""
    if file.suffix.lower() in COMPRESSIONS:
        raise InputError(f"data.corpus: {file}: decompress it: it is not read from its beginning.")
    kind, lengths, starts, documents = _read_index(index)
    size = file.stat().st_size
    ends = starts + lengths.astype(np.int64) * kind.itemsize
    whole = (
        (lengths >= 0).all()
        and (starts >= 0).all()
        and ends.max(initial=0) <= size
        and documents[0] == 0
        and documents[-1] == len(lengths)
        and (np.diff(documents) >= 0).all()
    )
    if not whole:
        raise InputError(
            f"data.corpus: {index}: not the index of {file.name} ({size} bytes): one of them is "
            "cut off or of another shard."
        )
    if size == 0:
        return
    data = np.memmap(file, np.uint8, mode="r")
    for first, last in pairwise(documents):
        parts = [data[starts[i] : ends[i]].view(kind) for i in range(first, last)]
        if sum(map(len, parts)):
            yield parts[0] if len(parts) == 1 else np.concatenate(parts)


def _read_index(index: Path) -> "tuple[np.dtype[Any], Ids, Ids, Ids]":
    """(type of ids, [sequences] lengths in tokens, [sequences] starts in bytes, [documents + 1]
    first sequences) of a Megatron index."""
    try:
        content = index.read_bytes()
    except OSError as error:
        raise InputError(f"data.corpus: {index}: cannot be read: {error.strerror}.") from None
    if content.startswith(_FAIRSEQ):
        raise InputError(
            f"data.corpus: {index}: an index of fairseq's older kind, which is not read. Make the "
            "shard again with Megatron's preprocess_data.py, or give the text itself."
        )
    try:
        if not content.startswith(_MEGATRON) or int.from_bytes(content[9:17], "little") != 1:
            raise ValueError
        kind = np.dtype(_MEGATRON_TYPES[content[17]])
        sequences, documents = (int(n) for n in np.frombuffer(content, "<u8", 2, 18))
        lengths = np.frombuffer(content, "<i4", sequences, 34)
        starts = np.frombuffer(content, "<i8", sequences, 34 + 4 * sequences)
        firsts = np.frombuffer(content, "<i8", documents, 34 + 12 * sequences)
        if not documents:
            raise ValueError
    except (ValueError, KeyError, IndexError, OverflowError):
        raise InputError(
            f"data.corpus: {index}: not an index of Megatron's token shards, or cut off."
        ) from None
    return kind, lengths, starts, firsts
