"""Uniform-state diffusion and its hybrid with masks: the bound is the bound, by enumeration."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.chains import Chain
from tests.training.toy import VOCAB, V, batch, network, nll, trainer
from workbench.data.windows import HeldOutWindows
from workbench.training import validation
from workbench.training.noise import SCHEDULES, Mixing, drawn_alone, mask_and_drawn
from workbench.training.objectives.base import Corrupted, WindowNoise
from workbench.training.objectives.hybrid import HybridDiffusion
from workbench.training.objectives.mdlm import MaskedDiffusion
from workbench.training.objectives.uniform import UniformDiffusion
from workbench.training.validation import Validation

L = 2
MIXINGS: dict[str, Mixing] = {
    "uniform": drawn_alone,
    "hybrid, 0.1": mask_and_drawn(0.1),
    "hybrid, 0.5": mask_and_drawn(0.5),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """So small networks lose by more, and much where other programs run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


each_kind = pytest.mark.parametrize("kind", MIXINGS)


def objective(
    kind: str, *, schedule: str = "linear", weighting: str = "elbo_t", seed: int = 0
) -> UniformDiffusion:
    noise = {"schedule": SCHEDULES[schedule], "weighting": weighting, "seed": seed}
    if kind == "uniform":
        return UniformDiffusion(VOCAB, **noise)  # type: ignore[arg-type]
    return HybridDiffusion(VOCAB, uniform_noise=float(kind.split()[1]), **noise)


@each_kind
def test_chances_add_up_and_rates_are_those_of_the_chances(kind: str) -> None:
    level = torch.linspace(0.01, 0.99, 40, dtype=torch.float64, requires_grad=True)
    at = MIXINGS[kind](level)
    torch.testing.assert_close(at.clean + at.mask + at.drawn, torch.ones_like(level))

    def slope(chance: Tensor) -> Tensor:
        if not chance.requires_grad:
            return torch.zeros_like(level)
        return torch.autograd.grad(chance.sum(), level, retain_graph=True)[0]

    for chance, rate in ((at.mask, at.mask_rate), (at.drawn, at.drawn_rate)):
        torch.testing.assert_close(rate, slope(chance) - chance * slope(at.clean) / at.clean)
        assert (rate >= 0).all(), "noise arrives and never goes"


def test_the_share_of_random_tokens_is_the_one_asked_for_halfway_and_nothing_at_the_end() -> None:
    for share in (0.1, 0.5, 0.9):
        half, end = (mask_and_drawn(share)(torch.tensor(at).double()) for at in (0.5, 1.0))
        assert half.drawn.item() == pytest.approx(share)
        assert (end.clean.item(), end.drawn.item(), end.mask.item()) == (0, 0, 1)


@each_kind
def test_the_bound_is_the_limit_of_the_samplers_own_and_no_less_than_its_nll(kind: str) -> None:
    """Of every text, under a network that predicts anything."""
    chain = Chain(MIXINGS[kind], L)
    predicted = chain.predictions(network(doubled=False, length=L))
    bound = chain.bound(predicted)
    few, many = (chain.discrete_bound(predicted, steps) for steps in (50, 100))
    assert (few - many).abs().max() < 0.2
    # What steps cost falls with their number: twice as many leave half of it.
    torch.testing.assert_close(bound, 2 * many - few, atol=0.01, rtol=0)
    times = 1 - torch.arange(201, dtype=torch.float64) / 200
    exact = -chain.sampled(predicted, times)[chain.text_index()].log()
    assert (bound > exact + 1e-3).all()
    assert (bound - exact).mean() > 0.01, "this network's is not tight"


@each_kind
def test_the_bound_is_tight_for_tokens_that_know_nothing_of_each_other(kind: str) -> None:
    chain = Chain(MIXINGS[kind], L)
    p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    predicted = p.expand(len(chain.noisy_ZL), L, V)
    torch.testing.assert_close(
        chain.bound(predicted), -p.log()[chain.texts_XL].sum(-1), atol=1e-4, rtol=0
    )


