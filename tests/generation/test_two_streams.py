"""Samplers of block diffusion and any-order AR against the distributions that their training
defines: real networks, every text enumerated through the objective's own two-stream pass."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.generation.tables import Law, Span, Text, agreement, ancestral_law, confidence_law
from tests.training.toy import EVERY_SEQUENCE, VOCAB, L, V, held_out, logits, network, nll
from workbench.generation.choice import Randomness, probabilities
from workbench.generation.incremental import GroupDecoder
from workbench.generation.network import Network
from workbench.generation.samplers import SAMPLERS
from workbench.generation.settings import Canvas, Settings
from workbench.training.noise import SCHEDULES, NoiseSchedule
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import Corrupted
from workbench.training.objectives.block import BlockDiffusion, block_view

N = 15_000
PLAIN = Settings()
LINEAR, COSINE = SCHEDULES["linear"], SCHEDULES["cosine"]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network(doubled=True).requires_grad_(False)


def seen_by_samplers(
    model: nn.Module, *, size: int | None, schedule: NoiseSchedule = LINEAR
) -> Network:
    return Network(
        VOCAB,
        L,
        denoise=model,
        decoder=lambda *_: pytest.fail("a model of two streams has no decoder"),
        schedule=schedule,
        block_size=size,
        reader=lambda b, n: GroupDecoder(model, batch=b, length=n, group=size or 1),
    )


def sample(
    name: str,
    net: Network,
    settings: Settings = PLAIN,
    prompt: Text = (),
    *,
    length: int = L,
    n: int = N,
) -> Tensor:
    tokens = torch.full((n, length), VOCAB.mask_id)
    tokens[:, : len(prompt)] = torch.tensor(prompt, dtype=torch.int64)
    canvas = Canvas(tokens, len(prompt), torch.arange(n))
    return SAMPLERS[name].fill(net, canvas, settings, Randomness(settings.seed)).tokens_BL


class BlockTable:
    """p[pattern][place] as the objective `block` trains it. It means something where all blocks
    before the place's are clean."""

    length = L

    def __init__(self, model: nn.Module, size: int) -> None:
        pattern = torch.tensor(list(itertools.product(range(V + 1), repeat=L)))
        clean = torch.where(pattern == VOCAB.mask_id, 0, pattern)
        view = block_view(L, size, pattern.device)
        seen = Corrupted(torch.cat([pattern, clean], dim=1), clean, None, view)
        p = logits(model, seen)[..., :V].double().softmax(dim=-1)
        self.p = p.numpy().reshape(*[V + 1] * L, L, V)


def block_law(
    table: BlockTable,
    spans: list[tuple[Span, int]],
    schedule: NoiseSchedule,
    prompt: Text,
    *,
    surest: bool = False,
) -> Law:
    """Block after block, each with its steps; places beyond the spans stay masked."""
    law: Law = {prompt + (V,) * (L - len(prompt)): 1.0}
    for span, steps in spans:
        after: Law = {}
        for known, chance in law.items():
            if surest:
                filled = confidence_law(table, steps, known, span)
            else:
                filled = ancestral_law(table, steps, schedule, known, span)
            for text, p in filled.items():
                after[text] = after.get(text, 0.0) + chance * p
        law = after
    end = spans[-1][0][1]
    return {text[:end]: p for text, p in law.items()}


# size of blocks, prompt, length of the text, (span, its share of the steps)
BLOCKS: dict[str, tuple[int, Text, int, list[tuple[Span, int]]]] = {
    "ones": (1, (), 4, [((0, 1), 1), ((1, 2), 1), ((2, 3), 1), ((3, 4), 1)]),
    "ones, prompt": (1, (2, 0), 4, [((2, 3), 1), ((3, 4), 1)]),
    "twos, a step": (2, (), 4, [((0, 2), 1), ((2, 4), 1)]),
    "twos, three steps": (2, (), 4, [((0, 2), 3), ((2, 4), 3)]),
    "twos, prompt inside": (2, (1,), 4, [((1, 2), 1), ((2, 4), 2)]),
    "twos, prompt of a block": (2, (1, 2), 4, [((2, 4), 2)]),
    "twos, prompt inside the last": (2, (1, 2, 0), 4, [((3, 4), 1)]),
    "twos, end inside": (2, (), 3, [((0, 2), 2), ((2, 3), 1)]),
    "all": (4, (), 4, [((0, 4), 2)]),
    "all, prompt, end inside": (4, (0,), 3, [((1, 3), 2)]),
}


