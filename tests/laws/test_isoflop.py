"""IsoFLOP profiles: exact ones give back their exponents, useless budgets are left out by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.conditions import parse_conditions
from workbench.errors import InputError
from workbench.laws.fitting.check_table import mixed_conditions
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.isoflop import ISOFLOP, budgets
from workbench.laws.law import Floats

# The points of Figure 2 of arXiv 2407.21783 (Llama 3), read from its vector graphics by
# github.com/eric-czech/llama3_isoflop_extraction: FLOPs, tokens, and the losses, of which the
# figure shows logarithms.
LLAMA3 = Path(__file__).with_name("data") / "llama3_isoflop.csv"

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


def published_profiles() -> LossTable:
    frame = pl.read_csv(LLAMA3)
    compute, d, y = (frame[name].to_numpy() for name in ("compute", "total_tokens", "log_loss"))
    names = np.array([f"row {i + 1}" for i in range(len(d))])
    return LossTable("llama3", names, compute / (6 * d), d, None, np.exp(y), compute)


def test_the_published_optimum_of_llama_3_comes_out() -> None:
    """D = 0.299 C^0.537: section 3.2.1 of the paper gives (0.53, 0.29) for it."""
    (fit,) = fit_law(ISOFLOP, published_profiles(), FitOptions(resamples=200))
    assert fit.params["k_D"] == pytest.approx(0.2994, abs=5e-5)
    assert fit.params["b"] == pytest.approx(0.5368, abs=5e-5)
    assert all(fit.identified.values())
    assert fit.huber_delta is None
    assert not fit.checks


def test_hubers_loss_is_a_choice_and_another_answer() -> None:
    (fit,) = fit_law(ISOFLOP, published_profiles(), FitOptions(resamples=0, delta=1e-3))
    assert fit.params["k_D"] == pytest.approx(0.3434, abs=5e-5)
    assert fit.params["b"] == pytest.approx(0.5340, abs=5e-5)
    assert fit.huber_delta == 1e-3


def test_parabolas_are_the_least_squares_ones() -> None:
    table = profiles(COMPUTE, OFFSET, noise=0.02)
    for budget in budgets(table, FitOptions(resamples=0)):
        z = np.log(table.n_params[budget.rows]) - budget.centre
        expected = np.polyfit(z, np.log(table.loss[budget.rows]), 2)[::-1]
        assert budget.coefficients == pytest.approx(expected, rel=1e-6, abs=1e-9)


def two_conditions(apart: float, **columns: list[object]) -> LossTable:
    """The same sizes and tokens twice, the second time with losses higher by a share."""
    one = profiles(COMPUTE, OFFSET, noise=0.001)
    both = joined(one, replace(one, loss=one.loss * (1 + apart)))
    names = np.array([f"run {i}" for i in range(len(both))])
    values = {k: np.repeat(np.array(v, dtype=object), len(one)) for k, v in columns.items()}
    return replace(both, name=names, columns=values)


def test_two_conditions_in_one_table_are_noticed_named_and_leave_nothing_identified() -> None:
    (fit,) = fit_law(ISOFLOP, two_conditions(0.2), FitOptions(resamples=200))
    equal, poor = fit.checks
    assert "168 rows share parameters and tokens with another row of another loss" in equal
    assert "run 0, run 84" in equal or ", run " in equal
    assert "Within compute budgets, R2 0." in poor
    assert not any(fit.identified.values())


def test_rows_that_differ_in_a_column_are_two_conditions_however_near_their_losses() -> None:
    table = two_conditions(0.01, dropout=[0.0, 0.1], seed=[0, 1])
    (fit,) = fit_law(ISOFLOP, table, FitOptions(resamples=200))
    (finding,) = fit.checks
    assert "they differ in dropout. --where chooses rows" in finding
    assert not any(fit.identified.values())
    chosen = table.where(parse_conditions(["dropout = 0.1"], "--where"))
    (fit,) = fit_law(ISOFLOP, chosen, FitOptions(resamples=200))
    assert not fit.checks
    assert all(fit.identified.values())


def test_rows_that_differ_in_their_seed_are_repeats() -> None:
    table = two_conditions(0.001, seed=[0, 1])
    (fit,) = fit_law(ISOFLOP, table, FitOptions(resamples=200))
    assert not fit.checks
    assert all(fit.identified.values())


def test_rows_of_other_unique_tokens_are_another_condition() -> None:
    """IsoFLOP reads no unique tokens: a law that does is not warned of them."""
    table = two_conditions(0.01)
    unique = table.total_tokens / np.repeat([1.0, 4.0], len(table) // 2)
    table = replace(table, unique_tokens=unique, columns={"unique_tokens": unique.astype(object)})
    assert mixed_conditions(table, unique=False) == ["unique_tokens"]
    assert mixed_conditions(table, unique=True) == []


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
