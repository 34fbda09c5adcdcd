"""Fits of known laws, and of published runs with known answers."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from tests.laws.fitting.conftest import best_or_lost, law, made_table
from workbench.errors import InputError
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.minimise import minimise
from workbench.laws.fitting.options import STAGES, FitOptions
from workbench.laws.fitting.problem import Problem, huber
from workbench.laws.fitting.starts import draw_starts, make_problem
from workbench.laws.fitting.tournament import tournament
from workbench.laws.law import Rows
from workbench.laws.registry import LAWS

FAST = FitOptions(resamples=0, starts=16)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["chinchilla", "data_constrained", "data_constrained_geometric", "quokka"]
)
def test_exact_data_give_back_their_parameters(name: str) -> None:
    scaling_law = law(name)
    truth = scaling_law.published or law("data_constrained").published
    (fit,) = fit_law(scaling_law, made_table(name), FAST)
    for parameter, value in truth.items():
        assert fit.params[parameter] == pytest.approx(value, rel=1e-4), parameter
    assert fit.loss < 1e-10
    assert fit.r2 == pytest.approx(1.0)


def test_the_published_point_has_the_published_objective(published_runs: LossTable) -> None:
    scaling_law = law("data_constrained")
    (fit,) = fit_law(
        scaling_law, published_runs, FitOptions(fixed=scaling_law.published, resamples=0)
    )
    assert fit.loss == pytest.approx(0.015825935, abs=1e-8)
    assert fit.r2 == pytest.approx(0.7722046084968, abs=1e-8)
    assert fit.identified == {}
    assert set(fit.fixed) == set(scaling_law.names)


@pytest.mark.slow
def test_the_search_goes_beyond_the_published_minimum(published_runs: LossTable) -> None:
    scaling_law = law("data_constrained")
    fixed = {k: v for k, v in scaling_law.published.items() if k not in ("R_D", "R_N")}
    (fit,) = fit_law(scaling_law, published_runs, FitOptions(fixed=fixed, resamples=200))
    assert fit.loss <= 0.0158048
    minima = [(m["params"]["R_D"], m["params"]["R_N"], m["loss"]) for m in fit.minima]
    for known in ((95.37, 1.706, 0.0158047), (46.99, 2.33, 0.0158074), (15.37, 5.315, 0.0158259)):
        assert any(minimum == pytest.approx(known, rel=2e-3) for minimum in minima), known
    assert fit.identified["R_D"] is False
    assert fit.ci95["R_D"] is not None
    low, high = fit.ci95["R_D"]
    assert low == pytest.approx(5.5, rel=0.5)  # known: about 4.6
    assert high is None
    assert any("83m32b100m" in check and "83m60b100m" in check for check in fit.checks)


@pytest.mark.parametrize("seed", [3, 10, 13])
def test_starts_of_240_rows_end_at_the_best_objective_or_lose_a_term(seed: int) -> None:
    table = made_table("chinchilla", noise=0.005, sizes=10).take(np.arange(240))
    problem = make_problem(law("chinchilla"), table, FAST)
    minima = minimise(problem, draw_starts(problem, 200, seed=seed), max_iterations=1500)
    assert minima.converged.all()
    best, lost = best_or_lost(problem, minima)
    assert (best | lost).all()
    assert best.mean() > 0.95


@pytest.mark.slow
def test_no_other_optimiser_finds_less() -> None:
    table = made_table("chinchilla", noise=0.01, sizes=5)
    problem = make_problem(law("chinchilla"), table, FAST)
    starts = draw_starts(problem, 12, seed=5)
    ours = minimise(problem, starts).objective.min()

    def both(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value = float(problem.objective(theta[None])[0])
        return value, problem.derivatives(theta[None]).gradient[0]

    bounds = list(zip(problem.low, problem.high, strict=True))
    theirs = min(
        optimize.minimize(both, start, jac=True, method="L-BFGS-B", bounds=bounds,
                          options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 3000}).fun
        for start in starts
    )  # fmt: skip
    assert ours <= theirs * (1 + 1e-6)


@pytest.mark.slow
def test_a_thousand_resamples_take_seconds() -> None:
    table = made_table("chinchilla", noise=0.005, sizes=10).take(np.arange(240))
    began = time.process_time()  # of both cores: others may be at work here
    (fit,) = fit_law(law("chinchilla"), table, FitOptions())
    assert time.process_time() - began < 2 * 20
    assert fit.ci_method == "bootstrap over rows, 1,000 resamples"
    assert fit.draws is not None
    assert len(fit.draws["alpha"]) == 1000


@pytest.mark.parametrize("options", [
    FAST,
    FitOptions(tied=(("alpha", "beta"),)),
    FitOptions(fixed={"E": 1.7}),
])  # fmt: skip
def test_the_objectives_gradient_is_its_slope(options: FitOptions) -> None:
    problem = make_problem(law("data_constrained"), made_table("chinchilla", noise=0.1), options)
    theta = draw_starts(problem, 4, seed=1)
    gradient = problem.derivatives(theta).gradient
    for j in range(theta.shape[1]):
        moved = theta.copy()
        moved[:, j] += 1e-6
        back = theta.copy()
        back[:, j] -= 1e-6
        slope = (problem.objective(moved) - problem.objective(back)) / 2e-6
        assert gradient[:, j] == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_the_huber_loss_is_smooth_where_its_pieces_meet() -> None:
    delta = 1e-3
    r = np.array([-delta, delta])
    assert huber(r, delta) == pytest.approx(0.5 * r**2)
    assert huber(r * (1 + 1e-9), delta) == pytest.approx(huber(r, delta))
    assert huber(np.array([0.1]), delta)[0] == pytest.approx(delta * (0.1 - delta / 2))


@pytest.mark.slow
def test_tied_exponents_are_equal() -> None:
    table = made_table("chinchilla", noise=0.003)
    (fit,) = fit_law(law("chinchilla"), table, FitOptions(tied=(("alpha", "beta"),), resamples=50))
    assert fit.params["alpha"] == fit.params["beta"]
    assert fit.ci95["alpha"] == fit.ci95["beta"]


def two_objectives(noise: float) -> LossTable:
    values = law("chinchilla").published
    ar = made_table("chinchilla", noise=noise, objective="ar", sizes=5)
    other = made_table(
        "chinchilla",
        noise=noise,
        seed=1,
        objective="mdlm",
        values={**values, "B": 4000.0, "E": 2.0},
    )
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(ar, name), getattr(other, name)])
        for name in ("name", "n_params", "total_tokens", "unique_tokens", "loss", "compute",
                     "objective")
    }  # fmt: skip
    return LossTable(source="made", **joined)


@pytest.mark.slow
def test_shared_exponents_are_one_for_both_objectives() -> None:
    options = FitOptions(shared=("alpha", "beta"), resamples=50)
    ar, mdlm = fit_law(law("chinchilla"), two_objectives(0.002), options)
    assert (ar.objective_name, mdlm.objective_name) == ("ar", "mdlm")
    assert ar.params["alpha"] == mdlm.params["alpha"]
    assert ar.params["B"] == pytest.approx(2085.43, rel=0.2)
    assert mdlm.params["B"] == pytest.approx(4000, rel=0.2)
    assert mdlm.params["E"] == pytest.approx(2.0, rel=0.02)


@pytest.mark.slow
def test_objectives_are_fitted_separately_unless_joined() -> None:
    table = two_objectives(0.002)
    separate = fit_law(law("chinchilla"), table, FAST)
    joined = fit_law(law("chinchilla"), table, FitOptions(joint=True, resamples=0))
    assert [fit.objective_name for fit in separate] == ["ar", "mdlm"]
    assert [fit.objective_name for fit in joined] == [None]
    assert joined[0].n == separate[0].n + separate[1].n
    assert joined[0].loss > separate[0].loss + separate[1].loss


@pytest.mark.slow
def test_the_second_stage_holds_what_single_epochs_gave() -> None:
    (fit,) = fit_law(
        law("data_constrained"), made_table("data_constrained", sizes=12),
        FitOptions(two_stage=True, resamples=0),
    )  # fmt: skip
    assert {"E", "A", "B", "alpha", "beta"} <= set(fit.fixed)
    assert set(fit.identified) == {"R_D", "R_N"}


@pytest.mark.slow
def test_repeats_cannot_be_judged_without_any() -> None:
    (fit,) = fit_law(
        law("data_constrained"), made_table("data_constrained", once=True, noise=0.003, sizes=12),
        FitOptions(resamples=60, starts=32),
    )  # fmt: skip
    assert fit.identified["R_D"] is False


def test_a_single_size_leaves_its_exponent_open() -> None:
    table = made_table("chinchilla", noise=0.002)
    same = table.take(table.n_params == table.n_params[0])
    (fit,) = fit_law(law("chinchilla"), same, FitOptions(resamples=60, starts=32))
    assert fit.identified["A"] is False
    assert fit.identified["alpha"] is False
    assert fit.identified["beta"] is True


@pytest.mark.slow
def test_what_the_data_tell_is_identified() -> None:
    (fit,) = fit_law(
        law("data_constrained"), made_table("data_constrained", noise=0.003),
        FitOptions(resamples=100, starts=32),
    )  # fmt: skip
    assert all(fit.identified.values())
    for name, ends in fit.ci95.items():
        assert ends is not None
        assert None not in ends, name


@pytest.mark.slow
def test_a_planted_outlier_is_named() -> None:
    table = made_table("chinchilla", noise=0.002)
    loss = table.loss.copy()
    loss[17] *= 1.3
    (fit,) = fit_law(law("chinchilla"), replace(table, loss=loss), FitOptions(resamples=50))
    assert any("run 17" in check for check in fit.checks)


def test_held_out_rows_are_those_of_most_compute() -> None:
    table = made_table("chinchilla", noise=0.002)
    (fit,) = fit_law(law("chinchilla"), table, FAST)
    assert fit.held_out is not None
    held_out = table.compute >= fit.held_out["compute_from"] * (1 - 1e-9)
    assert fit.held_out["n"] == held_out.sum()
    assert fit.held_out["fitted_rows"] + fit.held_out["n"] == len(table)
    assert fit.held_out["rmse_log"] == pytest.approx(0.002, rel=0.5)


@pytest.mark.slow
def test_the_law_that_made_the_data_wins_the_tournament() -> None:
    rivals = {name: LAWS[name] for name in ("chinchilla", "data_constrained", "critical_compute")}
    fits, missing = tournament(rivals, made_table("data_constrained", noise=0.003), FAST)
    assert [fit.law for fit in fits] == ["data_constrained", "chinchilla"]
    assert [line.split(":")[0] for line in missing] == ["critical_compute"]


@pytest.mark.slow
def test_intervals_are_reproducible() -> None:
    table = made_table("chinchilla", noise=0.005)
    first, second = (
        fit_law(law("chinchilla"), table, FitOptions(resamples=60))[0].ci95 for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FitOptions(fixed={"R_d": 1.0}), "did you mean 'R_D'"),
        (FitOptions(fixed={"E": -1.0}), "more than 0"),
        (FitOptions(fixed={"alpha": 9.0}), "0.005 to 3"),
        (FitOptions(tied=(("alpha", "A"),)), "two exponents"),
        (FitOptions(tied=(("alpha", "beta"),), fixed={"alpha": 0.3, "beta": 0.4}), "different"),
        (FitOptions(shared=("E",), joint=True), "joint"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: FitOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_law(law("data_constrained"), made_table("chinchilla"), options)


@pytest.mark.slow
def test_many_rows_get_an_answer_in_good_time() -> None:
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7, 10, 100_000), 10 ** rng.uniform(9, 12, 100_000)
    scaling_law = law("chinchilla")
    loss = scaling_law.predict(scaling_law.published, Rows.of(n, d, d)) * np.exp(
        rng.normal(0, 0.01, len(n))
    )
    table = LossTable("made", np.arange(len(n)).astype(str), n, d, None, loss, 6 * n * d)
    began = time.process_time()
    (fit,) = fit_law(scaling_law, table, FitOptions())
    assert time.process_time() - began < 60
    assert fit.ci_method == "sandwich covariance, normal"
    for name, value in scaling_law.published.items():
        low, high = fit.ci95[name] or (None, None)
        assert low is not None
        assert high is not None
        assert abs(value - fit.params[name]) < high - low  # one in five misses 95 %


def test_a_problem_takes_rows() -> None:
    problem: Problem = make_problem(law("chinchilla"), made_table("chinchilla"), FAST)
    part = problem.take(np.arange(3))
    assert part.n == 3
    theta = draw_starts(problem, 1, seed=0)
    assert part.residuals(theta) == pytest.approx(problem.residuals(theta)[:, :3])


def test_a_fit_tells_its_stages_in_their_order() -> None:
    stages: list[str] = []
    options = FitOptions(resamples=10, starts=4, progress=stages.append)
    fit_law(law("chinchilla"), made_table("chinchilla", noise=0.01, sizes=4), options)
    assert tuple(stages) == STAGES
