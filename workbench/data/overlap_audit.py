"""Audit of a corpus: held-out text, and text of evaluations, that is in the training text too.

Exact duplicates are removed before anything is held out. What is left to find are near
duplicates: texts most of whose n-grams occur in the training text (the n-gram overlap of GPT-3,
arXiv 2005.14165, appendix C, with 13 tokens; with bytes as tokens 50 of them, about as many
words as Lee et al. 2022, arXiv 2107.06499, ask for in a substring).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.data.ngrams import (
    Block,
    Overlap,
    Texts,
    find_overlap,
    row_blocks,
    stretch_blocks,
)
from workbench.data.prepared import PreparedData
from workbench.data.sources import part_names
from workbench.data.streams import training_stream, validation_windows
from workbench.data.tokenizers import load_tokenizer
from workbench.data.windows import permuted
from workbench.errors import InputError
from workbench.recipe import DataConfig

BYTE_NGRAM, TOKEN_NGRAM = 50, 13
THRESHOLD = 0.5
SAMPLE_TOKENS = 5_000_000
WORST = 5
_ROWS = 4096
_SAMPLE = 20_251_104

Blocks = Callable[[int], Iterator[Block]]


@dataclass(frozen=True)
class SetAudit:
    """How much of one set of texts occurs in the training text."""

    set: str
    n: int
    """Texts looked at."""
    ngram: int
    flagged: int
    """Texts at least `threshold` of whose n-grams occur in the training text."""
    too_short: int
    """Texts with fewer tokens than an n-gram, which have no overlap."""
    mean_overlap: float | None
    """Share of a text's n-grams that occur in the training text, averaged over texts."""
    longest: float | None = None
    """Mean over texts of the longest power of two of their tokens in a row that occurs in the
    training text, over the text's length: a lower bound. Questions only."""
    worst: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the audit as a row of a table."""
        return {
            "set": self.set,
            "n": self.n,
            "ngram": self.ngram,
            "flagged": self.flagged,
            "flagged_share": self.flagged / self.n if self.n else None,
            "mean_overlap": self.mean_overlap,
            "longest": self.longest,
        }

    def document(self) -> dict[str, Any]:
        """Return the audit as a JSON object."""
        return {**self.row(), "too_short": self.too_short, "worst": self.worst}


def training_blocks(prepared: PreparedData, data: DataConfig, scope: str) -> Blocks:
    """The training text as blocks of n-grams.

    Args:
        scope: "pool" for all of the training text, "unique" for the unique windows of `data`.
    """
    if scope == "pool":
        return lambda n: (
            block
            for part in part_names(data)
            for block in stretch_blocks(part, prepared.train(part), n)
        )
    stream = training_stream(prepared, data, order_seed=0, anneal_from=0 if data.anneal else None)
    # An annealing set's windows are numbered after the others.
    count = stream.n_windows
    if data.anneal:
        count += data.anneal.unique_tokens // data.seq_len

    def windows(n: int) -> Iterator[Block]:
        for first in range(0, count, _ROWS):
            rows = np.arange(first, min(first + _ROWS, count))
            yield from row_blocks("unique windows", stream.read(rows), n, first)

    return windows


def default_ngram(data: DataConfig) -> int:
    """Tokens of an n-gram: fewer where the windows that are read are shorter."""
    n = BYTE_NGRAM if data.tokenizer == "bytes" else TOKEN_NGRAM
    return min(n, max(data.seq_len // 2, 1))


def audit_sets(
    prepared: PreparedData,
    data: DataConfig,
    validation_extra: dict[str, PreparedData],
    blocks: Blocks,
    *,
    n: int,
    threshold: float = THRESHOLD,
) -> list[SetAudit]:
    """Audit held-out documents (at most 5M tokens of them), the validation windows, and those of
    second validation sets."""
    audits = [
        audit_texts("held-out documents", held_out_texts(prepared), blocks, data, n, threshold),
        audit_texts(
            "validation windows",
            Texts.of_rows(validation_windows(prepared, data).tokens_NL),
            blocks,
            data,
            n,
            threshold,
        ),
    ]
    for extra in data.validation_extra or ():
        drawn = validation_windows(validation_extra[extra.name], data, extra.tokens)
        windows = Texts.of_rows(drawn.tokens_NL)
        audits.append(audit_texts(f"{extra.name} windows", windows, blocks, data, n, threshold))
    return audits


def held_out_texts(prepared: PreparedData) -> Texts:
    """Held-out documents without their separators, up to a number of tokens."""
    spans = prepared.held_out_documents()
    spans = np.stack([spans[:, 0], spans[:, 1] - 1], axis=1)
    order = permuted(np.arange(len(spans)), len(spans), (_SAMPLE,))
    reached = np.cumsum((spans[:, 1] - spans[:, 0])[order])
    count = max(1, int(np.searchsorted(reached, SAMPLE_TOKENS, side="right")))
    chosen = spans[np.sort(order[:count])]
    text = prepared.held_out()
    if len(chosen) < len(spans):  # only what is looked at is hashed
        lengths = chosen[:, 1] - chosen[:, 0]
        ends = np.cumsum(lengths)
        text = np.concatenate([text[start:end] for start, end in chosen])
        chosen = np.stack([ends - lengths, ends], axis=1)
    return Texts(text, chosen)


def audit_texts(
    name: str, texts: Texts, blocks: Blocks, data: DataConfig, n: int, threshold: float
) -> SetAudit:
    """Measure how much of each text occurs in the training text, and list the worst ones."""
    overlap = find_overlap(texts, n, blocks(n))
    shares = overlap.shares(len(texts))
    measured = shares[~np.isnan(shares)]
    flagged = np.flatnonzero(np.nan_to_num(shares) >= threshold)
    worst = flagged[np.argsort(-shares[flagged], kind="stable")][:WORST]
    return SetAudit(
        set=name,
        n=len(texts),
        ngram=n,
        flagged=len(flagged),
        too_short=int(np.isnan(shares).sum()),
        mean_overlap=float(measured.mean()) if len(measured) else None,
        worst=[
            _example(int(number), float(shares[number]), texts, overlap, data) for number in worst
        ],
    )


def _example(
    number: int, share: float, texts: Texts, overlap: Overlap, data: DataConfig
) -> dict[str, Any]:
    """Describe one text: its longest stretch of n-grams that match, and where its first does."""
    own = np.flatnonzero(overlap.text_of == number)
    matched = np.concatenate([[False], overlap.matched[own], [False]]).astype(np.int8)
    begins, ends = np.flatnonzero(np.diff(matched) == 1), np.flatnonzero(np.diff(matched) == -1)
    longest = int(np.argmax(ends - begins))
    first = own[begins[longest]]
    covered = int(ends[longest] - begins[longest]) + overlap.n - 1
    start = int(overlap.start[first])
    stretch = texts.tokens[start : start + min(covered, 200)]
    return {
        "text": number,
        "tokens": int(texts.spans[number, 1] - texts.spans[number, 0]),
        "overlap": share,
        "covered_run": covered,
        "found_in": overlap.parts[int(overlap.part[first])],
        "position": int(overlap.position[first]),
        "excerpt": _decoded(stretch, data)[:120],
    }


def _decoded(tokens: Any, data: DataConfig) -> str:
    try:
        return load_tokenizer(data.tokenizer).decode(int(token) for token in tokens)
    except InputError:
        return ""  # the tokenizer's file is gone


def longest_common(texts: Texts, blocks: Blocks) -> np.ndarray:
    """Return, for each text, the largest power of two of its tokens in a row that occur in the
    training text; 0 where no token does."""
    longest = np.zeros(len(texts), np.int64)
    n = 1
    while n <= int((texts.spans[:, 1] - texts.spans[:, 0]).max(initial=0)):
        overlap = find_overlap(texts, n, blocks(n))
        if not overlap.matched.any():
            break
        longest[np.unique(overlap.text_of[overlap.matched])] = n
        n *= 2
    return longest