@pytest.mark.parametrize("schedule", [LINEAR, COSINE], ids=["linear", "cosine"])
@pytest.mark.parametrize("case", BLOCKS)
def test_ancestral_blocks_sample_what_training_defines(
    case: str, schedule: NoiseSchedule, model: nn.Module
) -> None:
    size, prompt, length, spans = BLOCKS[case]
    net = seen_by_samplers(model, size=size, schedule=schedule)
    settings = Settings(steps=sum(steps for _, steps in spans))
    drawn = sample("ancestral-blocks", net, settings, prompt, length=length)
    law = block_law(BlockTable(model, size), spans, schedule, prompt)
    assert sum(law.values()) == pytest.approx(1)
    assert agreement(drawn, law) > 1e-3


@pytest.mark.parametrize("case", BLOCKS)
def test_blocks_by_confidence_sample_what_their_rule_says(case: str, model: nn.Module) -> None:
    size, prompt, length, spans = BLOCKS[case]
    settings = Settings(steps=sum(steps for _, steps in spans))
    drawn = sample("blocks", seen_by_samplers(model, size=size), settings, prompt, length=length)
    law = block_law(BlockTable(model, size), spans, LINEAR, prompt, surest=True)
    assert agreement(drawn, law) > 1e-3


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_network_that_rounds_otherwise_gives_the_same_texts(
    temperature: float, model: nn.Module
) -> None:
    """All masked, it finds every place equally sure but for rounding."""

    class Rounded(GroupDecoder):
        def predict(self, *arguments: Tensor | None) -> Tensor:
            exact = super().predict(*arguments)
            return exact + 1e-6 * torch.randn(exact.shape, generator=generator)

    exactly = seen_by_samplers(model, size=L)
    rounding = replace(exactly, reader=lambda b, n: Rounded(model, batch=b, length=n, group=L))
    generator = torch.Generator().manual_seed(0)
    settings = Settings(temperature=temperature)
    first = sample("blocks", exactly, settings, n=500)
    assert torch.equal(sample("blocks", rounding, settings, n=500), first)
    assert len(first.unique(dim=0)) > 1, "seeds choose"


def test_blocks_of_one_token_sample_the_exact_likelihood(model: nn.Module) -> None:
    """The same that validation reports as `nll`, and no other block size's."""
    objective = BlockDiffusion(VOCAB, block_size=1, schedule=LINEAR, weighting="elbo_t", seed=0)
    exact = nll(model, held_out(objective, EVERY_SEQUENCE))
    law = as_law((-exact.sum(dim=1)).exp())
    for name in ("ancestral-blocks", "blocks"):
        drawn = sample(name, seen_by_samplers(model, size=1))
        assert agreement(drawn, law) > 1e-3
    other = sample("ancestral-blocks", seen_by_samplers(model, size=2))
    assert agreement(other, law) < 1e-9, "the test can tell"


def test_many_steps_sample_the_mixture_over_orders_within_a_block(model: nn.Module) -> None:
    """Blocks of two: the law without discretisation, in which no two places share a step."""
    p, law = BlockTable(model, 2).p, {}
    for text in itertools.product(range(V), repeat=L):
        law[text] = 1.0
        for first in (0, 2):
            one, two = first, first + 1
            both = (*text[:first], *[V] * (L - first))
            orders = 0.0
            for now, then in ((one, two), (two, one)):
                half = [*both]
                half[now] = text[now]
                orders += p[both][now][text[now]] * p[tuple(half)][then][text[then]]
            law[text] *= orders / 2
    assert sum(law.values()) == pytest.approx(1)
    net = seen_by_samplers(model, size=2)
    assert agreement(sample("ancestral-blocks", net, Settings(steps=300)), law) > 1e-3


