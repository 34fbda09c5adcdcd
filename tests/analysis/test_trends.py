"""Trends of crossovers: power laws with bounds as bounds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from workbench.analysis.curves import Floats
from workbench.analysis.interval_notes import notes_of
from workbench.analysis.table_rows import trend_table_row
from workbench.analysis.trends import (
    crossover_trends,
    direction,
    power_law_trend,
)
from workbench.errors import InputError

EXACT = ["crossed"] * 6
X = np.array([1.0, 2, 4, 8, 16, 32]) * 1e8


def noisy(seed: int, sigma: float = 0.3, exponent: float = 0.7) -> Floats:
    return np.asarray(X**exponent * np.exp(np.random.default_rng(seed).normal(0, sigma, 6)))


@given(st.floats(-3, 3), st.floats(1e-3, 1e9), st.lists(st.floats(1e3, 1e12), min_size=3))
def test_an_exact_power_law_is_recovered(exponent: float, scale: float, xs: list[float]) -> None:
    x = np.array(xs)
    assume(np.ptp(np.log(x)) > 0.1)
    trend = power_law_trend(x, scale * x**exponent, ["crossed"] * len(xs))
    assert trend.exponent == pytest.approx(exponent, abs=1e-6)
    assert trend.scale == pytest.approx(scale, rel=1e-4)
    assert trend.predict(1e6)[0] == pytest.approx(scale * 1e6**exponent, rel=1e-4)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_units_do_not_change_the_exponent(seed: int, of_x: float, of_y: float) -> None:
    status = ["crossed", "crossed", "crossed", "crossed", "not_reached", "not_reached"]
    trend = power_law_trend(X, noisy(seed), status)
    other = power_law_trend(of_x * X, of_y * noisy(seed), status)
    assert other.exponent == pytest.approx(trend.exponent, abs=1e-4)
    assert other.sigma == pytest.approx(trend.sigma, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_without_bounds_it_is_least_squares_with_its_t_intervals(seed: int) -> None:
    y = noisy(seed)
    trend = power_law_trend(X, y, EXACT)
    line = stats.linregress(np.log(X), np.log(y))
    student = stats.t.ppf(0.975, 4)
    assert trend.exponent == pytest.approx(line.slope)
    half = student * line.stderr
    assert trend.exponent_ci95 == pytest.approx([line.slope - half, line.slope + half], abs=1e-7)
    rest = np.log(y) - line.intercept - line.slope * np.log(X)
    assert trend.sigma == pytest.approx(np.sqrt((rest**2).sum() / 4))
    place, interval = trend.predict(5e9)
    assert interval is not None
    gap = np.log(5e9) - np.log(X).mean()
    spread = 1 + 1 / 6 + gap**2 / (6 * np.log(X).var())
    half = student * trend.sigma * np.sqrt(spread)
    assert interval == pytest.approx([place * np.exp(-half), place * np.exp(half)])


def likelihood(trend: Any, x: Floats, y: Floats, status: list[str], shift: Floats) -> float:
    b, a, s = np.array([trend.exponent, np.log(trend.scale), trend.fit.sigma]) + shift
    z = (np.log(y) - a - b * np.log(x)) / s
    parts = {
        "crossed": stats.norm.logpdf(z) - np.log(s),
        "not_reached": stats.norm.logsf(z),
        "ahead_throughout": stats.norm.logcdf(z),
    }
    return float(sum(parts[state][i] for i, state in enumerate(status)))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_line_is_more_likely(seed: int) -> None:
    status = ["ahead_throughout", "crossed", "crossed", "crossed", "crossed", "not_reached"]
    y = noisy(seed, 0.5)
    trend = power_law_trend(X, y, status)
    top = likelihood(trend, X, y, status, np.zeros(3))
    rng = np.random.default_rng(seed)
    for size in (0.3, 0.03, 0.003):
        for _ in range(50):
            step = rng.normal(size=3) * size * np.array([0.05, 1, 0.3])
            assert likelihood(trend, X, y, status, step) <= top + 1e-9


def test_bounds_far_from_the_line_change_nothing_and_near_ones_bend_it() -> None:
    y = noisy(1)
    status = [*EXACT[:5], "not_reached"]
    uncensored = power_law_trend(X[:5], y[:5], EXACT[:5])
    far = power_law_trend(X, np.array([*y[:5], y[5] * 1e-6]), status)
    near = power_law_trend(X, np.array([*y[:5], y[5] * 10]), status)
    assert far.exponent == pytest.approx(uncensored.exponent, abs=1e-5)
    assert far.exponent_ci95 == pytest.approx(uncensored.exponent_ci95, abs=1e-4)
    assert near.exponent is not None
    assert uncensored.exponent is not None
    assert near.exponent > uncensored.exponent + 0.05
    assert (near.n_crossed, near.n_censored) == (5, 1)


def test_the_interval_covers_the_exponent_where_late_crossovers_are_cut_off() -> None:
    rng = np.random.default_rng(7)
    covered = left_out = trials = 0
    while trials < 60:
        y = X**0.7 * np.exp(rng.normal(0, 0.4, 6))
        last = 3e6
        cut = y > last
        if (~cut).sum() < 3:
            continue
        trials += 1
        status = np.where(cut, "not_reached", "crossed").tolist()
        trend = power_law_trend(X, np.minimum(y, last), status)
        assert trend.exponent_ci95 is not None
        low, high = trend.exponent_ci95
        covered += (low or -np.inf) <= 0.7 <= (high or np.inf)
        left_out += np.polyfit(np.log(X[~cut]), np.log(y[~cut]), 1)[0] < (trend.exponent or 0)
    assert covered >= 52
    assert left_out > 35  # leaving bounds out bends the trend down


def test_too_few_crossed_groups_give_no_exponent_and_a_note() -> None:
    two = power_law_trend(X[:3], X[:3] ** 0.5, ["crossed", "crossed", "not_reached"])
    assert two.exponent == pytest.approx(0.5)
    assert (two.exponent_ci95, two.sigma) == (None, None)
    assert "without an interval" in str(two.note)
    trend = power_law_trend(X[:2], X[:2], ["crossed", "not_reached"])
    assert (trend.exponent, trend.note) == (None, "not enough crossed")
    assert trend.predict(1.0) == (None, None)
    same = power_law_trend(X[[0, 0, 0]], X[:3], EXACT[:3])
    assert same.exponent is None
    assert "same place" in str(same.note)
    with pytest.raises(ValueError, match="above zero"):
        power_law_trend(np.array([0.0, 1]), X[:2], EXACT[:2])
    with pytest.raises(ValueError, match="'reached'"):
        power_law_trend(X[:1], X[:1], ["reached"])


def row(place: float | None, status: str = "crossed", **group: Any) -> dict[str, Any]:
    return {
        "study": "s",
        "metric": "val_loss",
        "axis": "tokens",
        "definition": "point",
        "group": {"unique_tokens": 1_000, "n_params": 10, **group},
        "status": status,
        "crossover": place if status == "crossed" else None,
        "lower_bound": place if status in ("not_reached", "undecided") else None,
        "upper_bound": place if status == "ahead_throughout" else None,
        "ci95": None,
    }


def test_trends_are_fitted_within_groups_of_equal_other_keys() -> None:
    rows = [
        row(3.0 * n**-0.5 * u**1.5, unique_tokens=u, n_params=n)
        for n in (10, 20, 40)
        for u in (1_000, 2_000, 4_000, 8_000)
    ]
    by_tokens = crossover_trends(rows, "unique_tokens")
    assert [trend["group"] for trend in by_tokens] == [{"n_params": n} for n in (10, 20, 40)]
    for trend in by_tokens:
        assert trend["exponent"] == pytest.approx(1.5)
        assert (trend["direction"], trend["n_crossed"], trend["n_censored"]) == ("later", 4, 0)
    by_size = crossover_trends(rows, "n_params")
    assert [trend["exponent"] for trend in by_size] == pytest.approx([-0.5] * 4)
    assert {trend["direction"] for trend in by_size} == {"earlier"}


def test_keys_that_change_along_are_named_and_split_no_trend() -> None:
    rows = [
        row(u**1.5, unique_tokens=u, **{"training.total_tokens": 10 * u})  # type: ignore[arg-type]
        for u in (1_000, 2_000)
    ]
    (trend,) = crossover_trends(rows, "unique_tokens")
    assert trend["exponent"] == pytest.approx(1.5)
    assert trend["direction"] == "undetermined"  # two points have no interval
    assert "training.total_tokens" in trend["note"]


def test_metrics_and_axes_get_separate_trends() -> None:
    rows = [row(float(u), unique_tokens=u) for u in (1_000, 2_000, 4_000)]
    rows += [{**crossover, "axis": "epochs"} for crossover in rows]
    assert [trend["axis"] for trend in crossover_trends(rows, "unique_tokens")] == [
        "tokens",
        "epochs",
    ]


def test_names_get_ratios_instead_of_a_power_law() -> None:
    rows = [
        row(50.0, "not_reached", **{"data.quality": "high"}),
        {**row(10.0, **{"data.quality": "low"}), "ci95": [9.0, 11.0]},
        {**row(30.0, **{"data.quality": "medium"}), "ci95": [25.0, None]},
    ]
    (trend,) = crossover_trends(rows, "quality")
    assert trend["against"] == "data.quality"
    assert [level["level"] for level in trend["levels"]] == ["low", "medium", "high"]
    assert [level["ratio"] for level in trend["levels"]] == [1.0, 3.0, None]
    assert trend["levels"][2]["ratio_lower_bound"] == 5.0
    assert (trend["exponent"], trend["direction"]) == (None, "later")


def test_undecided_groups_count_from_where_they_were_behind_or_are_left_out_and_named() -> None:
    crossed = [row(u**1.5, unique_tokens=u) for u in (1_000, 2_000, 4_000)]
    late = 8_000**1.5 * 3
    (behind,) = crossover_trends(
        [*crossed, row(late, "undecided", unique_tokens=8_000)], "unique_tokens"
    )
    (censored,) = crossover_trends(
        [*crossed, row(late, "not_reached", unique_tokens=8_000)], "unique_tokens"
    )
    assert behind == censored, "a bound is a bound"
    assert behind["exponent"] > 1.6
    (unknown,) = crossover_trends(
        [*crossed, row(None, "undecided", unique_tokens=8_000)], "unique_tokens"
    )
    assert unknown["exponent"] == pytest.approx(1.5)
    assert (unknown["n_crossed"], unknown["n_censored"]) == (3, 0)
    assert unknown["note"] == "1 undecided without a bound left out"
    (all_unknown,) = crossover_trends([row(None, "undecided")], "unique_tokens")
    assert (all_unknown["exponent"], all_unknown["n_censored"]) == (None, 0)


def test_an_undecided_level_has_no_ratio_and_is_called_so() -> None:
    rows = [row(10.0, **{"data.quality": "low"}),
            row(None, "undecided", **{"data.quality": "high"})]  # fmt: skip
    (trend,) = crossover_trends(rows, "quality")
    assert trend["levels"][1]["ratio"] is trend["levels"][1]["ratio_lower_bound"] is None
    assert (trend["n_crossed"], trend["n_censored"]) == (1, 0)
    assert "1 undecided without a bound left out" in trend["note"]
    assert trend_table_row(trend)["levels"] == "low 10; high undecided"


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="n_params, unique_tokens"):
        crossover_trends([row(1.0)], "dropout")


def test_a_direction_needs_an_interval_without_zero() -> None:
    assert direction([0.1, None]) == "later"
    assert direction([None, -0.1]) == "earlier"
    assert direction([-0.1, 0.1]) == direction([None, 0.1]) == direction(None) == "undetermined"


@pytest.mark.parametrize("bounds", [0, 1, 2])
def test_an_exponent_s_interval_is_called_by_what_it_runs_over(bounds: int) -> None:
    rows = [
        row(place, unique_tokens=x) for x, place in ((1e6, 1.0), (2e6, 2.1), (4e6, 3.9), (8e6, 8.3))
    ] + [row(15.0, "not_reached", unique_tokens=1.6e7 + n) for n in range(bounds)]
    (trend,) = crossover_trends(rows, "unique_tokens")
    kind = "profile likelihood" if bounds else "t interval"
    counted = ["", " and 1 bound", " and 2 bounds"][bounds]
    assert trend["ci95_method"] == (
        f"{kind} of the exponent over 4 crossovers{counted}, 2 degrees of freedom"
    )
    assert notes_of([trend]) == [f"Intervals: {trend['ci95_method']}."]
    (few,) = crossover_trends(rows[:2], "unique_tokens")
    assert (few["ci95"], few["ci95_method"]) == (None, None)