@each_kind
def test_the_bound_of_a_network_that_knows_the_joint_and_the_time_is_the_entropy(
    kind: str,
) -> None:
    """It predicts a token from the others alone, whatever stands in the token's own place."""
    chain = Chain(MIXINGS[kind], 2)
    p_X = torch.rand(V**2, generator=torch.Generator().manual_seed(2)).double()
    p_X = p_X / p_X.sum()

    def predicted(t: Tensor) -> Tensor:
        law_VS = chain.under_noise(torch.eye(V, dtype=torch.float64), t)
        joint_VV = p_X.view(V, V)
        first, second = (law_VS[:, chain.noisy_ZL[:, place]] for place in (0, 1))  # [V, Z]
        both = torch.stack([(joint_VV @ second).T, (joint_VV.T @ first).T], dim=1)
        return both / both.sum(-1, keepdim=True)

    bound = (p_X * chain.bound(predicted)).sum()
    assert bound.item() == pytest.approx(-(p_X * p_X.log()).sum().item(), abs=1e-4)


def windows(copies: int, length: int = L) -> tuple[Tensor, Tensor]:
    """Every text of a length so many times, and which each is."""
    chain = Chain(drawn_alone, length)
    number = torch.arange(V**length).repeat(copies)
    return chain.texts_XL[number], number


def means(losses: list[Tensor], number: Tensor) -> tuple[Tensor, Tensor]:
    """[X] the mean loss of each text over its copies and draws, and four standard errors."""
    texts = int(number.max()) + 1
    values = torch.stack(losses).mean(0).view(-1, texts)
    assert (number.view(-1, texts) == torch.arange(texts)).all()
    return values.mean(0), 4 * values.std(0) / math.sqrt(len(values))


@each_kind
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_expectation_of_a_loss_is_the_bound(kind: str, schedule: str) -> None:
    """Every text, and what can become of each of its tokens, with the very weights of training and
    validation; fractions by quadrature."""
    model = network(doubled=False, length=L)
    chain, trained = Chain(MIXINGS[kind], L), objective(kind, schedule=schedule)
    exact = chain.bound(chain.predictions(model))
    x, w = np.polynomial.legendre.leggauss(60)
    angles = torch.from_numpy((x + 1) * np.pi / 4)
    total = torch.zeros(V**L, dtype=torch.float64)
    for angle, weight in zip(angles, w * np.pi / 4, strict=True):
        fraction = angle.sin() ** 2
        at = MIXINGS[kind](trained.schedule.move_chance(fraction**trained.power))
        # Masked, each token drawn, or clean: a uniform that brings it about, and its chance.
        ways = [(0.0, 0, at.mask.item())]
        ways += [
            ((at.mask + at.drawn / 2).item(), token, at.drawn.item() / V) for token in range(V)
        ]
        ways += [(2.0, 0, at.clean.item())]
        ways = [way for way in ways if way[2] > 0]
        both = list(itertools.product(ways, repeat=L))
        uniforms, drawn, chances = (
            torch.tensor([[way[part] for way in place] for place in both]) for part in range(3)
        )
        seen = trained.noised(
            chain.texts_XL.repeat(len(both), 1),
            fraction.expand(len(both) * V**L),
            uniforms.double().repeat_interleave(V**L, 0),
            drawn.repeat_interleave(V**L, 0),
            power=trained.power,
        )
        losses_WX = nll(model, seen).sum(1).view(len(both), V**L)
        total += (2 * angle).sin() * weight * (chances.double().prod(1) @ losses_WX)
    torch.testing.assert_close(total, exact, atol=2e-3, rtol=0)


