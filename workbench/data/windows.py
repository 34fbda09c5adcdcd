"""Windows of tokens: which ones are unique, in which order each epoch reads them.

Everything is a pure function of seeds and counters. There is no permutation in memory, no
generator to restore: sample number n of a run is the same window on any rank and after any resume.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_ROUNDS = 6
_U64 = np.uint64


def mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014); uint64 wraps, as it should."""
    x = (x ^ (x >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _U64(27))) * _U64(0x94D049BB133111EB)
    return x ^ (x >> _U64(31))


def _round_keys(key: tuple[int, ...]) -> NDArray[np.uint64]:
    state = np.zeros(1, np.uint64)
    for part in key:
        state = mix64(state + _U64(part & (2**64 - 1)) + _U64(0x9E3779B97F4A7C15))
    counters = np.arange(1, _ROUNDS + 1, dtype=np.uint64)
    return mix64(state + counters * _U64(0x9E3779B97F4A7C15))


def permuted(index: Ints, n: int, key: tuple[int, ...]) -> Ints:
    """Where a keyed shuffle of 0..n-1 sends each index, without making the shuffle.

    A Feistel network permutes the smallest even power of two that holds n, whatever its round
    function; indices that land outside 0..n-1 walk on until they are inside (cycle walking,
    Black & Rogaway 2002).

    Args:
        index: int64, each in 0..n-1.
        n: size of the set.
        key: integers; another key gives another shuffle.

    Returns:
        int64 of the same shape. Distinct indices go to distinct places.
    """
    half = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
    shift, mask = _U64(half), _U64((1 << half) - 1)
    keys = _round_keys(key)
    value = np.asarray(index, dtype=np.int64).astype(np.uint64)
    outside = np.ones(value.shape, dtype=bool)
    while outside.any():
        x = value[outside]
        left, right = x >> shift, x & mask
        for round_key in keys:
            left, right = right, left ^ (mix64(right + round_key) & mask)
        value[outside] = (left << shift) | right
        outside = value >= _U64(n)
    return value.astype(np.int64)


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of a run: tokens [B, L], epoch [B], sample [B], all int64."""

    tokens: Ints
    epoch: Ints
    sample: Ints


class WindowStream:
    """The endless stream of training windows of one run.

    The pool is the training text cut into windows of `seq_len`. The unique windows are the first
    `unique_tokens // seq_len` of its shuffle by the data seed, so that a smaller budget is a
    subset of a larger one. Each epoch reads them in a fresh order, keyed by the order seed.
    """

    def __init__(
        self,
        tokens: NDArray[np.unsignedinteger],
        *,
        seq_len: int,
        unique_tokens: int,
        data_seed: int,
        order_seed: int,
    ) -> None:
        """Cut the text into windows; nothing is shuffled or copied yet.

        Raises:
            ValueError: the budget is less than a window or more than the text.
        """
        self.pool_size = len(tokens) // seq_len
        self.n_windows = unique_tokens // seq_len
        if not 0 < self.n_windows <= self.pool_size:
            raise ValueError(
                f"{self.n_windows} unique windows out of a text of {self.pool_size} windows"
            )
        self.windows = tokens[: self.pool_size * seq_len].reshape(self.pool_size, seq_len)
        self.data_seed = data_seed
        self.order_seed = order_seed

    def identify(self, start: int, count: int) -> tuple[Ints, Ints]:
        """(epoch, unique window) of samples start..start+count-1, both int64 [count]."""
        number = np.arange(start, start + count, dtype=np.int64)
        epoch, place = number // self.n_windows, number % self.n_windows
        sample = np.empty(count, np.int64)
        for epoch_read in np.unique(epoch):
            chosen = epoch == epoch_read
            key = (_EPOCH, self.order_seed, int(epoch_read))
            sample[chosen] = permuted(place[chosen], self.n_windows, key)
        return epoch, sample

    def batch(self, start: int, count: int) -> Batch:
        """Samples start..start+count-1 with their tokens."""
        epoch, sample = self.identify(start, count)
        return Batch(self.read(sample), epoch, sample)

    def probe(self, count: int) -> Ints:
        """Return at most `count` unique windows to measure on repeatedly: the same for a larger
        budget that holds a smaller one."""
        return np.arange(min(count, self.n_windows))

    def read(self, sample: Ints) -> Ints:
        """Tokens [len(sample), seq_len] of unique windows, int64."""
        window = permuted(sample, self.pool_size, (_POOL, self.data_seed))
        tokens: Ints = self.windows[window].astype(np.int64)
        return tokens


@dataclass(frozen=True)
class HeldOutWindows:
    """Fixed held-out windows: the same for every seed, objective and budget."""

    tokens_NL: NDArray[np.unsignedinteger]
    """In the type that the shards store them in."""
    document_N: Ints
    """The document that each window lies in, by its middle."""
    weight_N: Floats
    """How many windows of a plain draw each one stands for: the weighted mean over windows is the
    mean over the tokens of the held-out text."""

    @classmethod
    def draw(
        cls,
        held_out: NDArray[np.unsignedinteger],
        spans: Ints,
        *,
        seq_len: int,
        n_tokens: int,
        first_token: int = 0,
    ) -> "HeldOutWindows":
        """`n_tokens // seq_len` distinct windows, or all where there are fewer.

        Windows come in the order of a fixed shuffle, so that a document gives as many as it has
        tokens. What one gives beyond six times an equal share is passed over while there are
        others: more windows of a document that has many say little that is new. Those taken of it
        weigh as much as all that the shuffle named.

        Args:
            held_out: the held-out tokens, or one corpus's part of them.
            spans: [documents, 2] where each document of the whole held-out text starts and ends.
            first_token: where `held_out` begins in the whole.
        """
        pool_size = len(held_out) // seq_len
        count = min(n_tokens // seq_len, pool_size)
        order = permuted(np.arange(pool_size), max(pool_size, 1), (_VALIDATION,))
        middle = first_token + order * seq_len + seq_len // 2
        document = np.searchsorted(spans[:, 1], middle, side="right")
        turn = _turns(document)
        n_documents = max(1, len(np.unique(document)))
        within = turn < max(1, -(-_LARGEST_SHARE * count // n_documents))
        if within.sum() < count:  # too few are left without what the cap passes over
            within |= np.cumsum(~within) <= count - within.sum()
        last = np.searchsorted(np.cumsum(within), count) + 1 if count else 0
        named = np.bincount(document[:last], minlength=len(spans))
        taken = np.flatnonzero(within[:last])
        of_document = document[taken]
        weight = named / np.maximum(np.bincount(of_document, minlength=len(spans)), 1)
        windows = held_out[: pool_size * seq_len].reshape(pool_size, seq_len)
        return cls(np.array(windows[order[taken]]), of_document, weight[of_document])

    @classmethod
    def joined(cls, parts: "Sequence[HeldOutWindows]") -> "HeldOutWindows":
        """The windows of several corpora, each corpus counting the same."""
        parts = [part for part in parts if len(part)]
        whole = parts[0].weight_N.sum()
        return cls(
            np.concatenate([part.tokens_NL for part in parts]),
            np.concatenate([part.document_N for part in parts]),
            np.concatenate([part.weight_N * (whole / part.weight_N.sum()) for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.tokens_NL)


_LARGEST_SHARE = 6


def _turns(group: Ints) -> Ints:
    """For each member of a row its number, from 0, among the members of its group so far."""
    order = np.argsort(group, kind="stable")
    sorted_groups = group[order]
    starts = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]])
    turn = np.empty(len(group), np.int64)
    lengths = np.diff(np.r_[starts, len(group)])
    turn[order] = np.arange(len(group)) - np.repeat(starts, lengths)
    return turn


# Streams of shuffles that share seeds but nothing else.
_POOL, _EPOCH, _VALIDATION = 1, 2, 3
