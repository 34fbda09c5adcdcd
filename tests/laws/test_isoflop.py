"""IsoFLOP profiles: exact ones give back their exponents, useless budgets are left out by name."""

from typing import Any

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.isoflop import ISOFLOP
from workbench.laws.law import Floats

K, A = 0.3, 0.48  # of the best size


def profiles(
    compute: Floats, offset: Floats, noise: float = 0.0, steepness: float = 0.03
) -> LossTable:
    """Budgets of sizes at `offset` (log) from the best; exact parabolas but for the noise."""
    c, z = (part.ravel() for part in np.meshgrid(compute, offset, indexing="ij"))
    n = K * c**A * np.exp(z)
    d = c / (6 * n)
    loss = (1.7 + 120 * c**-0.11) * np.exp(steepness * z**2)
    loss *= np.exp(np.random.default_rng(0).normal(0, noise, len(c)))
    names = np.array([f"run {i}" for i in range(len(c))])
    return LossTable("made", names, n, d, d, loss, 6 * n * d)


COMPUTE = np.geomspace(1e18, 1e21, 7)
OFFSET = np.linspace(-1.6, 2.0, 12)


def test_exact_profiles_give_back_their_exponents() -> None:
    (fit,) = fit_law(ISOFLOP, profiles(COMPUTE, OFFSET), FitOptions(resamples=200))
    assert fit.params["a"] == pytest.approx(A, rel=1e-6)
    assert fit.params["b"] == pytest.approx(1 - A, rel=1e-6)
    assert fit.params["k_N"] == pytest.approx(K, rel=1e-5)
    assert fit.params["k_D"] == pytest.approx(1 / (6 * K), rel=1e-5)
    assert all(fit.identified.values())
    assert fit.held_out is not None
    assert fit.held_out["error_log_n"] == pytest.approx(0, abs=1e-6)
    assert fit.n == len(COMPUTE) * len(OFFSET)


def test_intervals_hold_the_exponent_of_noisy_profiles() -> None:
    table = profiles(COMPUTE, np.linspace(-2, 2, 20), noise=0.005)
    (fit,) = fit_law(ISOFLOP, table, FitOptions(resamples=400))
    for name, truth in (("a", A), ("b", 1 - A)):
        ends = fit.ci95[name]
        assert ends is not None
        low, high = ends
        assert low is not None
        assert high is not None
        assert low < truth < high
        assert high - low < 0.1


def joined(*tables: LossTable) -> LossTable:
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(t, name) for t in tables])
        for name in ("name", "n_params", "total_tokens", "unique_tokens", "loss", "compute")
    }
    return LossTable("made", **parts)


def test_a_budget_without_a_lowest_point_inside_is_left_out_and_named() -> None:
    one_sided = profiles(np.array([1e22]), np.linspace(0.5, 2.5, 10))
    (fit,) = fit_law(
        ISOFLOP, joined(profiles(COMPUTE, OFFSET), one_sided), FitOptions(resamples=150)
    )
    assert any("1e+22" in note and "left out" in note for note in fit.notes)
    assert "7 compute budgets" in fit.notes
    assert fit.params["a"] == pytest.approx(A, rel=1e-6)


def test_a_budget_that_bends_the_wrong_way_is_left_out() -> None:
    hill = profiles(np.array([1e22]), OFFSET, steepness=-0.03)
    (fit,) = fit_law(ISOFLOP, joined(profiles(COMPUTE, OFFSET), hill), FitOptions(resamples=150))
    assert any("1e+22" in note for note in fit.notes)
    assert fit.params["a"] == pytest.approx(A, rel=1e-6)


def test_budgets_of_few_sizes_are_counted_as_left_out() -> None:
    few = profiles(np.array([1e23]), np.array([-0.5, 0.0, 0.5]))
    (fit,) = fit_law(ISOFLOP, joined(profiles(COMPUTE, OFFSET), few), FitOptions(resamples=0))
    assert any("3 rows" in note for note in fit.notes)
    assert fit.n == len(COMPUTE) * len(OFFSET)


def test_one_budget_is_not_enough() -> None:
    with pytest.raises(InputError, match="two compute budgets"):
        fit_law(ISOFLOP, profiles(COMPUTE[:1], OFFSET), FitOptions(resamples=0))


def test_without_resamples_nothing_is_called_identified() -> None:
    (fit,) = fit_law(ISOFLOP, profiles(COMPUTE, OFFSET), FitOptions(resamples=0))
    assert not any(fit.identified.values())
    assert set(fit.ci95.values()) == {None}
