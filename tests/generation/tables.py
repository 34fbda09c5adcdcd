"""A model that knows its distribution exactly: a table of p(x), and every conditional of it."""

import itertools
from typing import Protocol

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from workbench.generation.choice import EQUALLY_SURE
from workbench.generation.network import Network
from workbench.training.noise import LINEAR, NoiseSchedule
from workbench.training.objectives.base import Vocab

V, L = 3, 3
VOCAB = Vocab(n_tokens=V, size=8, mask_id=V, bos_id=V + 1)
Text = tuple[int, ...]
Law = dict[Text, float]
Span = tuple[int, int]


def random_joint(seed: int, *, length: int = L) -> np.ndarray:
    """[V, ..., V]: a distribution over texts with strong dependence between places."""
    joint = np.random.default_rng(seed).dirichlet([0.4] * V**length)
    return (joint + 0.01).reshape([V] * length) / (joint + 0.01).sum()


class Table:
    """Conditionals of a joint, computed once for every pattern of seen and masked places."""

    def __init__(self, joint: np.ndarray) -> None:
        self.length = joint.ndim
        self.p = np.zeros((*[V + 1] * self.length, self.length, V))
        for pattern in itertools.product(range(V + 1), repeat=self.length):
            seen = joint[tuple(slice(x, x + 1) if x < V else slice(None) for x in pattern)]
            for place in range(self.length):
                others = tuple(i for i in range(self.length) if i != place)
                marginal = seen.sum(axis=others)
                if pattern[place] == V:
                    self.p[pattern][place] = marginal / marginal.sum()
        logits = np.log(np.maximum(self.p, 1e-300))
        # MASK, BOS and padding look likely: a sampler that counted them in would be found out.
        beyond = np.full((*logits.shape[:-1], VOCAB.size - V), 50.0)
        table = np.concatenate([logits, beyond], axis=-1)
        self.logits = torch.from_numpy(table.reshape(-1, self.length, VOCAB.size))
        self.radix = torch.tensor([(V + 1) ** i for i in reversed(range(self.length))])

    def denoise(self, tokens_BL: Tensor) -> Tensor:
        return self.logits[(tokens_BL * self.radix).sum(dim=1)]

    def network(self, schedule: NoiseSchedule = LINEAR) -> Network:
        return Network(VOCAB, self.length, self.denoise, lambda *_: _Reader(self), schedule)


class _Reader:
    """The table read from left to right, as a decoder."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.inputs: list[Tensor] = []

    def extend(self, tokens_BN: Tensor) -> Tensor:
        self.inputs.append(tokens_BN)
        inputs = torch.cat(self.inputs, dim=1)
        assert (inputs[:, 0] == VOCAB.bos_id).all()
        seen = inputs[:, 1:]
        masks = seen.new_full((len(seen), self.table.length - seen.shape[1]), VOCAB.mask_id)
        return self.table.denoise(torch.cat([seen, masks], dim=1))[:, seen.shape[1]]


def law_of(joint: np.ndarray) -> Law:
    return {x: float(joint[x]) for x in itertools.product(range(V), repeat=joint.ndim)}


def agreement(samples_BL: Tensor, law: Law) -> float:
    """p-value of Pearson's chi-square test that the samples come from the law."""
    texts, counts = np.unique(samples_BL.numpy(), axis=0, return_counts=True)
    seen = {tuple(map(int, text)): int(n) for text, n in zip(texts, counts, strict=True)}
    assert all(law.get(text, 0) > 0 for text in seen), "a text of probability 0"
    possible = [text for text, p in law.items() if p > 0]
    expected = np.array([law[text] for text in possible])
    observed = np.array([seen.get(text, 0) for text in possible])
    return float(stats.chisquare(observed, expected / expected.sum() * observed.sum()).pvalue)


def distance(one: Law, other: Law) -> float:
    """Total variation."""
    return sum(abs(p - other.get(text, 0.0)) for text, p in one.items()) / 2


class Conditionals(Protocol):
    """p[pattern][place][token], pattern with V where a place is masked, of texts of a length."""

    p: np.ndarray
    length: int


def _masked(table: Conditionals, known: Text | None, span: Span | None) -> tuple[Text, Span]:
    """What is known and what is to be filled: nothing and all, unless told otherwise."""
    return (V,) * table.length if known is None else known, span or (0, table.length)


def ancestral_law(
    table: Conditionals,
    steps: int,
    schedule: NoiseSchedule,
    known: Text | None = None,
    span: Span | None = None,
) -> Law:
    """The exact distribution of `ancestral` over the masked places of a span: over the step in
    which each of them becomes clean."""
    known, (begin, end) = _masked(table, known, span)
    times = torch.arange(steps, -1, -1, dtype=torch.float64) / steps
    chances = -np.diff(schedule.move_chance(times).numpy())
    fillings = itertools.product(range(V), repeat=end - begin)
    law = {known[:begin] + filling + known[end:]: 0.0 for filling in fillings}
    ranked: dict[Text, float] = {}
    for when in itertools.product(range(steps), repeat=end - begin):
        order = sorted(set(when))
        rank = tuple(order.index(step) for step in when)
        ranked[rank] = ranked.get(rank, 0.0) + float(np.prod(chances[list(when)]))
    for rank, chance in ranked.items():
        for text in law:
            p = chance
            for step in sorted(set(rank)):
                clean = [x if r < step else V for x, r in zip(text[begin:end], rank, strict=True)]
                seen = known[:begin] + tuple(clean) + known[end:]
                places = (begin + i for i, r in enumerate(rank) if r == step)
                p *= float(np.prod([table.p[seen][i][text[i]] for i in places]))
            law[text] += p
    return law


def confidence_law(
    table: Conditionals, steps: int, known: Text | None = None, span: Span | None = None
) -> Law:
    """The exact distribution of `by_confidence` with the linear schedule. Of places that are
    equally sure, every choice is equally likely."""
    known, (begin, end) = _masked(table, known, span)
    law: Law = {}

    def go(seen: Text, step: int, chance: float) -> None:
        masked = [i for i in range(begin, end) if seen[i] == V]
        if not masked:
            law[seen] = law.get(seen, 0.0) + chance
            return
        keep = len(masked) - int((end - begin) * (1 - (step + 1) / steps) + 0.5 + 1e-9)
        for drawn in itertools.product(range(V), repeat=len(masked)):
            sure = [float(table.p[seen][i][x]) for i, x in zip(masked, drawn, strict=True)]
            choices = _surest(np.log(sure), keep)
            for best in choices:
                after = list(seen)
                for j in best:
                    after[masked[j]] = drawn[j]
                go(tuple(after), step + 1, chance * float(np.prod(sure)) / len(choices))

    go(known, 0, 1.0)
    return law


def _surest(log_p: np.ndarray, keep: int) -> list[Text]:
    """Every choice of the `keep` surest places: more than one where the last are equally sure."""
    order = np.argsort(-log_p)
    levels = np.split(order, np.flatnonzero(-np.diff(log_p[order]) > EQUALLY_SURE) + 1)
    chosen: Text = ()
    for level in levels:
        if len(chosen) + len(level) > keep:
            rest = itertools.combinations(map(int, level), keep - len(chosen))
            return [chosen + some for some in rest]
        chosen += tuple(map(int, level))
    return [chosen]
