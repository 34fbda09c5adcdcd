"""Greedy decoding of models of two streams, against samplers and against the exact chain rule."""

import pytest
import torch
from torch import Tensor, nn

from tests.training.toy import EVERY_SEQUENCE, VOCAB, L, V, logits, network, nll
from workbench.evaluation.argmax import Likeliest
from workbench.evaluation.decoding import (
    DECODERS,
    block_by_block,
    by_confidence,
    in_surest_order,
)
from workbench.generation.choice import EQUALLY_SURE, Randomness
from workbench.generation.incremental import GroupDecoder
from workbench.generation.network import Network
from workbench.generation.samplers import SAMPLERS
from workbench.generation.settings import Canvas, Settings
from workbench.recipe import OBJECTIVES
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import Corrupted, View
from workbench.training.objectives.block import BlockDiffusion

PROMPT = 1


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network(doubled=True).requires_grad_(False)


class Asked:
    """What a trainer's model answers, and a list of all its answers."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.answers: list[Likeliest] = []

    def __call__(self, inputs_BL: Tensor, view: View | None = None) -> Likeliest:
        seen = Corrupted(inputs_BL, inputs_BL[:, :L], None, view)
        best = logits(self.model, seen)[..., :V].double().log_softmax(dim=-1).max(dim=-1)
        self.answers.append(Likeliest(best.indices, best.values))
        return self.answers[-1]


def test_every_decoder_is_an_objective_s() -> None:
    assert DECODERS.keys() | {None} == {facts.decoder for facts in OBJECTIVES.values()}


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("start", [1, 2, 3])
def test_blocks_come_back_as_their_sampler_fills_them_at_no_temperature(
    size: int, start: int, model: nn.Module
) -> None:
    objective = BlockDiffusion(
        VOCAB, block_size=size, schedule=SCHEDULES["linear"], weighting="elbo_t", seed=0
    )
    decoded = block_by_block(Asked(model), EVERY_SEQUENCE, start, objective)
    sampled_from = Network(
        VOCAB,
        L,
        denoise=model,
        decoder=lambda *_: pytest.fail("a model of two streams has no decoder"),
        block_size=size,
        reader=lambda b, n: GroupDecoder(model, batch=b, length=n, group=size),
    )
    masked = EVERY_SEQUENCE.clone()
    masked[:, start:] = VOCAB.mask_id
    canvas = Canvas(masked, start, torch.arange(len(masked)))
    settings = Settings(temperature=0)
    filled = SAMPLERS["blocks"].fill(sampled_from, canvas, settings, Randomness(0))
    assert torch.equal(decoded, filled.tokens_BL)


def test_any_order_takes_the_surest_place_of_what_is_left(model: nn.Module) -> None:
    objective, asked = AnyOrder(VOCAB, seed=0), Asked(model)
    decoded = in_surest_order(asked, EVERY_SEQUENCE, PROMPT, objective)
    assert torch.equal(decoded[:, :PROMPT], EVERY_SEQUENCE[:, :PROMPT])
    assert (decoded < V).all()
    assert len(asked.answers) == L - PROMPT
    rank = torch.arange(L).repeat(len(decoded), 1)
    sought = torch.ones_like(decoded, dtype=torch.bool)
    sought[:, :PROMPT] = False
    sure = torch.zeros(decoded.shape, dtype=torch.float64)
    for number, answer in enumerate(asked.answers):
        left = answer.log_p_BL.masked_fill(~sought, float("-inf"))
        equally_sure = left >= left.amax(dim=1, keepdim=True) - EQUALLY_SURE
        place = equally_sure.to(torch.uint8).argmax(dim=1, keepdim=True)  # the leftmost
        assert torch.equal(decoded.gather(1, place), answer.token_BL.gather(1, place))
        sure.scatter_(1, place, left.gather(1, place))
        rank.scatter_(1, place, PROMPT + number)
        sought.scatter_(1, place, False)
    assert not sought.any()
    # What it was sure of is what training calls log p along the order that came about.
    exact = -nll(model, objective.in_order(decoded, rank))
    assert torch.allclose(sure[:, PROMPT:], exact[:, PROMPT:], atol=1e-5)
    assert len({tuple(row) for row in rank.tolist()}) > 1, "orders depend on what is known"


def test_the_leftmost_of_equally_sure_places_comes_first_however_it_is_rounded() -> None:
    order: list[int] = []
    rng = torch.Generator().manual_seed(0)

    def ask(inputs_BL: Tensor, view: View | None = None) -> Likeliest:
        order.append(int((inputs_BL == VOCAB.mask_id).to(torch.uint8).argmax()))
        rounding = 0.1 * EQUALLY_SURE * torch.rand(inputs_BL.shape, generator=rng)
        return Likeliest(torch.zeros_like(inputs_BL), rounding - 1)

    objective = AnyOrder(VOCAB, seed=0)  # all that is asked of it is the vocabulary
    by_confidence(ask, torch.zeros(1, 12, dtype=torch.int64), PROMPT, objective)
    assert order == list(range(PROMPT, 12))
