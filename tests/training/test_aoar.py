"""Any-order AR: an exact likelihood along any order, and a bound for the mixture of orders."""

import itertools
import math

import pytest
import torch
from torch import nn

from tests.training.toy import (
    EVERY_SEQUENCE,
    VOCAB,
    L,
    V,
    batch,
    held_out,
    logits,
    network,
    nll,
    with_inputs,
)
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import WindowNoise
from workbench.training.objectives.block import BlockDiffusion

ORDERS = torch.tensor(list(itertools.permutations(range(L))))  # ranks of places


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network(doubled=True)


def objective(samples: int = 1) -> AnyOrder:
    return AnyOrder(VOCAB, seed=0, noise_samples=samples)


def ranks(seen: object, length: int) -> torch.Tensor:
    """[B, L] the order of a view: how many contents each query sees."""
    visible = seen.view.visible_BTT  # type: ignore[attr-defined]
    return visible[:, :length, length:].sum(2)


@pytest.mark.parametrize("number", [0, 7, 16, 23])
def test_the_likelihood_along_an_order_is_exact(number: int, model: nn.Module) -> None:
    """It sums to one, and equals the chain rule, in which later places are not known yet."""
    rank = ORDERS[number]
    seen = objective().in_order(EVERY_SEQUENCE, rank.expand(V**L, L))
    one_pass = nll(model, seen)
    assert (-one_pass.sum(1)).exp().sum().item() == pytest.approx(1, abs=1e-5)
    for place in range(L):
        known = torch.where(rank < rank[place], EVERY_SEQUENCE, 0)
        inputs = torch.cat([seen.inputs_BL[:, :L], known], dim=1)
        step = -logits(model, with_inputs(seen, inputs))[:, place, :V].double().log_softmax(-1)
        expected = step.gather(1, EVERY_SEQUENCE[:, place, None])[:, 0]
        torch.testing.assert_close(one_pass[:, place], expected, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_mean_over_orders_bounds_the_mixture_of_orders(model: nn.Module) -> None:
    along = torch.stack(
        [nll(model, objective().in_order(EVERY_SEQUENCE, r.expand(V**L, L))).sum(1) for r in ORDERS]
    )
    mixture = math.log(len(ORDERS)) - (-along).logsumexp(0)
    assert (-mixture).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert (along.mean(0) >= mixture).all()
    n = 2048
    tokens = EVERY_SEQUENCE[40].expand(n, L)
    values = nll(model, held_out(objective(), tokens)).sum(1)
    error = values.std().item() / math.sqrt(n)
    assert values.mean().item() == pytest.approx(along[:, 40].mean().item(), abs=4 * error)


def test_from_left_to_right_it_is_block_diffusion_in_blocks_of_one(model: nn.Module) -> None:
    diffusion = BlockDiffusion(
        VOCAB, block_size=1, schedule=SCHEDULES["linear"], weighting="elbo_t", seed=0
    )
    theirs = held_out(diffusion, EVERY_SEQUENCE)
    ours = objective().in_order(EVERY_SEQUENCE, torch.arange(L).expand(V**L, L))
    assert torch.equal(nll(model, ours), nll(model, theirs))


def test_what_comes_later_changes_no_bit() -> None:
    length = 12
    model = network(doubled=True, length=length)
    tokens = torch.randint(0, V, (5, length), generator=torch.Generator().manual_seed(1))
    seen = objective().corrupt(batch(tokens))
    rank_BL = ranks(seen, length)
    before = logits(model, seen)
    for bound in range(length):
        late_BL = rank_BL >= bound
        changed = torch.where(late_BL, (tokens + 1) % V, tokens)
        after = logits(
            model, with_inputs(seen, torch.cat([seen.inputs_BL[:, :length], changed], 1))
        )
        early_BL = rank_BL <= bound  # the place at the bound itself sees only lower ranks
        assert torch.equal(before[early_BL], after[early_BL])
        seeing_BL = rank_BL > bound
        assert (before[seeing_BL] != after[seeing_BL]).any(-1).all()


def test_orders_are_permutations_keyed_by_epoch_and_sample() -> None:
    tokens = torch.zeros(64, 8, dtype=torch.int64)
    seen = objective().corrupt(batch(tokens))
    rank_BL = ranks(seen, 8)
    assert (rank_BL.sort(1).values == torch.arange(8)).all()
    assert len({tuple(r) for r in rank_BL.tolist()}) > 60
    part = objective().corrupt(batch(tokens[:16], first=16, size=64))
    assert torch.equal(ranks(part, 8), rank_BL[16:32])
    twice = objective(samples=2).training_inputs(batch(tokens))
    assert torch.equal(ranks(twice, 8)[:64], rank_BL), "the first presentation keeps its order"
    assert not torch.equal(ranks(twice, 8)[64:], rank_BL)
    assert (twice.weights_BL == 0.5).all()


def test_every_order_is_as_likely() -> None:
    n = 24_000
    rank_BL = ranks(objective().corrupt(batch(torch.zeros(n, L, dtype=torch.int64))), L)
    _, counts = rank_BL.unique(dim=0, return_counts=True)
    assert len(counts) == 24
    chi_square = ((counts - n / 24) ** 2 / (n / 24)).sum().item()
    assert chi_square < 49.7, "23 degrees of freedom, p = 0.001"


def test_validation_gives_every_place_every_rank_as_often() -> None:
    n, length = 40, 8
    seen = held_out(objective(), torch.zeros(n, length, dtype=torch.int64))
    rank_BL = ranks(seen, length)
    for place in range(length):
        assert rank_BL[:, place].bincount(minlength=length).tolist() == [n // length] * length


@pytest.mark.parametrize(("draws", "gaps"), [(2, [4]), (8, [1] * 7), (10, [4]), (12, [2, 2, 2])])
def test_the_draws_of_a_windows_last_turn_are_as_far_from_each_other_as_they_can_be(
    draws: int, gaps: list[int]
) -> None:
    length = 8
    tokens = torch.zeros(1, length, dtype=torch.int64)
    last_turn = range((draws - 1) // length * length, draws)
    seen = [
        objective().validation_inputs(tokens, WindowNoise(torch.tensor([3]), 5, draw, draws))
        for draw in last_turn
    ]
    first_places = [int(ranks(one, length)[0, 0]) for one in seen]
    turned = [(b - a) % length for a, b in itertools.pairwise(first_places)]
    assert turned == gaps


@pytest.mark.parametrize(("draws", "gaps"), [(2, [2]), (6, [2]), (7, [1, 1])])
def test_so_are_those_of_an_answers_last_turn(draws: int, gaps: list[int]) -> None:
    length, start = 16, 12
    tokens = torch.zeros(1, length, dtype=torch.int64)
    seen = [
        objective().answer_inputs(tokens, start, torch.tensor([5]), draw, draws)
        for draw in range((draws - 1) // 4 * 4, draws)
    ]
    first_places = [int(ranks(one, length)[0, start]) for one in seen]
    assert [(b - a) % 4 for a, b in itertools.pairwise(first_places)] == gaps


def test_questions_and_turns_have_orders_of_their_own_for_context_and_answer() -> None:
    """Orders that differ by more than a rotation, of a hundred questions and three turns each."""
    tokens, length, start = torch.zeros(100, 16, dtype=torch.int64), 16, 8
    orders = set()
    for draw in (0, 8, 16):  # each the first of its turn
        seen = objective().answer_inputs(tokens, start, torch.arange(100), draw, 24)
        rank_BL = ranks(seen, length)
        context, answer = rank_BL[:, :start], rank_BL[:, start:]
        for one in (context, (answer - answer[:, :1]) % 8):
            orders |= {tuple(order) for order in one.tolist()}
    assert len(orders) > 0.95 * 600


@pytest.mark.parametrize("draws", [1, 4, 7, 16])
def test_an_answer_comes_after_its_context_in_orders_that_turn(draws: int) -> None:
    length, start = 16, 12
    tokens = torch.zeros(6, length, dtype=torch.int64)
    question = torch.tensor([0, 0, 0, 1, 1, 1])
    seen_ranks = []
    for draw in range(draws):
        seen = objective().answer_inputs(tokens, start, question, draw, draws)
        rank_BL = ranks(seen, length)
        assert (rank_BL[:, :start].sort(1).values == torch.arange(start)).all()
        assert (rank_BL[:3] == rank_BL[0]).all(), "options of a question share their order"
        assert torch.equal(seen.weights_BL[0], (torch.arange(length) >= start).float())
        seen_ranks.append(rank_BL[0, start:])
    orders = torch.stack(seen_ranks)
    for first in range(0, draws, 4):
        turn = orders[first : first + 4].tolist()
        assert len({tuple(order) for order in turn}) == len(turn)
    if draws % 4 == 0:
        for place in range(4):
            assert (orders[:, place] - start).bincount(minlength=4).tolist() == [draws // 4] * 4
