"""Block diffusion lies between AR and masked diffusion, and is each of them at its ends."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.training.toy import (
    EVERY_SEQUENCE,
    VOCAB,
    L,
    V,
    batch,
    held_out,
    logits,
    mdlm,
    network,
    nll,
    with_inputs,
)
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.base import Corrupted
from workbench.training.objectives.block import BlockDiffusion, block_view
from workbench.training.objectives.mdlm import importance_counts

WEIGHTINGS = ("elbo_t", "elbo_realized", "maskgit")


def block(size: int, weighting: str = "elbo_t", samples: int = 1) -> BlockDiffusion:
    return BlockDiffusion(
        VOCAB,
        block_size=size,
        schedule=SCHEDULES["linear"],
        weighting=weighting,
        seed=0,
        noise_samples=samples,
    )


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network(doubled=True)


def hidden_nll(model: nn.Module, tokens: Tensor, *places: int) -> Tensor:
    """[B, L] NLL under blocks of two with just `places` hidden, each of which counts once."""
    masked = torch.zeros(tokens.shape, dtype=torch.bool)
    masked[:, places] = True
    return nll(model, block(2)._corrupted(tokens, masked.view(-1, 2), torch.ones(1, 1)))


def test_blocks_of_one_give_the_exact_left_to_right_likelihood(model: nn.Module) -> None:
    """One pass equals the chain rule, in which nothing from place i on is known yet."""
    seen = held_out(block(1), EVERY_SEQUENCE)
    one_pass = nll(model, seen)
    for place in range(L):
        prefix = EVERY_SEQUENCE.clone()
        prefix[:, place:] = 0
        masks = torch.full_like(prefix, VOCAB.mask_id)
        step = logits(model, with_inputs(seen, torch.cat([masks, prefix], dim=1)))
        chain = -step[:, place, :V].double().log_softmax(-1)
        expected = chain.gather(1, EVERY_SEQUENCE[:, place, None])[:, 0]
        torch.testing.assert_close(one_pass[:, place], expected, atol=1e-5, rtol=0)
    assert (-one_pass.sum(1)).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert block(1).validation_estimator == "nll"
    assert block(1).answer_draws(8) == 1


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("samples", [1, 3])
def test_one_block_is_masked_diffusion_with_the_same_noise(
    weighting: str, samples: int, model: nn.Module
) -> None:
    tokens = EVERY_SEQUENCE[::5]
    n = len(tokens)
    plain = network(doubled=False)
    ours, theirs = block(L, weighting, samples), mdlm(samples, weighting)
    pairs = [(o.training_inputs(batch(tokens, step=2)) for o in (ours, theirs))]
    pairs.append(held_out(o, tokens, 1, 3) for o in (ours, theirs))
    pairs.append(o.answer_inputs(tokens, 1, torch.arange(n), 2, 4) for o in (ours, theirs))
    for mine, other in pairs:
        assert torch.equal(mine.inputs_BL[:, :L], other.inputs_BL)
        assert torch.equal(mine.weights_BL, other.weights_BL)
        torch.testing.assert_close(nll(model, mine), nll(plain, other), atol=2e-5, rtol=1e-5)


@pytest.mark.slow
def test_the_bound_holds_and_validation_estimates_it(model: nn.Module) -> None:
    """Blocks of two: every mask and every order enumerated. The exact likelihood is the mixture
    over the orders in which a block's tokens may be revealed."""
    bound, exact = torch.zeros(V**L).double(), torch.zeros(V**L).double()
    for first, second in ((0, 1), (2, 3)):
        both = hidden_nll(model, EVERY_SEQUENCE, first, second)
        orders = torch.stack(
            [
                both[:, first] + hidden_nll(model, EVERY_SEQUENCE, second)[:, second],
                both[:, second] + hidden_nll(model, EVERY_SEQUENCE, first)[:, first],
            ]
        )
        bound += orders.mean(0)
        exact += math.log(2) - (-orders).logsumexp(0)
    assert (-exact).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert (bound >= exact - 1e-9).all()

    n = 4096
    for number in (5, 40):
        tokens = EVERY_SEQUENCE[number].expand(n, L)
        values = nll(model, held_out(block(2), tokens)).sum(1)
        error = values.std().item() / math.sqrt(n)
        assert values.mean().item() == pytest.approx(bound[number].item(), abs=4 * error)


