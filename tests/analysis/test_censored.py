"""A level, and a line, through points of which some are bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from workbench.analysis.censored import fit_level


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8))
def test_a_level_without_bounds_is_the_mean_and_its_scatter_the_standard_deviation(
    values: list[float],
) -> None:
    y = np.array(values)
    level, scatter = fit_level(y, np.zeros(len(y), dtype=int))
    assert level == pytest.approx(y.mean())
    assert scatter == pytest.approx(y.std(ddof=1))


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_level_with_bounds_is_the_most_likely_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(3.0, 1.0, 9)
    side = np.array([0, 0, 0, 0, 0, 1, 1, -1, 1])

    def negative(p: np.ndarray) -> float:
        z = (y - p[0]) / np.exp(p[1])
        exact = stats.norm.logpdf(z[side == 0]) - p[1]
        return -float(exact.sum() + stats.norm.logcdf(-side[side != 0] * z[side != 0]).sum())

    exactly = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
    best = optimize.minimize(negative, [3.0, 0.0], method="Nelder-Mead", options=exactly).x
    level, scatter = fit_level(y, side)
    assert level == pytest.approx(best[0], abs=1e-5)
    assert scatter == pytest.approx(np.exp(best[1]) * np.sqrt(5 / 4), rel=1e-4)


def test_one_exact_point_is_the_level_and_has_no_scatter() -> None:
    level, scatter = fit_level(np.array([2.0, 5.0]), np.array([0, 1]))
    assert (level, scatter) == (2.0, None)


def test_equal_points_have_no_scatter_unless_a_bound_contradicts_them() -> None:
    assert fit_level(np.array([2.0, 2.0, 1.0]), np.array([0, 0, 1])) == (2.0, 0.0)
    assert fit_level(np.array([2.0, 2.0, 5.0]), np.array([0, 0, 1])) == (2.0, None)
