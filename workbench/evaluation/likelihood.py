"""Likelihoods of continuations: exact for AR, a bound estimated over masks for diffusion.

For a diffusion model only the continuation is masked: k of its m tokens, k uniform on 1..m and
stratified over the draws, and the mean over draws of (m / k) * sum of the masked tokens' NLL
bounds -log p(continuation | context) in expectation. All continuations of one question see the
same masks, as far as their lengths agree, so that the noise cancels where they are compared.

Shape suffixes: R continuations, D draws, B sequences, L tokens a sequence.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from workbench.evaluation.scorer import Scorer
from workbench.training.divergence import Noised
from workbench.training.objectives.base import Corrupted, View
from workbench.training.to_device import to_device

Tokens = Sequence[int] | np.ndarray
Item = TypeVar("Item")
Result = TypeVar("Result")
_NOISED_TOGETHER = 8
SEED_STRIDE = 1 << 32  # numbers of questions stay below, so no two seeds share noise


@dataclass(frozen=True)
class Continuation:
    """How likely is `answer` after `context`? Both are token ids; the context may be empty."""

    context: Tokens
    answer: Tokens
    question: int
    """Continuations with the same number are compared with each other."""


@dataclass(frozen=True)
class Piece:
    """A part of a continuation that fits the model, with the tokens before it."""

    tokens: np.ndarray
    start: int
    """Where the scored tokens begin."""
    row: int
    """Which continuation it is a part of."""
    question: int


def pieces(rows: Sequence[Continuation], *, context: int) -> list[Piece]:
    """Cut continuations to the model's context of so many tokens.

    An answer that fits is scored whole, after as much of its context's end as there is room
    for. A longer one is scored half a window at a time, each half after the half before: by the
    chain rule their NLLs add up, though each sees less than the whole context.
    """
    cut = []
    for row, continuation in enumerate(rows):
        answer = np.asarray(continuation.answer, dtype=np.int64)
        before = np.asarray(continuation.context, dtype=np.int64)
        whole = len(answer) <= context
        stride = len(answer) if whole else max(1, context // 2)
        text = np.concatenate([before, answer])
        for first in range(len(before), len(text), stride or 1):
            last = min(first + stride, len(text))
            start = max(0, last - context) if whole else max(0, first - (context - stride))
            cut.append(Piece(text[start:last], first - start, row, continuation.question))
    return cut


def windows(tokens: Tokens, *, context: int, question: int) -> list[Continuation]:
    """Cut a whole text into windows in which each token is scored once.

    All but the last are scored from their beginning, as `val_loss` is, and the last after as much
    as fits of what is before it.
    """
    return [
        Continuation(tokens[:first], tokens[first : first + context], question + number)
        for number, first in enumerate(range(0, len(tokens), context))
    ]


@dataclass(frozen=True)
class _Batch:
    """Inputs of one forward pass, and where in the answer [R * D] each sequence's NLL belongs."""

    corrupted: Corrupted
    place_B: Tensor


@torch.no_grad()
def continuation_nll(
    scorer: Scorer,
    rows: Sequence[Continuation],
    *,
    context: int,
    draws: int,
    seed: int = 0,
    batch: int,
) -> np.ndarray:
    """[R, D] float64: estimates of -log p(answer | context), in nats, one a draw.

    Where the objective's likelihood is exact, there is one draw and it is that. Otherwise their
    mean estimates its bound; the draws are strata, and none of them alone is unbiased.

    Args:
        context: tokens that the model takes.
        draws: masks a continuation, where the likelihood is a bound.
        seed: other seeds, other masks.
        batch: sequences in one forward pass.
    """
    rank, ranks = scorer.ranks
    draws = scorer.objective.answer_draws(draws)
    nll = torch.zeros(len(rows) * draws, dtype=torch.float64, device=scorer.device)
    all_batches = _batches(scorer, pieces(rows, context=context), draws, seed, batch)
    mine = _share(all_batches, rank, ranks)

    def score(turn: tuple[_Batch, bool]) -> tuple[Tensor, Tensor]:
        mini_batch, counts = turn
        return mini_batch.place_B, scorer.nll(mini_batch.corrupted) * float(counts)

    for place_B, nll_B in _in_threads(score, mine, scorer.threads):
        nll.index_add_(0, place_B, nll_B)
    nll_RD: np.ndarray = scorer.total(nll).view(len(rows), draws).cpu().numpy()
    return nll_RD


