"""Intervals cover what they say they cover."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.interpolate import make_smoothing_spline

from workbench.analysis.crossing import compare_curves, crossing_places
from workbench.analysis.curves import Floats
from workbench.analysis.intervals import (
    Smooth,
    bootstrap,
    interval_over_seeds,
    percentiles,
    roughness,
    smooth_curve,
)

X = np.linspace(1, 50, 50)


def baseline(x: Floats) -> Floats:
    return 2 + 1.5 * np.exp(-x / 4) + 0.012 * x


def challenger(x: Floats) -> Floats:
    return 2 + 2.5 * np.exp(-x / 12)


def own_texts(values: list[float]) -> list[float]:
    """The interval where each seed has a text of its own."""
    return list(interval_over_seeds(values, list(range(len(values))))["ci95"])


def smoothed(x: Floats, y: Floats) -> Smooth:
    smooth = smooth_curve(x, y)
    assert smooth is not None
    return smooth


def where(x: Floats, y: Floats, other_x: Floats, other_y: Floats) -> Floats:
    return crossing_places(x, y, other_x, other_y, higher_is_better=False)


def truth() -> float:
    fine = np.linspace(1, 50, 100_001)
    return float(where(fine, baseline(fine)[None], fine, challenger(fine)[None])[0])


def ar1(rng: np.random.Generator, sigma: float, correlation: float) -> Floats:
    noise = rng.normal(size=len(X) + 20)
    for i in range(1, len(noise)):
        noise[i] = correlation * noise[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
    return sigma * noise[20:]


NOISES = [(0.05, 0.0), (0.2, 0.0), (0.03, 0.5)]


def coverage(sigma: float, correlation: float, trials: int) -> float:
    """The share of trials whose 95 % interval holds the true crossing."""
    rng = np.random.default_rng(1)
    crossing, covered = truth(), 0
    for _ in range(trials):
        ours = smoothed(X, baseline(X) + ar1(rng, sigma, correlation))
        theirs = smoothed(X, challenger(X) + ar1(rng, sigma, correlation))
        low, high = percentiles(*bootstrap(ours, theirs, where))
        covered += (low or -np.inf) <= crossing <= (high or np.inf)
    return covered / trials


@pytest.mark.parametrize(("sigma", "correlation"), NOISES)
def test_the_interval_covers_the_crossing_of_the_courses_below_the_noise(
    sigma: float, correlation: float
) -> None:
    assert coverage(sigma, correlation, trials=60) >= 0.85


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("sigma", "correlation"), NOISES)
def test_the_interval_covers_the_crossing_over_many_trials(
    sigma: float, correlation: float
) -> None:
    assert coverage(sigma, correlation, trials=1000) >= 0.85


def test_the_interval_narrows_with_the_noise() -> None:
    widths = []
    for sigma in (0.002, 0.02):
        rng = np.random.default_rng(2)
        ours = smoothed(X, baseline(X) + rng.normal(0, sigma, 50))
        theirs = smoothed(X, challenger(X) + rng.normal(0, sigma, 50))
        low, high = percentiles(*bootstrap(ours, theirs, where))
        assert low is not None
        assert high is not None
        widths.append(high - low)
    assert widths[0] < 1 < widths[1] < 8


def test_a_group_of_50_points_takes_less_than_a_second() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = baseline(X) + rng.normal(0, 0.02, 50), challenger(X)
    start = time.perf_counter()
    bootstrap(smoothed(X, ours), smoothed(X, theirs), where)
    assert time.perf_counter() - start < 1


def test_the_spline_is_scipys_at_the_same_penalty() -> None:
    rng = np.random.default_rng(4)
    y = baseline(X) + rng.normal(0, 0.05, 50)
    t = np.log(X)
    for penalty in (1e-4, 1e-2, 1.0):
        ours = np.linalg.solve(np.eye(50) + penalty * roughness(t), y)
        np.testing.assert_allclose(ours, make_smoothing_spline(t, y, lam=penalty)(t), atol=1e-6)


def test_noise_around_a_smooth_curve_is_measured() -> None:
    rng = np.random.default_rng(5)
    for n in (14, 50):
        x = np.linspace(1, 50, n)
        noises = [smoothed(x, 2 + 3 / x + rng.normal(0, 0.03, n)).noise for _ in range(100)]
        assert np.sqrt(np.mean(np.square(noises))) == pytest.approx(0.03, rel=0.08)


def test_long_curves_are_smoothed_through_averages() -> None:
    rng = np.random.default_rng(6)
    x = np.linspace(1, 50, 5_000)
    smooth = smoothed(x, baseline(x) + rng.normal(0, 0.05, 5_000))
    assert np.abs(smooth.fitted - baseline(x)).mean() < 0.01
    assert smooth.noise == pytest.approx(0.05, rel=0.1)
    np.testing.assert_allclose(smooth.refit(smooth.y[None])[0], smooth.fitted)


@pytest.mark.parametrize("n", [50, 330, 1_000])  # of 330, averages are of one point or of two
def test_neither_the_unit_of_y_nor_its_level_changes_how_much_is_smoothed(n: int) -> None:
    rng = np.random.default_rng(8)
    x = np.linspace(1, 50, n)
    y = baseline(x) + rng.normal(0, 0.05, n)
    one, other = smoothed(x, y), smoothed(x, 0.01 * y + 3)
    assert other.df == pytest.approx(one.df)
    np.testing.assert_allclose(other.fitted, 0.01 * one.fitted + 3, atol=1e-5)


@pytest.mark.parametrize("n", [50, 1_000])
def test_a_line_in_log_x_is_its_own_spline_through_averages_too(n: int) -> None:
    x = np.linspace(1, 50, n)
    line = 2 - 0.3 * np.log(x)
    np.testing.assert_allclose(smoothed(x, line).fitted, line, atol=1e-6)


def test_too_few_points_are_not_smoothed_and_places_at_zero_do_not_count() -> None:
    x = np.arange(8.0)
    assert smooth_curve(x, x) is None
    assert smooth_curve(x + 1, x) is not None
    assert smooth_curve(np.array([1.0, 1, 1, 2, 2, 3, 3, 4]), x) is None


@given(st.floats(0.1, 1e12), st.integers(8, 30))
def test_the_unit_of_x_does_not_change_the_spline(scale: float, n: int) -> None:
    x = np.linspace(1, 30, n)
    y = np.sin(x)
    np.testing.assert_allclose(
        smoothed(x, y).fitted, smoothed(scale * x, y).fitted, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("n", [8, 48, 50])
def test_scatter_is_resampled_in_blocks_of_its_own_order(n: int) -> None:
    """Of round(n^(1/3)) places, from anywhere in the curve, beyond its end with its beginning."""
    rng = np.random.default_rng(7)
    x = np.linspace(1, 50, n)
    smooth = smoothed(x, baseline(x) + rng.normal(0, 0.05, n))
    drawn = smooth.resamples(rng, 2_000) - smooth.fitted
    assert drawn.shape == (2_000, n)
    places = np.abs(drawn[:, :, None] - smooth.residuals).argmin(axis=2)
    length = round(n ** (1 / 3))
    inside = np.arange(1, n) % length != 0
    steps = (places[:, 1:] - places[:, :-1]) % n
    assert (steps[:, inside] == 1).all()
    starts = places[:, ::length]
    shares = np.bincount(starts.ravel(), minlength=n) / starts.size
    assert np.abs(shares - 1 / n).max() < 5 * np.sqrt(1 / n / starts.size)


def test_limits_outside_the_measured_range_are_left_open() -> None:
    inside = np.linspace(2, 3, 900)
    late = np.concatenate([inside, np.full(100, np.inf)])
    early = np.concatenate([inside, np.full(100, -np.inf)])
    assert percentiles(late)[1] is None
    assert percentiles(late)[0] == pytest.approx(2.028, abs=0.01)
    assert percentiles(early)[0] is None
    assert percentiles(early, late) == [None, None]
    assert percentiles(np.full(1000, 2.0), estimate=5.0) == [2.0, 5.0]


@given(st.lists(st.floats(1e-3, 1e12), min_size=2, max_size=6), st.floats(1e-3, 1e3))
def test_an_interval_over_seeds_is_positive_and_scales(values: list[float], scale: float) -> None:
    low, high = own_texts(values)
    assert low is not None
    assert high is not None
    middle = float(stats.gmean(values))
    assert 0 <= low <= middle * (1 + 1e-9)
    assert high >= middle * (1 - 1e-9)
    scaled = own_texts([scale * value for value in values])
    if np.isfinite(high) and low > 1e-250 and high < 1e250:
        assert scaled == pytest.approx([scale * low, scale * high], rel=1e-5)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_an_interval_over_seeds_is_scipys_of_the_logarithms(n: int) -> None:
    logs = np.random.default_rng(8).normal(size=n)
    expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert own_texts(np.exp(logs).tolist()) == pytest.approx(np.exp(expected).tolist())


def test_the_definition_reaches_the_bootstrap() -> None:
    # By points the challenger crosses; the baseline's best stays out of reach.
    base, other = 1 + 0.02 * X, 2.5 - 0.02 * X
    place = compare_curves(X, base, X, other, higher_is_better=False)
    assert place is not None
    assert place.status == "crossed"
    best = crossing_places(
        X, base[None], X, other[None], higher_is_better=False, definition="best_so_far"
    )
    assert np.isposinf(best).all()