def as_law(p_N: Tensor) -> Law:
    """Of every sequence, in the order of `EVERY_SEQUENCE`."""
    texts = map(tuple, EVERY_SEQUENCE.tolist())
    return dict(zip(texts, p_N.double().tolist(), strict=True))


def order_law(model: nn.Module, orders: list[tuple[int, ...]], prompt: Text, length: int) -> Law:
    """The mixture over orders (places by rank) of the exact conditional of a prompt's rest; what
    lies beyond the length comes last and is left out."""
    law: Law = {}
    for order in orders:
        rank = torch.tensor([*order, *range(length, L)]).argsort()
        seen = AnyOrder(VOCAB, seed=0).in_order(EVERY_SEQUENCE, rank.expand(V**L, L))
        p_N = (-nll(model, seen)[:, len(prompt) : length].sum(dim=1)).exp()
        along: Law = {}
        for text, p in as_law(p_N).items():
            if text[: len(prompt)] == prompt:
                along[text[:length]] = p  # the same for every end beyond the length
        for text, p in along.items():
            law[text] = law.get(text, 0.0) + p / len(orders)
    return law


def orders_of(prompt: Text, length: int) -> list[tuple[int, ...]]:
    known = itertools.permutations(range(len(prompt)))
    rest = list(itertools.permutations(range(len(prompt), length)))
    return [one + other for one in known for other in rest]


ANY_ORDER: dict[str, tuple[Text, int]] = {
    "whole": ((), 4),
    "after a prompt": ((2, 0), 4),
    "one place": ((2, 0, 1), 4),
    "shorter than the context": ((), 3),
    "after a prompt, shorter": ((1,), 3),
}


@pytest.mark.parametrize("case", ANY_ORDER)
def test_random_orders_sample_the_mixture_of_orders(case: str, model: nn.Module) -> None:
    prompt, length = ANY_ORDER[case]
    law = order_law(model, orders_of(prompt, length), prompt, length)
    assert sum(law.values()) == pytest.approx(1, abs=1e-5)
    drawn = sample(
        "random-order", seen_by_samplers(model, size=None), Settings(), prompt, length=length
    )
    assert agreement(drawn, law) > 1e-3


@pytest.mark.parametrize("case", ANY_ORDER)
def test_left_to_right_samples_that_order_alone(case: str, model: nn.Module) -> None:
    prompt, length = ANY_ORDER[case]
    net = seen_by_samplers(model, size=None)
    law = order_law(model, [tuple(range(length))], prompt, length)
    drawn = sample("left-to-right", net, Settings(), prompt, length=length)
    assert agreement(drawn, law) > 1e-3
    if case == "whole":
        assert agreement(sample("random-order", net), law) < 1e-9, "orders differ"


@pytest.mark.parametrize(("temperature", "top_p"), [(0.5, 1.0), (2.0, 0.8)])
def test_temperature_and_nucleus_act_on_every_conditional(
    temperature: float, top_p: float, model: nn.Module
) -> None:
    p, law = BlockTable(model, 1).p, {}
    for text in itertools.product(range(V), repeat=L):
        law[text] = 1.0
        for place in range(L):
            row = np.log(p[(*text[:place], *[V] * (L - place))][place])
            cut = probabilities(
                torch.from_numpy(row)[None], V, temperature=temperature, top_p=top_p
            )
            law[text] *= cut[0, text[place]].item()
    settings = Settings(temperature=temperature, top_p=top_p)
    # Any-order AR from left to right and blocks of one are one model (tests/training/test_aoar).
    for name, size in (("left-to-right", None), ("ancestral-blocks", 1), ("blocks", 1)):
        assert agreement(sample(name, seen_by_samplers(model, size=size), settings), law) > 1e-3
