"""Probabilities and draws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.generation.choice import EQUALLY_SURE, Randomness, draw, probabilities, surest_first

logit_rows = st.lists(st.floats(-30, 30), min_size=4, max_size=12)
N_TOKENS = 3


@given(logit_rows, st.floats(0.01, 1.0), st.floats(0.05, 5.0))
def test_the_nucleus_is_the_smallest_set_of_likeliest_tokens(
    logits: list[float], top_p: float, temperature: float
) -> None:
    row = torch.tensor([logits])
    n = len(logits) - 1
    full = probabilities(row, n, temperature=temperature)[0]
    cut = probabilities(row, n, temperature=temperature, top_p=top_p)[0]
    positive = cut > 0
    assert cut.sum().item() == pytest.approx(1)
    assert full[positive].sum().item() >= top_p - 1e-9
    if positive.sum() > 1:
        assert full[positive].sum() - full[positive].min() < top_p + 1e-9
    dropped = full[~positive]
    if len(dropped):
        assert dropped.max() <= full[positive].min() + 1e-12
    ratio = cut[positive] / full[positive]
    assert torch.allclose(ratio, ratio[:1].expand_as(ratio))


def test_temperature_divides_the_logits_and_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, 9.0]])
    expected = np.exp(np.array([1.0, 3.0, 2.0]) / 0.5)
    halved = probabilities(logits, N_TOKENS, temperature=0.5)[0]
    np.testing.assert_allclose(halved, expected / expected.sum())
    assert probabilities(logits, N_TOKENS, temperature=0)[0].tolist() == [0, 1, 0]
    ties = torch.tensor([[2.0, 2.0, 1.0, 9.0]])
    assert probabilities(ties, N_TOKENS, temperature=0)[0].tolist() == [1, 0, 0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(any), st.floats(0, 1))
def test_a_token_without_probability_is_never_drawn(p: list[float], uniform: float) -> None:
    p_NV = torch.tensor([p], dtype=torch.float64)
    p_NV = p_NV / p_NV.sum()
    token = draw(p_NV, torch.tensor([uniform], dtype=torch.float64))
    assert p_NV[0, token].item() > 0


def test_draws_have_their_frequencies_and_uniforms_their_resolution() -> None:
    n = 1 << 17
    uniform = Randomness(7).token(torch.arange(n), torch.tensor([3]))
    assert uniform.dtype == torch.float64
    assert ((uniform > 0) & (uniform < 1)).all()
    assert len(uniform.unique()) == n, "24 bits would repeat"
    p = torch.tensor([0.5, 0.0, 0.3, 0.2], dtype=torch.float64)
    shares = draw(p.expand(n, -1), uniform).bincount(minlength=4) / n
    torch.testing.assert_close(shares.double(), p, atol=0.006, rtol=0)


def test_randomness_depends_on_its_seed_purpose_and_counters_alone() -> None:
    counter = torch.arange(64)
    uniform = Randomness(1).token(counter, counter)
    assert torch.equal(uniform[10:20], Randomness(1).token(counter[10:20], counter[10:20]))
    for other in (
        Randomness(2).token(counter, counter),
        Randomness(1).order(counter, counter),
        Randomness(1).token(counter, counter + 1),
    ):
        assert not torch.isclose(uniform, other).any()


def test_places_go_by_confidence_and_equally_sure_ones_by_the_draw() -> None:
    tie = torch.tensor([[0.9, 0.1, 0.2, 0.8, 0.5, 0.4]], dtype=torch.float64)
    sure = torch.tensor([[-1.0, -2.0, -2.0, -0.5, -2.0, -torch.inf]], dtype=torch.float64)
    expected = [[3, 0, 1, 2, 4, 5]]
    assert surest_first(sure, tie).tolist() == expected
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        rounded = sure + 0.1 * EQUALLY_SURE * torch.rand(sure.shape, generator=rng)
        assert surest_first(rounded, tie).tolist() == expected
        assert surest_first(rounded.float(), tie).tolist() == expected
    apart = sure + torch.tensor([0.0, 0.0, 2.0, 0.0, 4.0, 0.0]) * EQUALLY_SURE
    assert surest_first(apart, tie).tolist() == [[3, 0, 4, 2, 1, 5]]


def test_places_that_are_not_sought_come_last() -> None:
    sure = torch.tensor([[-torch.inf, -800.0, -torch.inf], [-torch.inf] * 3])
    tie = torch.tensor([[0.5, 0.9, 0.1]]).expand(2, -1)
    assert surest_first(sure, tie).tolist() == [[1, 2, 0], [2, 0, 1]]