@pytest.mark.slow
def test_an_answer_inside_a_block_is_bounded_in_each_block(model: nn.Module) -> None:
    """The answer starts in the middle of a block: its clean part of that block stays visible."""
    n, draws = 2048, 4
    tokens = EVERY_SEQUENCE[17].expand(n, L)
    total = torch.zeros(n).double()
    for draw in range(draws):
        seen = block(2).answer_inputs(tokens, 1, torch.arange(n), draw, draws)
        noisy = seen.inputs_BL[:, :L] == VOCAB.mask_id
        assert not noisy[:, 0].any()
        assert noisy[:, 1].all(), "a block with one answer token has nothing to choose"
        assert (seen.weights_BL[~noisy] == 0).all()
        total += nll(model, seen).sum(1) / draws

    def one(*hidden: int) -> Tensor:
        return hidden_nll(model, EVERY_SEQUENCE[17:18], *hidden)[0]

    pair = one(2, 3)
    expected = one(1)[1] + (pair[2] + one(3)[3] + pair[3] + one(2)[2]) / 2
    error = total.std().item() / math.sqrt(n)
    assert total.mean().item() == pytest.approx(expected.item(), abs=4 * error)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 6), length=st.integers(1, 20), context=st.integers(0, 19),
    n_draws=st.integers(1, 6), data=st.data(),
)  # fmt: skip
def test_each_block_counts_as_many_tokens_as_it_has_of_the_answer(
    size: int, length: int, context: int, n_draws: int, data: st.DataObject
) -> None:
    """k of its m answer tokens weigh m/k each, whichever draw it is; the last block may be cut."""
    start, draw = context % length, data.draw(st.integers(0, n_draws - 1))
    tokens = torch.zeros(5, length, dtype=torch.int64)
    seen = block(size).answer_inputs(tokens, start, torch.arange(5), draw, n_draws)
    weights, masked = seen.weights_BL, seen.inputs_BL[:, :length] == VOCAB.mask_id
    assert weights is not None
    assert not masked[:, :start].any()
    assert torch.equal(weights > 0, masked)
    for first in range(0, length, size):
        last = min(first + size, length)
        n_answer = max(0, last - max(first, start))
        found = weights[:, first:last].sum(1)
        torch.testing.assert_close(found, torch.full((5,), float(n_answer)))


