"""Masked diffusion: the bound is the bound, and noise depends on nothing but its key."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.training.toy import batch, held_out
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.ar import Autoregressive
from workbench.training.objectives.base import Vocab, WindowNoise
from workbench.training.objectives.mdlm import MaskedDiffusion, counts, importance_counts, smallest

V, L = 3, 4
VOCAB = Vocab(n_tokens=V, size=8, mask_id=V, bos_id=V + 1)
MASKS = torch.tensor(list(itertools.product([False, True], repeat=L)))


def objective(
    schedule: str = "linear", weighting: str = "elbo_t", seed: int = 0
) -> MaskedDiffusion:
    return MaskedDiffusion(VOCAB, schedule=SCHEDULES[schedule], weighting=weighting, seed=seed)


def random_denoiser(seed: int) -> Tensor:
    """[2^L, L] of -log p(x_i | visible) for one sequence: any number for any mask."""
    return torch.rand(len(MASKS), L, generator=torch.Generator().manual_seed(seed)).double() * 3


def order_agnostic_bound(nll: Tensor) -> float:
    """E over orders of the chain rule, by enumerating all orders: exact, without a schedule."""
    total = 0.0
    for order in itertools.permutations(range(L)):
        hidden = set(range(L))
        for place in order:
            mask = [i in hidden for i in range(L)]
            total += nll[int("".join(str(int(m)) for m in mask), 2), place].item()
            hidden.remove(place)
    return total / math.factorial(L)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_expectation_of_elbo_t_is_the_exact_bound(schedule: str) -> None:
    """Every mask enumerated, t integrated by Gauss-Legendre over (0, 1], nothing clipped."""
    nodes, node_weights = np.polynomial.legendre.leggauss(60)
    t = torch.from_numpy((nodes + 1) / 2)
    dt = torch.from_numpy(node_weights / 2)
    nll = random_denoiser(1)
    mdlm = objective(schedule)
    chance = mdlm.schedule.move_chance(t)[:, None]
    n_masked = MASKS.sum(1)
    p_mask = chance**n_masked * (1 - chance) ** (L - n_masked)  # [T, 2^L]
    seen = batch(torch.zeros(1, L, dtype=torch.int64))
    weight = torch.stack([mdlm._weigh(mdlm, time[None], MASKS[:1], seen)[0, 0] for time in t])
    masked_nll = (nll * MASKS).sum(1)
    expectation = (dt * weight * (p_mask * masked_nll).sum(1)).sum().item()
    assert expectation == pytest.approx(order_agnostic_bound(nll), abs=1e-6)


def test_the_bound_of_an_exact_model_is_the_entropy() -> None:
    """A denoiser that knows the joint distribution makes the bound tight on average."""
    p = torch.rand([V] * L, generator=torch.Generator().manual_seed(2)).double()
    p = p / p.sum()
    entropy = -(p * p.log()).sum().item()
    total = 0.0
    for x in itertools.product(range(V), repeat=L):
        nll = torch.zeros(len(MASKS), L, dtype=torch.float64)
        for row, mask in enumerate(MASKS.tolist()):
            visible = tuple(slice(None) if m else x[i] for i, m in enumerate(mask))
            for i in (i for i in range(L) if mask[i]):
                joint = p[tuple(x[j] if j == i else v for j, v in enumerate(visible))]
                nll[row, i] = -math.log(joint.sum() / p[visible].sum())
        total += p[x].item() * order_agnostic_bound(nll)
    assert total == pytest.approx(entropy, abs=1e-9)


def test_few_masked_tokens_are_drawn_more_often_and_count_as_much_less() -> None:
    """q(k) in proportion to 1/sqrt(k), and weight * q(k) = 1/k: the bound, whatever q is."""
    chance = np.arange(1, 33) ** -0.5 / (np.arange(1, 33) ** -0.5).sum()
    edges = np.concatenate([[0.0], chance.cumsum()])
    for k in range(1, 33):
        inside = torch.tensor([edges[k - 1] + 1e-9, edges[k] - 1e-9])
        count, weight = importance_counts(inside.double(), 32)
        assert count.tolist() == [k, k]
        assert weight.numpy() * chance[k - 1] * k == pytest.approx(1, abs=1e-6)
    count, _ = importance_counts(torch.tensor([0.0, 1.0], dtype=torch.float64), 32)
    assert count.tolist() == [1, 32]


def test_each_set_of_k_places_is_as_likely() -> None:
    """Every order of the places' uniforms enumerated."""
    orders = torch.tensor(list(itertools.permutations([0.2, 0.4, 0.6, 0.8])))
    for k in range(1, L + 1):
        masked = smallest(torch.full((len(orders),), k), orders)
        _, often = masked.unique(dim=0, return_counts=True)
        assert often.tolist() == [len(orders) // math.comb(L, k)] * math.comb(L, k)


def test_the_expectation_of_a_validation_draw_is_the_exact_bound() -> None:
    """Every mask enumerated, with the shares and the weights that a uniform fraction gives; a
    control of the tokens alone, taken from what is masked and added as a whole, changes nothing."""
    nll = random_denoiser(3)
    control = torch.rand(L, generator=torch.Generator().manual_seed(5)).double()
    fractions = (torch.arange(1 << 20, dtype=torch.float64) + 0.5) / (1 << 20)
    count, weight = importance_counts(fractions, L)
    plain = controlled = 0.0
    for mask, losses in zip(MASKS, nll, strict=True):
        if k := int(mask.sum()):
            share = (weight.double() * (count == k)).mean().item() / math.comb(L, k)
            plain += share * losses[mask].sum().item()
            controlled += share * (losses - control)[mask].sum().item()
    assert plain == pytest.approx(order_agnostic_bound(nll), abs=1e-5)
    assert controlled + control.sum().item() == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("draws", [1, 2, 8])
def test_the_validation_estimate_has_the_bound_as_its_expectation(draws: int) -> None:
    """The very masks and weights that validation uses, over many windows."""
    nll, n = random_denoiser(3), (1 << 16) // draws
    tokens = torch.zeros(n, L, dtype=torch.int64)
    values = torch.zeros(n, dtype=torch.float64)
    for draw in range(draws):
        corrupted = held_out(objective(), tokens, draw, draws)
        masked = corrupted.inputs_BL == VOCAB.mask_id
        row = (masked * (2 ** torch.arange(L - 1, -1, -1))).sum(1)
        values += (nll[row] * corrupted.weights_BL).sum(1) / draws
    error = values.std().item() / math.sqrt(n)
    assert values.mean().item() == pytest.approx(order_agnostic_bound(nll), abs=4 * error)


@settings(max_examples=30, deadline=None)
@given(windows=st.integers(1, 60), draws=st.integers(1, 9), key=st.integers(-(2**63), 2**63 - 1))
def test_draws_take_strata_of_their_window_and_windows_strata_of_a_draw(
    windows: int, draws: int, key: int
) -> None:
    """Of n windows and D draws, each of the n D strata of (0, 1) has one fraction."""
    place = torch.arange(windows)
    fractions = [WindowNoise(place, windows, d, draws, key).fractions() for d in range(draws)]
    found = torch.stack(fractions).double()
    assert ((found > 0) & (found < 1)).all()
    strata = (found * draws * windows - 1e-9).floor().long()
    assert strata.flatten().sort().values.tolist() == list(range(draws * windows))
    assert ((found * draws).floor().long() == torch.arange(draws)[:, None]).all()


def test_a_fraction_is_uniform_over_keys() -> None:
    """A stratum's own uniform moves over all of it: 0.5 on average, and 1/12 its variance."""
    place, n = torch.arange(8), 4000
    inner = torch.stack([WindowNoise(place, 8, 1, 2, k).fractions() for k in range(n)])
    within = (inner * 2 - 1) * 8 - place
    assert within.mean().item() == pytest.approx(0.5, abs=4 * (1 / 12 / (8 * n)) ** 0.5)
    assert within.var().item() == pytest.approx(1 / 12, rel=0.03)


@pytest.mark.parametrize("draws", [1, 8])
def test_the_answer_estimate_has_the_conditional_bound_as_its_expectation(draws: int) -> None:
    """One draw, too: how many tokens it masks says nothing of which."""
    nll = random_denoiser(4)
    n, start = 16_384 // draws, 1
    tokens = torch.zeros(n, L, dtype=torch.int64)
    total = torch.zeros(n, dtype=torch.float64)
    for draw in range(draws):
        corrupted = objective().answer_inputs(tokens, start, torch.arange(n), draw, draws)
        masked = corrupted.inputs_BL == VOCAB.mask_id
        assert not masked[:, :start].any(), "the context is always visible"
        row = (masked * (2 ** torch.arange(L - 1, -1, -1))).sum(1)
        total += (nll[row] * corrupted.weights_BL).sum(1) / draws
    expected = 0.0
    places = range(start, L)
    for order in itertools.permutations(places):
        hidden = set(places)
        for place in order:
            row_ = sum(2 ** (L - 1 - i) for i in hidden)
            expected += nll[row_, place].item() / math.factorial(L - start)
            hidden.remove(place)
    error = total.std().item() / math.sqrt(n)
    assert total.mean().item() == pytest.approx(expected, abs=4 * error)


def test_options_of_a_question_share_their_masks() -> None:
    tokens = torch.randint(0, V, (4, 16))
    corrupted = objective().answer_inputs(tokens, 8, torch.full((4,), 5), 1, 4)
    masked = corrupted.inputs_BL == VOCAB.mask_id
    assert (masked == masked[:1]).all()
    assert masked.any()


def test_masks_do_not_depend_on_the_number_of_ranks() -> None:
    tokens = torch.randint(0, V, (8, 16))
    for weighting in ("elbo_t", "elbo_realized", "maskgit"):
        mdlm = objective(weighting=weighting)
        whole = mdlm.corrupt(batch(tokens, step=3))
        parts = [
            mdlm.corrupt(batch(tokens[i : i + 2], step=3, first=i, size=8)) for i in (0, 2, 4, 6)
        ]
        assert torch.equal(whole.inputs_BL, torch.cat([p.inputs_BL for p in parts]))
        weights = [p.weights_BL for p in parts]
        assert torch.equal(whole.weights_BL, torch.cat(weights))


def test_masks_depend_on_epoch_sample_and_seed_and_times_on_the_step() -> None:
    t, key = torch.tensor([0.5]), torch.tensor([1])
    reference = objective().masks(t, key, key, 256)
    assert torch.equal(reference, objective().masks(t, key, key, 256))
    for other in (
        objective().masks(t, key + 1, key, 256),
        objective().masks(t, key, key + 1, 256),
        objective(seed=1).masks(t, key, key, 256),
    ):
        assert not torch.equal(reference, other)
    position = torch.arange(4)
    assert not torch.equal(objective().times(1, position, 4), objective().times(2, position, 4))


def test_tokens_are_masked_as_often_as_the_schedule_says() -> None:
    t = torch.tensor([0.1, 0.5, 0.9]).repeat_interleave(500)
    counter = torch.arange(1500)
    for schedule in SCHEDULES:
        mdlm = objective(schedule)
        shares = mdlm.masks(t, counter, counter, 64).float().mean(1).view(3, -1).mean(1)
        expected = mdlm.schedule.move_chance(torch.tensor([0.1, 0.5, 0.9]))
        torch.testing.assert_close(shares, expected, atol=0.012, rtol=0)


def test_elbo_realized_is_the_mean_over_masked_tokens_and_never_of_none() -> None:
    tokens = torch.zeros(512, 8, dtype=torch.int64)
    corrupted = objective(weighting="elbo_realized").corrupt(batch(tokens))
    masked = corrupted.inputs_BL == VOCAB.mask_id
    assert masked.any(dim=1).all()
    torch.testing.assert_close(corrupted.weights_BL.sum(1), torch.full((512,), 8.0))


def test_a_token_is_masked_where_its_uniform_lies_below_the_chance_and_not_at_it() -> None:
    """So that as many of the 2^24 uniforms mask a token as the chance says."""
    uniforms = torch.tensor([[0.125, 0.25, 0.5, 0.0625]])
    assert objective().masked(uniforms, torch.tensor([0.25])).tolist() == [
        [True, False, False, True]
    ]


def test_elbo_realized_masks_the_likeliest_token_where_the_time_masks_none() -> None:
    uniforms = torch.tensor([[0.9, 0.5, 0.7, 0.6], [0.1, 0.9, 0.2, 0.8]])
    masked = objective(weighting="elbo_realized").masked(uniforms, torch.tensor([0.3, 0.3]))
    assert masked.tolist() == [[False, True, False, False], [True, False, True, False]]


def test_a_fraction_of_an_answer_masks_at_least_one_token_and_at_most_all() -> None:
    """One, to which a fraction just below it may be rounded, masks no more than there are."""
    assert counts(torch.tensor([0.0, 0.24, 0.26, 0.99, 1.0]), 4).tolist() == [1, 1, 2, 4, 4]


@pytest.mark.parametrize("weighting", ["elbo_t", "maskgit"])
def test_other_weightings_leave_a_sequence_without_masks_at_times(weighting: str) -> None:
    """The least of 512 times is below 1/512: to mask a token there all the same would be a bias."""
    tokens = torch.zeros(512, 8, dtype=torch.int64)
    masked = objective(weighting=weighting).corrupt(batch(tokens)).inputs_BL == VOCAB.mask_id
    assert not masked.any(dim=1).all()


def test_maskgit_is_the_mean_over_all_masked_tokens_of_the_batch() -> None:
    tokens = torch.zeros(16, 32, dtype=torch.int64)
    corrupted = objective(weighting="maskgit").corrupt(batch(tokens))
    masked = corrupted.inputs_BL == VOCAB.mask_id
    expected = masked * (16 * 32 / masked.sum())
    torch.testing.assert_close(corrupted.weights_BL, expected)


def test_unmasked_tokens_are_seen_and_carry_no_loss() -> None:
    tokens = torch.randint(0, V, (64, 16))
    corrupted = objective().corrupt(batch(tokens))
    masked = corrupted.inputs_BL == VOCAB.mask_id
    assert torch.equal(corrupted.inputs_BL[~masked], tokens[~masked])
    assert (corrupted.weights_BL[~masked] == 0).all()
    assert (corrupted.weights_BL[masked] > 0).all()
    assert torch.equal(corrupted.targets_BL, tokens)


def test_ar_predicts_the_same_tokens_from_bos_and_what_is_before() -> None:
    tokens = torch.randint(0, V, (4, 16))
    corrupted = Autoregressive(VOCAB).corrupt(batch(tokens))
    assert (corrupted.inputs_BL[:, 0] == VOCAB.bos_id).all()
    assert torch.equal(corrupted.inputs_BL[:, 1:], tokens[:, :-1])
    assert torch.equal(corrupted.targets_BL, tokens)
    assert corrupted.weights_BL is None
