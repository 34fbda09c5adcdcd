"""Greedy decoding of models of two streams, against samplers and against the exact chain rule."""

import pytest
import torch
from torch import Tensor, nn

from tests.training.toy import EVERY_SEQUENCE, VOCAB, L, V, logits, network, nll
from workbench.evaluation.argmax import Likeliest
from workbench.evaluation.decoding import DECODERS, block_by_block, in_surest_order
from workbench.generation.choice import Randomness
from workbench.generation.incremental import GroupDecoder
from workbench.generation.network import Network
from workbench.generation.samplers import SAMPLERS
from workbench.generation.settings import Canvas, Settings
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import Corrupted, View
from workbench.training.objectives.block import BlockDiffusion
from workbench.training.objectives.registry import OBJECTIVES

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


def test_every_objective_has_a_decoder() -> None:
    assert DECODERS.keys() == OBJECTIVES.keys()


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
        place = left.argmax(dim=1, keepdim=True)
        assert torch.equal(decoded.gather(1, place), answer.token_BL.gather(1, place))
        sure.scatter_(1, place, left.gather(1, place))
        rank.scatter_(1, place, PROMPT + number)
        sought.scatter_(1, place, False)
    assert not sought.any()
    # What it was sure of is what training calls log p along the order that came about.
    exact = -nll(model, objective.in_order(decoded, rank))
    assert torch.allclose(sure[:, PROMPT:], exact[:, PROMPT:], atol=1e-5)
    assert len({tuple(row) for row in rank.tolist()}) > 1, "orders depend on what is known"
