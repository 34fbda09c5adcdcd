"""Samplers against models whose distribution is known: every law by enumeration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.generation.tables import (
    VOCAB,
    L,
    Law,
    Table,
    V,
    agreement,
    ancestral_law,
    confidence_law,
    distance,
    law_of,
    random_joint,
)
from workbench.generation.choice import Randomness, probabilities
from workbench.generation.diffusion import _blocks
from workbench.generation.network import Network
from workbench.generation.samplers import SAMPLERS, choose_sampler, samplers_of
from workbench.generation.settings import Canvas, Settings, spread
from workbench.recipe import OBJECTIVES
from workbench.training.noise import SCHEDULES

N = 20_000
JOINT = random_joint(1)
TABLE = Table(JOINT)


def sample(
    name: str,
    network: Network,
    settings: Settings,
    prompt: tuple[int, ...] = (),
    n: int = N,
    length: int = L,
) -> Tensor:
    start = len(prompt)
    tokens = torch.full((n, length), VOCAB.mask_id)
    tokens[:, :start] = torch.tensor(prompt, dtype=torch.int64)
    canvas = Canvas(tokens, start, torch.arange(n))
    return SAMPLERS[name].fill(network, canvas, settings, Randomness(settings.seed)).tokens_BL


def test_ar_samples_the_joint() -> None:
    drawn = sample("ar", TABLE.network(), Settings())
    assert agreement(drawn, law_of(JOINT)) > 1e-3
    assert agreement(drawn, law_of(random_joint(2))) < 1e-9, "the test can tell"


@pytest.mark.parametrize("name", ["ar", "ancestral", "ancestral-blocks", "blocks"])
def test_after_a_prompt_the_rest_follows_its_conditional(name: str) -> None:
    steps = None if name == "ar" else 400
    settings = Settings(steps=steps, block_size=1 if "blocks" in name else None)
    drawn = sample(name, TABLE.network(), settings, prompt=(2,), n=4000)
    assert (drawn[:, 0] == 2).all()
    conditional = {x: p for x, p in law_of(JOINT).items() if x[0] == 2}
    assert agreement(drawn, conditional) > 1e-3


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_ancestral_samples_the_discretised_reverse_process(steps: int, schedule) -> None:
    law = ancestral_law(TABLE, steps, schedule)
    drawn = sample("ancestral", TABLE.network(schedule), Settings(steps=steps))
    assert agreement(drawn, law) > 1e-3


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_ancestral_reaches_the_joint_as_steps_grow(schedule) -> None:
    """Its only error is two places in one step: the distance is at most that chance."""
    law, distances = law_of(JOINT), []
    for steps in (1, 4, 16, 32):
        times = torch.arange(steps, -1, -1, dtype=torch.float64) / steps
        chances = -np.diff(schedule.move_chance(times).numpy())
        distinct = sum(np.prod(chances[list(w)]) for w in itertools.permutations(range(steps), L))
        distances.append(distance(ancestral_law(TABLE, steps, schedule), law))
        assert distances[-1] <= 1 - distinct + 1e-12
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 10
    drawn = sample("ancestral", TABLE.network(schedule), Settings(steps=500), n=4000)
    assert agreement(drawn, law) > 1e-3


def test_one_step_is_exact_where_tokens_are_independent() -> None:
    rng = np.random.default_rng(3)
    a, b, c = rng.dirichlet([1.0] * V, size=3)
    joint = a[:, None, None] * b[None, :, None] * c[None, None, :]
    for name in ("ancestral", "confidence"):
        drawn = sample(name, Table(joint).network(), Settings(steps=1))
        assert agreement(drawn, law_of(joint)) > 1e-3


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_confidence_samples_what_its_rule_says_and_not_the_joint(steps: int) -> None:
    drawn = sample("confidence", TABLE.network(), Settings(steps=steps))
    assert agreement(drawn, confidence_law(TABLE, steps)) > 1e-3
    assert agreement(drawn, law_of(JOINT)) < 1e-9


def test_blocks_of_one_token_sample_the_joint_and_one_block_is_confidence() -> None:
    drawn = sample("blocks", TABLE.network(), Settings(block_size=1))
    assert agreement(drawn, law_of(JOINT)) > 1e-3
    whole = sample("blocks", TABLE.network(), Settings(block_size=L, steps=2), n=500)
    assert torch.equal(whole, sample("confidence", TABLE.network(), Settings(steps=2), n=500))


@pytest.mark.parametrize(("temperature", "top_p"), [(0.5, 1.0), (2.0, 1.0), (1.0, 0.8), (0.7, 0.6)])
def test_temperature_and_top_p_act_on_every_conditional(temperature: float, top_p: float) -> None:
    law: Law = {}
    for text in itertools.product(range(V), repeat=L):
        law[text] = 1.0
        for place in range(L):
            p = TABLE.p[(*text[:place], *[V] * (L - place))][place]
            cut = probabilities(
                torch.from_numpy(np.log(p))[None], V, temperature=temperature, top_p=top_p
            )
            law[text] *= cut[0, text[place]].item()
    settings = Settings(temperature=temperature, top_p=top_p)
    assert agreement(sample("ar", TABLE.network(), settings), law) > 1e-3
    blocks = Settings(temperature=temperature, top_p=top_p, block_size=1)
    assert agreement(sample("blocks", TABLE.network(), blocks), law) > 1e-3


class Spy:
    """A network without opinions that remembers what it was shown."""

    def __init__(self, length: int) -> None:
        self.shown: list[Tensor] = []
        self.length = length

    def denoise(self, tokens_BL: Tensor) -> Tensor:
        self.shown.append(tokens_BL.clone())
        generator = torch.Generator().manual_seed(len(self.shown))
        return torch.randn(*tokens_BL.shape, VOCAB.size, generator=generator)

    def network(self, schedule) -> Network:
        return Network(VOCAB, self.length, self.denoise, lambda *_: None, schedule)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_masked_tokens_become_clean_as_the_reverse_process_says(schedule) -> None:
    steps, n, length = 4, 300, 256
    spy = Spy(length)
    last = sample("ancestral", spy.network(schedule), Settings(steps=steps), n=n, length=length)
    states = [*spy.shown, last]
    assert len(states) == steps + 1, "so long a text has something to do in every step"
    for step in range(steps):
        t, s = (torch.tensor(1 - i / steps, dtype=torch.float64) for i in (step, step + 1))
        alpha_t, alpha_s = (1 - schedule.move_chance(x).item() for x in (t, s))
        expected = (alpha_s - alpha_t) / (1 - alpha_t)
        masked = states[step] == VOCAB.mask_id
        clean = (states[step + 1] != VOCAB.mask_id)[masked].double()
        error = 4 * np.sqrt(expected * (1 - expected) / len(clean)) + 1e-12
        assert clean.mean().item() == pytest.approx(expected, abs=error)


@pytest.mark.parametrize("name", ["ancestral", "ancestral-blocks", "confidence", "blocks"])
def test_clean_tokens_never_change_and_special_ones_are_never_drawn(name: str) -> None:
    length, prompt = 24, (2, 0, 1, 1, 2)
    spy = Spy(length)
    settings = Settings(steps=9, block_size=8 if "blocks" in name else None)
    last = sample(name, spy.network(SCHEDULES["cosine"]), settings, prompt, n=1, length=length)
    for before, after in itertools.pairwise([*spy.shown, last]):
        clean = before != VOCAB.mask_id
        assert torch.equal(before[clean], after[clean])
    assert last[0, : len(prompt)].tolist() == list(prompt)
    assert (last < VOCAB.n_tokens).all()


@pytest.mark.parametrize("name", ["ancestral", "ancestral-blocks", "confidence", "blocks"])
def test_a_network_asked_for_some_places_gives_the_text_of_one_asked_for_all(name: str) -> None:
    asked = []

    def denoise_at(tokens_BL: Tensor, row_N: Tensor, place_N: Tensor) -> Tensor:
        assert (tokens_BL[row_N, place_N] == VOCAB.mask_id).all(), "known tokens are not sought"
        asked.append(len(row_N))
        return TABLE.denoise(tokens_BL)[row_N, place_N]

    settings = Settings(steps=3, block_size=2 if "blocks" in name else None)
    some = replace(TABLE.network(), denoise_at=denoise_at)
    texts = [sample(name, network, settings, (1,), n=64) for network in (TABLE.network(), some)]
    assert torch.equal(*texts)
    assert sum(asked) < 64 * L * len(asked)


@pytest.mark.parametrize("name", ["ancestral-blocks", "blocks"])
def test_blocks_are_filled_from_left_to_right(name: str) -> None:
    spy = Spy(24)
    sample(name, spy.network(SCHEDULES["linear"]), Settings(block_size=8), n=1, length=24)
    for shown in spy.shown:
        block = int((shown == VOCAB.mask_id).float().argmax()) // 8
        assert (shown[:, : 8 * block] != VOCAB.mask_id).all()
        assert (shown[:, 8 * (block + 1) :] == VOCAB.mask_id).all()


@pytest.mark.parametrize(
    ("start", "trained", "edges"),
    [
        (5, None, [5, 13, 21, 24]),
        (5, 8, [5, 8, 16, 24]),
        (8, 8, [8, 16, 24]),
        (0, 8, [0, 8, 16, 24]),
    ],
)
def test_blocks_of_a_network_trained_on_them_begin_where_its_own_do(
    start: int, trained: int | None, edges: list[int]
) -> None:
    network = replace(Spy(24).network(SCHEDULES["linear"]), block_size=trained)
    canvas = Canvas(torch.full((1, 24), VOCAB.mask_id), start, torch.arange(1))
    spans = [span for span, _ in _blocks(network, canvas, Settings(block_size=8))]
    assert spans == list(itertools.pairwise(edges))


def test_ancestral_blocks_reach_the_joint_as_steps_grow() -> None:
    for size, steps in ((1, 3), (2, 600)):
        settings = Settings(block_size=size, steps=steps)
        drawn = sample("ancestral-blocks", TABLE.network(), settings, n=4000)
        assert agreement(drawn, law_of(JOINT)) > 1e-3
    whole = sample("ancestral-blocks", TABLE.network(), Settings(block_size=L, steps=2), n=500)
    assert torch.equal(whole, sample("ancestral", TABLE.network(), Settings(steps=2), n=500))


@pytest.mark.parametrize("name", ["ancestral", "ancestral-blocks", "confidence", "blocks"])
def test_more_steps_than_tokens_take_no_more_passes_than_tokens(name: str) -> None:
    spy = Spy(16)
    sample(name, spy.network(SCHEDULES["linear"]), Settings(steps=1000), n=1, length=16)
    assert len(spy.shown) <= 16


def test_every_sampler_is_for_an_objective_that_exists_and_every_objective_has_one() -> None:
    for sampler in SAMPLERS.values():
        assert any(sampler.name in samplers_of(objective) for objective in OBJECTIVES)
    for objective in OBJECTIVES:
        assert choose_sampler(None, objective).name == samplers_of(objective)[0]


@pytest.mark.parametrize(
    ("steps", "sizes"), [(12, [8, 8, 8]), (19, [8, 8, 3]), (5, [32, 32, 1]), (100, [7, 3])]
)
def test_steps_are_shared_out_in_full(steps: int, sizes: list[int]) -> None:
    shares = spread(steps, sizes, "blocks")
    assert sum(shares) == steps
    assert min(shares) >= 1
    assert all(
        abs(share - steps * n / sum(sizes)) <= 1 for share, n in zip(shares, sizes, strict=True)
    )
    if steps == sum(sizes):
        assert shares == sizes
