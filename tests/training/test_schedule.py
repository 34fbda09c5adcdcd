"""Learning rate and evaluation steps."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.training.schedule import wsd_factor


def factors(total: int, warmup: int, decay: int, ratio: float) -> list[float]:
    return [
        wsd_factor(s, warmup_steps=warmup, total_steps=total, decay_steps=decay, min_ratio=ratio)
        for s in range(total)
    ]


def test_the_papers_schedule_warms_up_stays_and_decays_to_a_tenth() -> None:
    rates = factors(10_000, 1000, 1000, 0.1)
    assert rates[0] == 1 / 1000
    assert rates[999] == 1
    assert set(rates[1000:9000]) == {1.0}
    assert rates[-1] == pytest.approx(0.1)
    ratios = [b / a for a, b in itertools.pairwise(rates[9000:])]
    assert max(ratios) == pytest.approx(min(ratios)), "an exponential falls by equal factors"


@given(st.integers(1, 300), st.integers(0, 50), st.integers(0, 300), st.floats(0.01, 1))
def test_rates_stay_between_zero_and_the_peak(
    total: int, warmup: int, decay: int, ratio: float
) -> None:
    assert all(0 < rate <= 1 for rate in factors(total, warmup, min(decay, total), ratio))
