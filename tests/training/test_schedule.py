"""Learning rate over a run's steps."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.training.schedule import SHAPES, wsd_factor


def factors(
    total: int, warmup: int, decay: int, ratio: float, shape: str = "exponential"
) -> list[float]:
    return [
        wsd_factor(
            s,
            warmup_steps=warmup,
            total_steps=total,
            decay_steps=decay,
            min_ratio=ratio,
            shape=shape,
        )
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


@pytest.mark.parametrize(
    ("shape", "quarter", "half"),
    [
        ("exponential", 0.2**0.25, 0.2**0.5),
        ("linear", 0.8, 0.6),
        ("cosine", 0.2 + 0.8 * 0.853553, 0.6),
        ("1-sqrt", 0.6, 0.2 + 0.8 * 0.292893),
    ],
)
def test_a_decay_has_its_shape(shape: str, quarter: float, half: float) -> None:
    rates = factors(1000, 100, 400, 0.2, shape)
    assert [rates[699], rates[799]] == pytest.approx([quarter, half])


@given(
    st.integers(1, 300),
    st.integers(0, 50),
    st.integers(0, 300),
    st.floats(0.01, 1),
    st.sampled_from(sorted(SHAPES)),
)
def test_every_shape_stays_at_the_peak_and_then_falls_to_the_last_rate(
    total: int, warmup: int, decay: int, ratio: float, shape: str
) -> None:
    decay = min(decay, total)
    rates = factors(total, warmup, decay, ratio, shape)
    assert all(0 < rate <= 1 for rate in rates)
    assert set(rates[warmup : total - decay]) <= {1.0}
    falling = rates[max(warmup, total - decay) :]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(falling))
    if falling and decay:
        assert falling[-1] == pytest.approx(ratio)
    before = factors(total, warmup, decay, ratio)[: total - decay]
    assert rates[: total - decay] == before, "shapes differ in the decay alone"
