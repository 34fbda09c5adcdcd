"""Counter-based uniforms: pure, uniform, independent of each other."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.training.hashing import hash_bits, hash_uniform, stream_key, unit_interval

COUNTERS = torch.arange(200_000)


def test_uniforms_pass_a_kolmogorov_smirnov_test() -> None:
    u = hash_uniform(stream_key("test", 1), COUNTERS).double().sort().values
    expected = (torch.arange(len(u)) + 0.5) / len(u)
    # 1.95 / sqrt(n) is the 0.1 % point of the statistic.
    assert (u - expected).abs().max() < 1.95 / math.sqrt(len(u))


@pytest.mark.parametrize("lag", [1, 2, 64])
def test_neighbouring_counters_are_uncorrelated(lag: int) -> None:
    u = hash_uniform(stream_key("test", 2), COUNTERS).double() - 0.5
    correlation = (u[:-lag] * u[lag:]).mean() * 12
    assert abs(correlation) < 5 / math.sqrt(len(u))


def test_uniforms_are_never_zero_or_one() -> None:
    u = hash_uniform(stream_key("test", 3), COUNTERS)
    assert u.min() > 0
    assert u.max() < 1


def test_the_least_and_the_greatest_bits_are_neither_zero_nor_one() -> None:
    """Half a step above 0; the greatest, which rounding takes to 1, a whole one below it."""
    first, second, last = unit_interval(torch.tensor([0, 1 << 40, -1])).tolist()
    assert (first, second, last) == (2**-25, 3 * 2**-25, 1 - 2**-24)
    assert unit_interval(torch.tensor([(1 << 40) - 1])).item() == first, "24 bits decide"


def splitmix(key: int, *counters: int) -> int:
    """SplitMix64's finaliser in integers of any size, as its authors write it."""
    whole = 2**64
    for counter in counters:
        x = ((key ^ counter) % whole + 0x9E3779B97F4A7C15) % whole
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % whole
        x = (x ^ x >> 27) * 0x94D049BB133111EB % whole
        key = x ^ x >> 31
    return key


INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64, INT64, INT64)
def test_bits_are_those_of_splitmix64(key: int, a: int, b: int) -> None:
    """Of the whole range: the shifts are of unsigned numbers, and sums and products wrap."""
    found = hash_bits(key, torch.tensor(a), torch.tensor(b)).item()
    assert found % 2**64 == splitmix(key, a, b)
    expected = min(((splitmix(key, a, b) >> 40) + 0.5) / 2**24, 1 - 2**-24)
    assert hash_uniform(key, torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected)


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_uniform_depends_on_its_counters_and_not_on_the_batch(key: int, a: int, b: int) -> None:
    alone = hash_uniform(key, torch.tensor([a]), torch.tensor([b]))
    among = hash_uniform(key, torch.tensor([7, a, 9]), torch.tensor([1, b, 3]))
    assert alone.item() == among[1].item()


def test_counters_do_not_commute() -> None:
    key = stream_key("test", 4)
    assert hash_uniform(key, torch.tensor(1), torch.tensor(2)) != hash_uniform(
        key, torch.tensor(2), torch.tensor(1)
    )


def test_streams_with_other_names_or_seeds_differ() -> None:
    assert len({stream_key("mask", 0), stream_key("mask", 1), stream_key("time", 0)}) == 3
    assert stream_key("a", 1) != stream_key("a", "1")