@each_kind
def test_what_validation_takes_out_is_known_and_most_of_the_noise(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that predicts the unigram frequencies is measured without any noise, where all of
    their cost is taken out, and with as much less of it where a share is."""
    numbers = np.random.default_rng(0).choice(V - 1, size=(40, 8), p=[0.8, 0.2])
    windows = HeldOutWindows(numbers.astype(np.uint16), np.arange(40), np.ones(40))
    given = Validation(windows, batch=10, draws=4)

    class Unigrams(torch.nn.Module):
        def forward(self, inputs_BL: Tensor) -> Tensor:
            log_p = torch.cat([-given.surprise_V, torch.full((VOCAB.size - V + 1,), -torch.inf)])
            return log_p.expand(*inputs_BL.shape, -1)

    found = {}
    for share in (0.0, 0.8, 1.0):
        monkeypatch.setattr(validation, "UNIGRAM_SHARE", share)
        found[share], _ = given.evaluate(trainer(Unigrams(), objective(kind)), noise=3)
    surprise = given.surprise_V[torch.from_numpy(numbers)].mean().item()
    assert found[1.0].value == pytest.approx(surprise, abs=1e-5)
    assert found[1.0].noise_stderr == pytest.approx(0, abs=1e-5)
    assert found[0.8].noise_stderr == pytest.approx(found[0.0].noise_stderr / 5, rel=1e-3)
    assert found[0.0].value == pytest.approx(surprise, abs=5 * found[0.0].noise_stderr)


@each_kind
def test_an_answer_is_estimated_given_a_clean_context(kind: str) -> None:
    """By a network that looks at nothing but the context: then the bound is tight."""
    trained, (tokens, number) = objective(kind), windows(600, 3)
    p = torch.tensor([0.6, 0.3, 0.1]).double()
    logits_VV = torch.stack([p.roll(shift) for shift in range(V)]).log()
    losses = []
    for draw in range(4):
        seen = trained.answer_inputs(tokens, 1, torch.arange(len(tokens)), draw, 4)
        assert torch.equal(seen.inputs_BL[:, 0], tokens[:, 0])
        assert seen.first == 1
        assert (seen.weights_BL[:, 0] == 0).all()
        losses.append(_given_first(seen, logits_VV))
    found, error = means(losses, number)
    texts = Chain(drawn_alone, 3).texts_XL
    exact = -logits_VV[texts[:, :1], texts[:, 1:]].sum(-1)
    assert ((found - exact).abs() < error).all()


def _given_first(seen: Corrupted, logits_VV: Tensor) -> Tensor:
    class First(torch.nn.Module):
        def forward(self, inputs_BL: Tensor) -> Tensor:
            return logits_VV[inputs_BL[:, :1]].expand(-1, inputs_BL.shape[1], -1).float()

    return nll(First(), seen).sum(1)


@each_kind
def test_noise_makes_of_a_token_what_the_marginals_say(kind: str) -> None:
    t = torch.tensor([0.1, 0.5, 0.9]).double()
    tokens = torch.zeros(3, 60_000, dtype=torch.int64)
    uniforms = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(0))
    drawn = torch.randint(0, V, tokens.shape, generator=torch.Generator().manual_seed(1))
    seen = objective(kind).noised(tokens, t, uniforms, drawn).inputs_BL
    at = MIXINGS[kind](t)
    found = torch.stack([(seen == token).double().mean(1) for token in (VOCAB.mask_id, 1, 2)])
    expected = torch.stack([at.mask, at.drawn / V, at.drawn / V])
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
    if kind == "uniform":
        assert (seen < V).all(), "the network never sees MASK"


@each_kind
def test_noise_depends_on_nothing_but_its_key(kind: str) -> None:
    tokens = torch.randint(0, V, (8, 64), generator=torch.Generator().manual_seed(0))
    trained = objective(kind)
    whole = trained.corrupt(batch(tokens, step=3))
    parts = [
        trained.corrupt(batch(tokens[i : i + 2], step=3, first=i, size=8)) for i in (0, 2, 4, 6)
    ]
    assert torch.equal(whole.inputs_BL, torch.cat([part.inputs_BL for part in parts]))
    assert torch.equal(whole.weights_BL, torch.cat([part.weights_BL for part in parts]))
    again = trained.corrupt(batch(tokens, step=3))
    assert torch.equal(whole.inputs_BL, again.inputs_BL)
    for other in (
        trained.corrupt(batch(tokens, step=4)),
        objective(kind, seed=1).corrupt(batch(tokens, step=3)),
        trained.corrupt(batch(tokens, step=3, first=8, size=16)),
    ):
        assert not torch.equal(whole.inputs_BL, other.inputs_BL)


@each_kind
def test_options_of_a_question_share_their_noise(kind: str) -> None:
    tokens = torch.randint(0, V, (4, 16), generator=torch.Generator().manual_seed(0))
    seen = objective(kind).answer_inputs(tokens, 8, torch.full((4,), 5), 2, 4)
    changed = seen.inputs_BL != tokens
    assert changed.any()
    same = (seen.inputs_BL == seen.inputs_BL[:1]) | ~changed | ~changed[:1]
    assert same.all()


@each_kind
def test_the_level_of_the_highest_noise_gives_finite_losses(kind: str) -> None:
    """Times of 1 occur, rounded, and there a clean token has no chance at all."""
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    uniforms = torch.tensor([[0.0, 0.5, 0.99999]]).expand(2, -1)
    for fraction in (1.0, 2.0**-40):
        for most in (math.inf, 2.0):
            trained = objective(kind)
            given = tokens, torch.full((2,), fraction), uniforms, torch.ones_like(tokens)
            seen = trained.noised(*given, power=trained.power, most=most)
            assert seen.weights_BL.isfinite().all()
            losses = nll(network(doubled=False, length=3), seen)
            assert losses.isfinite().all()


@each_kind
def test_clamped_weights_are_those_of_the_bound_or_less(kind: str) -> None:
    tokens = torch.randint(0, V, (64, 16), generator=torch.Generator().manual_seed(0))
    given = torch.full((64,), 0.3).double(), torch.rand(64, 16), tokens.roll(1, 1)
    bound, clamped = (objective(kind).noised(tokens, *given, most=most) for most in (math.inf, 2.0))
    torch.testing.assert_close(clamped.weights_BL, bound.weights_BL.clamp(max=2.0))
    assert (clamped.weights_BL < bound.weights_BL).any()
    trained = objective(kind, weighting="clamped").corrupt(batch(tokens))
    assert trained.weights_BL.max() <= 2.0
    noise = WindowNoise(torch.arange(64), 64)
    in_validation = [
        objective(kind, weighting=weighting).validation_inputs(tokens, noise).weights_BL
        for weighting in ("elbo_t", "clamped")
    ]
    assert torch.equal(*in_validation), "what is measured stays the bound"


@each_kind
def test_the_variance_of_a_loss_is_finite_at_little_noise(kind: str) -> None:
    """Chance of a random token times the square of its weight, by a fraction f, falls behind 1 / f,
    whose integral is not finite."""
    fraction = torch.tensor([1e-3, 1e-2, 1e-1], dtype=torch.float64)
    trained = objective(kind)
    at = MIXINGS[kind](fraction**trained.power)
    tokens = torch.zeros(3, 1, dtype=torch.int64)
    seen = trained.noised(
        *(tokens, fraction, (at.mask * 1.01)[:, None], tokens + 1), power=trained.power
    )
    assert torch.equal(seen.inputs_BL, tokens + 1)
    scatter = seen.weights_BL[:, 0].double() ** 2 * at.drawn * fraction
    assert (scatter[1:] > 2 * scatter[:-1]).all()


def test_clamped_masks_are_the_limit_of_few_random_tokens() -> None:
    tokens = torch.randint(0, V, (64, 16), generator=torch.Generator().manual_seed(0))
    few, none = (
        HybridDiffusion(VOCAB, uniform_noise=1e-7, **_noise("clamped")),
        MaskedDiffusion(VOCAB, **_noise("clamped")),
    )
    model = network(doubled=False, length=16)
    ours, theirs = (nll(model, made.corrupt(batch(tokens))) for made in (few, none))
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def _noise(weighting: str) -> dict[str, Any]:
    return {"schedule": SCHEDULES["linear"], "weighting": weighting, "seed": 0}