def _share(all_batches: Iterator[_Batch], rank: int, ranks: int) -> Iterator[tuple[_Batch, bool]]:
    """Yield this rank's batches, and whether each counts.

    Collectives need as many calls on every rank, so a rank that has no batch left passes another
    one again, which does not count.
    """
    for turn in iter(
        lambda: [batch for _, batch in zip(range(ranks), all_batches, strict=False)], []
    ):
        yield turn[min(rank, len(turn) - 1)], rank < len(turn)


def _batches(
    scorer: Scorer, parts: Sequence[Piece], draws: int, seed: int, batch: int
) -> Iterator[_Batch]:
    """Sequences of equal length together, whatever continuation and draw they belong to."""

    def shape(part: Piece) -> tuple[int, int]:
        return len(part.tokens), part.start

    gathered: list[tuple[Corrupted, Tensor]] = []
    for _, same_length in groupby(sorted(parts, key=shape), key=lambda part: len(part.tokens)):
        for start, group in groupby(same_length, key=lambda part: part.start):
            for noised in _noised(scorer, list(group), start, draws, seed, batch):
                gathered.append(noised)
                if sum(len(place_B) for _, place_B in gathered) >= batch:
                    yield _joined(gathered)
                    gathered = []
        if gathered:
            yield _joined(gathered)
            gathered = []


def _noised(
    scorer: Scorer, parts: list[Piece], start: int, draws: int, seed: int, batch: int
) -> Iterator[tuple[Corrupted, Tensor]]:
    """Yield pieces of one shape under each draw's noise, all draws of a few pieces in a row."""
    device = scorer.device
    # All draws of a few continuations lie in one batch, rather than few draws of many.
    at_once = max(1, batch // draws)
    # Noise for a few rows is a hundred small operations: it is drawn for many rows together,
    # but for objectives whose view of each sequence is as large as its square.
    together = at_once if scorer.objective.facts.streams == 2 else at_once * _NOISED_TOGETHER
    for first in range(0, len(parts), together):
        chunk = parts[first : first + together]
        tokens_BL, question_B, place_B = (
            to_device(torch.from_numpy(values), device)
            for values in (
                np.stack([part.tokens for part in chunk]),
                np.array([part.question for part in chunk]),
                np.array([part.row * draws for part in chunk]),
            )
        )
        question_B += seed * SEED_STRIDE
        noised = [
            scorer.objective.answer_inputs(tokens_BL, start, question_B, draw, draws)
            for draw in range(draws)
        ]
        for row in range(0, len(chunk), at_once):
            rows = slice(row, row + at_once)
            for draw, corrupted in enumerate(noised):
                yield _rows_of(corrupted, rows), place_B[rows] + draw


def _rows_of(corrupted: Corrupted, rows: slice) -> Corrupted:
    weights, noised = corrupted.weights_BL, corrupted.noised
    return Corrupted(
        corrupted.inputs_BL[rows],
        corrupted.targets_BL[rows],
        None if weights is None else weights[rows],
        corrupted.view,  # of as many sequences as there are rows, or shared by all
        corrupted.first,
        None if noised is None else Noised(*(every_BL[rows] for every_BL in noised)),
    )


def _joined(parts: list[tuple[Corrupted, Tensor]]) -> _Batch:
    """One batch out of several."""

    corrupted_parts = [corrupted for corrupted, _ in parts]
    weights = [
        corrupted.weights_BL for corrupted in corrupted_parts if corrupted.weights_BL is not None
    ]
    noised = [corrupted.noised for corrupted in corrupted_parts if corrupted.noised is not None]
    joined = Corrupted(
        torch.cat([corrupted.inputs_BL for corrupted in corrupted_parts]),
        torch.cat([corrupted.targets_BL for corrupted in corrupted_parts]),
        torch.cat(weights) if weights else None,
        _joined_views(corrupted_parts),
        min(corrupted.first for corrupted in corrupted_parts),
        Noised(*map(torch.cat, zip(*noised, strict=True))) if noised else None,
    )
    return _Batch(joined, torch.cat([place_B for _, place_B in parts]))


def _joined_views(parts: list[Corrupted]) -> View | None:
    views = [
        (corrupted.view, len(corrupted.inputs_BL))
        for corrupted in parts
        if corrupted.view is not None
    ]
    if not views:
        return None
    first = views[0][0]
    if all(view is first and view.shared for view, _ in views):
        return first  # every sequence shares it
    positions_BT = torch.cat([view.positions_BT.expand(n, -1) for view, n in views])
    visible_BTT = first.visible_BTT
    if first.rule is not None and all(view.rule is first.rule for view, _ in views):
        return View(positions_BT, visible_BTT, first.rule)
    return View(positions_BT, torch.cat([view.visible_BTT.expand(n, -1, -1) for view, n in views]))


def _in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Results of `work` in the order of the items, `threads` of them made at once."""
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = []
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
