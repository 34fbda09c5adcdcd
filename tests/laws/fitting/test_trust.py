"""How far a fit is to be trusted: identified or not, held-out rows, influential rows, outliers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.laws.fitting.conftest import law, made_table
from workbench.laws.fitting.check_table import outliers
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.held_out import held_out_rows
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.search import search
from workbench.laws.fitting.starts import make_problem
from workbench.laws.fitting.uncertainty import leave_one_out, likelihood_threshold
from workbench.laws.law import Rows


def relabelled(*tables: LossTable) -> LossTable:
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(t, name) for t in tables])
        for name in (
            "name", "n_params", "total_tokens", "unique_tokens", "loss", "compute", "objective",
        )
    }  # fmt: skip
    return LossTable("made", **parts)


SUM = {"E": 1.6, "A": 250.0, "B": 1500.0, "alpha": 0.31, "beta": 0.36}


def test_without_repeats_the_worth_of_repeats_is_unbounded() -> None:
    fixed = {**SUM, "R_N": 5.0}
    table = made_table(
        "data_constrained", once=True, noise=0.003, sizes=12, values={**fixed, "R_D": 10.0}
    )
    (fit,) = fit_law(
        law("data_constrained"), table, FitOptions(fixed=fixed, resamples=60, starts=16)
    )
    assert fit.identified == {"R_D": False}
    assert np.ptp([p for profile in fit.profiles for p in profile.objective]) < 1e-12


def test_sizes_that_data_support_leave_r_n_open() -> None:
    n, u, e = (
        part.ravel()
        for part in np.meshgrid(
            np.geomspace(1e6, 3e7, 6), [1e10, 3e10], [1.0, 3.0, 10.0, 40.0], indexing="ij"
        )
    )
    truth = {**SUM, "R_D": 10.0, "R_N": 5.0}
    loss = law("data_constrained").predict(truth, Rows.of(n, u * e, u))
    loss = loss * np.exp(np.random.default_rng(0).normal(0, 0.002, len(n)))
    names = np.array([f"run {i}" for i in range(len(n))])
    table = LossTable("made", names, n, u * e, u, loss, 6 * n * u * e)
    (fit,) = fit_law(law("data_constrained"), table, FitOptions(fixed=SUM, resamples=60, starts=16))
    assert fit.identified == {"R_D": True, "R_N": False}
    assert fit.params["R_D"] == pytest.approx(10, rel=0.2)


def test_one_number_of_tokens_leaves_the_data_term_open() -> None:
    table = made_table("chinchilla", noise=0.002, sizes=60, once=True, values=SUM)
    same = table.take(table.total_tokens == table.total_tokens[0])
    (fit,) = fit_law(law("chinchilla"), same, FitOptions(resamples=60, starts=24))
    assert not fit.identified["B"]
    assert not fit.identified["beta"]
    assert not fit.identified["E"]


@pytest.mark.slow
def test_shared_exponents_of_two_objectives_are_found_together() -> None:
    ar = made_table("chinchilla", noise=0.003, values=SUM, objective="ar", sizes=4)
    other = {**SUM, "E": 1.9, "A": 400.0, "B": 4000.0}
    mdlm = made_table("chinchilla", noise=0.003, seed=1, values=other, objective="mdlm", sizes=4)
    options = FitOptions(shared=("alpha", "beta"), resamples=40, starts=8)
    fits = fit_law(law("chinchilla"), relabelled(ar, mdlm), options)
    for fit, truth in zip(fits, (SUM, other), strict=True):
        for name, value in truth.items():
            ends = fit.ci95[name]
            assert ends is not None
            low, high = ends
            assert low is not None
            assert high is not None
            assert low - 0.1 * (high - low) < value < high + 0.1 * (high - low), name
    assert fits[0].params["alpha"] == fits[1].params["alpha"]
    assert fits[0].ci95["beta"] == fits[1].ci95["beta"]
    assert fits[0].params["E"] != fits[1].params["E"]
    # Together the exponents have narrower intervals than from one objective alone.
    ar_only = fit_law(law("chinchilla"), ar, replace(options, shared=()))[0].ci95["beta"]
    both = fits[0].ci95["beta"]
    assert ar_only is not None
    assert both is not None
    assert both[1] - both[0] < ar_only[1] - ar_only[0]


def test_two_stages_recover_a_law_without_excess_parameters() -> None:
    truth = {**SUM, "R_D": 8.0, "R_N": 1e5}
    table = made_table("data_constrained", noise=0.0, values=truth, sizes=12)
    options = FitOptions(two_stage=True, fixed={"R_N": 1e5}, resamples=0, starts=24)
    (fit,) = fit_law(law("data_constrained"), table, options)
    assert fit.params["R_D"] == pytest.approx(8, rel=1e-4)
    for name, value in SUM.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-4)
    assert list(fit.identified) == ["R_D"]


@pytest.mark.slow
def test_a_joint_fit_is_the_fit_of_all_rows() -> None:
    ar = made_table("chinchilla", noise=0.003, sizes=3, objective="ar")
    mdlm = made_table("chinchilla", noise=0.003, sizes=3, seed=1, objective="mdlm")
    both = relabelled(ar, mdlm)
    options = FitOptions(resamples=0, starts=4)
    (joint,) = fit_law(law("chinchilla"), both, replace(options, joint=True))
    (plain,) = fit_law(law("chinchilla"), replace(both, objective=None), options)
    assert joint.params == plain.params
    assert joint.objective_name is None


def test_rows_of_equal_compute_are_held_out_together() -> None:
    table = made_table("chinchilla", noise=0.01)
    n = len(table)
    compute = np.repeat(np.geomspace(1e18, 1e21, n // 24), 24)
    compute *= 1 + 1e-12 * np.random.default_rng(0).uniform(-1, 1, n)  # equal but for rounding
    for share in (0.05, 0.2, 0.3):
        held_out = held_out_rows(replace(table, compute=compute), share)
        assert held_out is not None
        blocks = held_out.reshape(-1, 24)
        assert (blocks.all(axis=1) | ~blocks.any(axis=1)).all()
        assert blocks[-1].all()


def test_nothing_is_held_out_where_all_rows_have_equal_compute() -> None:
    table = made_table("chinchilla")
    assert held_out_rows(replace(table, compute=np.full(len(table), 1e20)), 0.2) is None


def test_held_out_errors_are_of_rows_the_fit_has_not_seen() -> None:
    table = made_table("chinchilla", noise=0.002, values=SUM, sizes=4)
    held_out = held_out_rows(table, 0.2)
    assert held_out is not None
    spoilt = table.loss.copy()
    spoilt[held_out] *= 1.5
    (fit,) = fit_law(
        law("chinchilla"), replace(table, loss=spoilt), FitOptions(resamples=0, starts=16)
    )
    assert fit.held_out is not None
    assert fit.held_out["rmse_log"] == pytest.approx(np.log(1.5), rel=0.05)
    assert fit.held_out["bias_log"] == pytest.approx(-np.log(1.5), rel=0.05)


def test_leave_one_out_names_a_planted_row() -> None:
    """By least squares: the Huber loss would hardly heed it, and should not."""
    table = made_table("chinchilla", noise=0.002, values=SUM, sizes=4)
    loss = table.loss.copy()
    planted = int(np.argmax(table.compute))
    loss[planted] *= 1.2
    options = FitOptions(resamples=40, starts=8, delta=1.0)
    (fit,) = fit_law(law("chinchilla"), replace(table, loss=loss), options)
    assert fit.influence is not None
    assert fit.influence[0]["row"] == table.name[planted]
    assert abs(fit.influence[0]["shift_in_ci_widths"]) > 0.2


def test_leave_one_out_moves_as_a_fit_without_the_row_does() -> None:
    table = made_table("chinchilla", noise=0.01, values=SUM, sizes=4)
    chinchilla, options = law("chinchilla"), FitOptions(starts=16)
    problem = make_problem(chinchilla, table, options)
    theta = search(problem, options)[0].theta
    influences = leave_one_out(problem, theta, np.ones(5))
    assert influences is not None
    first = influences[0]
    without = problem.take(np.flatnonzero(np.arange(len(table)) != first.row))
    again = search(without, options)[0].theta
    place = chinchilla.names.index(first.parameter)
    assert first.shift == pytest.approx(again[place] - theta[place], rel=1e-3)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_an_outlier_is_named_whichever_way_it_lies(factor: float) -> None:
    table = made_table("chinchilla", noise=0.003)
    residuals = np.random.default_rng(0).normal(0, 0.003, len(table))
    residuals[11] += np.log(factor)
    (finding,) = outliers(table, residuals)
    assert "run 11" in finding
    assert finding.startswith("1 row ")


def test_good_rows_are_no_outliers() -> None:
    table = made_table("chinchilla")
    assert outliers(table, np.random.default_rng(0).normal(0, 0.003, len(table))) == []


@pytest.mark.parametrize("n", [10, 200, 100_000])
@pytest.mark.parametrize("objective", [0.0, 1e-12, 1e-3, 10.0])
def test_the_likelihood_threshold_lies_above_the_minimum(objective: float, n: int) -> None:
    threshold = likelihood_threshold(objective, n, 5, 1e-3)
    assert np.isfinite(threshold)
    assert threshold > objective
    assert likelihood_threshold(objective * 2, n, 5, 1e-3) >= threshold