def test_blocks_of_more_than_one_token_have_a_bound_and_draws() -> None:
    assert (block(2).validation_estimator, block(2).answer_draws(8)) == ("nelbo", 8)
    assert (block(2).masked_together(L), block(L).masked_together(L)) == (2, L)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_what_must_not_be_seen_changes_no_bit(size: int) -> None:
    length = 16
    model = network(doubled=True, length=length)
    tokens = torch.randint(0, V, (4, length), generator=torch.Generator().manual_seed(1))
    seen = held_out(block(size), tokens)
    before = logits(model, seen)
    for b in range(length // size):
        own = slice(b * size, (b + 1) * size)
        changed = seen.inputs_BL.clone()
        noisy, clean = changed[:, :length], changed[:, length:]
        clean[:, b * size :] = (clean[:, b * size :] + 1) % V
        others = torch.ones(length, dtype=torch.bool)
        others[own] = False
        noisy[:, others] = (noisy[:, others] + 1) % V
        after = logits(model, with_inputs(seen, changed))
        assert torch.equal(before[:, own], after[:, own])
        changed = seen.inputs_BL.clone()
        changed[:, own] = (changed[:, own] + 1) % V
        assert not torch.equal(before[:, own], logits(model, with_inputs(seen, changed))[:, own])
        if b:
            changed = seen.inputs_BL.clone()
            changed[:, length + b * size - 1] = (changed[:, length + b * size - 1] + 1) % V
            after = logits(model, with_inputs(seen, changed))
            assert not torch.equal(before[:, own], after[:, own])


@settings(max_examples=30, deadline=None)
@given(
    n_blocks=st.integers(1, 6),
    size=st.integers(1, 6),
    windows=st.integers(1, 40),
    draws=st.integers(1, 9),
)
def test_each_place_of_a_block_has_every_stratum_once(
    n_blocks: int, size: int, windows: int, draws: int
) -> None:
    """So the number of masked tokens is spread evenly for first and for last blocks alike, over
    all draws of all windows."""
    tokens = torch.zeros(windows, n_blocks * size, dtype=torch.int64)
    noisy = [
        held_out(block(size), tokens, draw, draws).inputs_BL[:, : n_blocks * size] == VOCAB.mask_id
        for draw in range(draws)
    ]
    counts = torch.cat([one.view(windows, n_blocks, size).sum(2) for one in noisy])
    assert counts.min() >= 1
    n = draws * windows
    edges = torch.arange(n + 1, dtype=torch.float64) / n
    # Float32 uniforms may reach the edge of their stratum.
    low, _ = importance_counts(edges[:-1] - 1e-7, size)
    high, _ = importance_counts(edges[1:] + 1e-7, size)
    for b in range(n_blocks):
        # Stratum s of n gives a count of its own range: sorted, they all fit.
        ordered = counts[:, b].sort().values
        assert (ordered >= low).all()
        assert (ordered <= high).all()


SIZE = 997
"""So many tokens a block that the number of masked ones says which stratum it comes from."""
_weights = torch.arange(SIZE + 1, dtype=torch.float64).clamp(min=1) ** -0.5
_weights[0] = 0
HELD_OUT_SHARE = (_weights.cumsum(0) - _weights / 2) / _weights.sum()
"""By the number of masked tokens, the fraction that validation draws it from."""


def masked_tokens(seen: Corrupted) -> Tensor:
    """[B, K]: how many tokens of each block are masked."""
    assert seen.weights_BL is not None
    return (seen.weights_BL.view(len(seen.weights_BL), -1, SIZE) > 0).sum(2)


@settings(max_examples=30, deadline=None)
@given(n_blocks=st.integers(1, 6), windows=st.integers(1, 40), draws=st.integers(1, 9))
def test_draws_of_one_block_take_strata_of_their_own(
    n_blocks: int, windows: int, draws: int
) -> None:
    """Whichever stratum the other blocks of its window have in the same draw."""
    tokens = torch.zeros(windows, n_blocks * SIZE, dtype=torch.int64)
    strata = [
        HELD_OUT_SHARE[masked_tokens(held_out(block(SIZE), tokens, draw, draws))] * draws
        for draw in range(draws)
    ]
    found = torch.stack(strata).sort(dim=0).values
    expected = torch.arange(draws)[:, None, None]
    assert (found > expected - 0.02 * draws).all()
    assert (found < expected + 1 + 0.02 * draws).all()


def test_blocks_of_one_sequence_take_strata_evenly_apart() -> None:
    """In training, in validation and in answers: so that what is masked of a sequence as a whole
    is spread evenly too. Four blocks over eight strata: two apart, and each anywhere in its own."""
    tokens, order = torch.zeros(8, 4 * SIZE, dtype=torch.int64), torch.arange(8)
    ours = block(SIZE)
    times_N, _ = ours.noise(batch(tokens), order, torch.zeros_like(order), order)
    strata = [times_N.view(8, 4).double() * 8]
    for draw in range(8):
        strata.append(HELD_OUT_SHARE[masked_tokens(held_out(ours, tokens, draw, 8))] * 8)
        answers = masked_tokens(ours.answer_inputs(tokens, 0, order, draw, 8))
        strata.append((answers.double() - 0.5) / SIZE * 8)
        assert (answers.unique(dim=0).shape[0]) == 8, "each question has an offset of its own"
    for found in strata:
        apart = (found - found[:, :1]) % 8
        assert ((apart[:, 1:] - torch.tensor([2, 4, 6])).abs() < 1.1).all()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_noise_does_not_depend_on_the_number_of_ranks(weighting: str) -> None:
    tokens = torch.randint(0, V, (8, 16))
    ours = block(4, weighting, samples=2)
    whole = ours.training_inputs(batch(tokens, step=3))
    parts = [
        ours.training_inputs(batch(tokens[i : i + 4], step=3, first=i, size=8)) for i in (0, 4)
    ]
    for name in ("inputs_BL", "weights_BL"):
        copies = [getattr(part, name).view(2, 4, -1) for part in parts]
        assert torch.equal(getattr(whole, name), torch.cat(copies, dim=1).flatten(0, 1))


def test_elbo_realized_in_blocks_of_one_is_the_likelihood_itself(model: nn.Module) -> None:
    """Nothing is left to chance: every token is masked, and counts once."""
    seen = block(1, "elbo_realized").corrupt(batch(EVERY_SEQUENCE))
    assert (seen.inputs_BL[:, :L] == VOCAB.mask_id).all()
    assert (seen.weights_BL == 1).all()


def test_a_view_is_built_once_a_shape() -> None:
    cpu = torch.device("cpu")
    assert block_view(8, 2, cpu) is block_view(8, 2, cpu)
