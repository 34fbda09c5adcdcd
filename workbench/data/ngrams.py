"""Which n-grams of some texts occur in a much longer one: an index of the texts, one pass over it.

The short texts' n-grams are hashed to 64 bits and sorted; the long one streams past, hashed block
by block, so memory depends on the short texts alone. Two different n-grams share a hash with
probability 2**-64: for 5 million sought in 100 million read, a false match has a chance of 3e-5.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.data.windows import mix64

Hashes = NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15  # odd, so that no power of it vanishes modulo 2**64
_BLOCK = 1 << 18  # tokens hashed at once: a few megabytes stay in the cache


def ngram_hashes(tokens: NDArray[np.integer], n: int) -> Hashes:
    """[len(tokens) - n + 1] hashes of each n tokens in a row; none where there are fewer.

    A polynomial in hashed tokens, modulo 2**64 and mixed. The hash of a + b tokens is made of
    those of a and of b, so n takes log2(n) passes.
    """
    if len(tokens) < n:
        return np.empty(0, np.uint64)
    power = mix64(tokens.astype(np.uint64) + np.uint64(_BASE))  # of runs of `width` tokens
    hashes: Hashes | None = None
    done, width = 0, 1
    while done < n:
        if n & width:
            # Behind the `done` tokens that are hashed already.
            hashes = power if hashes is None else _joined(hashes, power[done:], width)
            done += width
        if done < n:
            power = _joined(power, power[width:], width)
            width *= 2
    assert hashes is not None
    return mix64(hashes[: len(tokens) - n + 1])


def _joined(first: Hashes, second: Hashes, second_width: int) -> Hashes:
    """Hashes of runs with `second_width` more tokens behind them."""
    length = min(len(first), len(second))
    factor = np.uint64(pow(_BASE, second_width, 1 << 64))
    return first[:length] * factor + second[:length]


@dataclass(frozen=True)
class Texts:
    """Short texts, one after another."""

    tokens: NDArray[np.integer]
    spans: NDArray[np.int64]
    """[texts, 2]: where each starts and ends."""

    @classmethod
    def of_rows(cls, tokens_NL: NDArray[np.integer]) -> "Texts":
        n, length = tokens_NL.shape
        starts = np.arange(n, dtype=np.int64) * length
        return cls(tokens_NL.reshape(-1), np.stack([starts, starts + length], axis=1))

    def __len__(self) -> int:
        return len(self.spans)


@dataclass(frozen=True)
class Block:
    """Hashes of a stretch of the long text."""

    part: str
    hashes: Hashes
    position: NDArray[np.int64]
    """Of each n-gram's first token in its part."""


@dataclass(frozen=True)
class Overlap:
    """The n-grams of each text, and which of them occur in the long text."""

    n: int
    text_of: NDArray[np.int64]
    """[n-grams] the text that each is from; texts with fewer than n tokens have none."""
    start: NDArray[np.int64]
    """[n-grams] first token, in `Texts.tokens`."""
    matched: NDArray[np.bool_]
    part: NDArray[np.int64]
    """[n-grams] which of `parts` it first occurs in, and where; -1 if in none."""
    position: NDArray[np.int64]
    parts: list[str]

    def shares(self, n_texts: int) -> NDArray[np.float64]:
        """[texts] share of its n-grams that occur; NaN for texts that are too short."""
        total = np.bincount(self.text_of, minlength=n_texts)
        matched = np.bincount(self.text_of, weights=self.matched, minlength=n_texts)
        return np.divide(matched, total, out=np.full(n_texts, np.nan), where=total > 0)


def find_overlap(texts: Texts, n: int, blocks: Iterable[Block]) -> Overlap:
    """Look for every n-gram of the texts in the blocks of a long one."""
    text_of, start, hashes = _own_ngrams(texts, n)
    index = _Index(hashes)
    part = np.full(len(index.known), -1, np.int64)
    position = np.full(len(index.known), -1, np.int64)
    names: list[str] = []
    for block in blocks:
        if block.part not in names:
            names.append(block.part)
        which, place = index.find(block.hashes)
        new = part[place] < 0  # the first place counts: later ones are overwritten in reverse
        which, place = which[new][::-1], place[new][::-1]
        part[place] = names.index(block.part)
        position[place] = block.position[which]
    which, place = index.find(hashes)
    own = np.empty(len(hashes), np.int64)
    own[which] = place
    return Overlap(n, text_of, start, part[own] >= 0, part[own], position[own], names)


def _own_ngrams(texts: Texts, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Hashes]:
    """Text, start and hash of every n-gram that lies within one text."""
    lengths = texts.spans[:, 1] - texts.spans[:, 0]
    counts = np.maximum(lengths - n + 1, 0)
    text_of = np.repeat(np.arange(len(texts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    start = texts.spans[text_of, 0] + within
    return text_of, start, ngram_hashes(np.asarray(texts.tokens), n)[start]


class _Index:
    """Sorted hashes, looked up by their leading bits: one or two comparisons each, where a binary
    search takes twenty."""

    def __init__(self, hashes: Hashes) -> None:
        ordered = np.sort(hashes)  # np.unique hashes what is hashed already: ten times slower
        self.known = ordered[np.diff(ordered, prepend=~ordered[:1]) != 0]
        bits = min(max((2 * len(self.known)).bit_length(), 8), 26)
        self.shift = np.uint64(64 - bits)
        edges = np.arange((1 << bits) + 1, dtype=np.int64)
        leading = (self.known >> self.shift).astype(np.int64)
        self.first = np.searchsorted(leading, edges).astype(np.int32)

    def find(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(which of `hashes` are known, their places among the known ones)."""
        slot = (hashes >> self.shift).astype(np.int64)
        place, end = self.first[slot], self.first[slot + 1]
        asked = np.flatnonzero(place < end)
        at, end = place[asked].astype(np.int64), end[asked]
        which, places = [], []
        while len(asked):
            hit = self.known[at] == hashes[asked]
            which.append(asked[hit])
            places.append(at[hit])
            going = ~hit & (at + 1 < end)
            asked, at, end = asked[going], at[going] + 1, end[going]
        if not which:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(which), np.concatenate(places)


def stretch_blocks(part: str, tokens: NDArray[np.integer], n: int) -> Iterator[Block]:
    """The n-grams of one long text, a block at a time."""
    for begin in range(0, max(len(tokens) - n + 1, 0), _BLOCK):
        hashes = ngram_hashes(np.asarray(tokens[begin : begin + _BLOCK + n - 1]), n)
        yield Block(part, hashes, begin + np.arange(len(hashes)))


def row_blocks(
    part: str, tokens_NL: NDArray[np.integer], n: int, first_row: int
) -> Iterator[Block]:
    """The n-grams of windows, none of them across two windows."""
    length = tokens_NL.shape[1]
    if length < n:
        return
    hashes = ngram_hashes(tokens_NL.reshape(-1), n)
    place = np.arange(len(hashes))
    inside = place % length <= length - n
    yield Block(part, hashes[inside], first_row * length + place[inside])
