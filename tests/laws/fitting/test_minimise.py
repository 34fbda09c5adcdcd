"""The minimiser and the search: one answer from anywhere, and no worse than others find."""

import warnings

import numpy as np
import pytest
from scipy import optimize

from tests.laws.fitting.conftest import best_or_lost, law, made_table
from workbench.laws.fitting.minimise import _solved, minimise
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.problem import Problem
from workbench.laws.fitting.search import search
from workbench.laws.fitting.starts import make_problem
from workbench.laws.law import Floats

# Not the published values: the search starts at those, too.
OTHERS = {
    "chinchilla": {"E": 1.3, "A": 150.0, "B": 9000.0, "alpha": 0.28, "beta": 0.44},
    "data_constrained": {
        "E": 2.2, "A": 300.0, "B": 5000.0, "alpha": 0.31, "beta": 0.39, "R_D": 6.0, "R_N": 11.0,
    },
    "data_constrained_geometric": {
        "E": 2.2, "A": 300.0, "B": 5000.0, "alpha": 0.31, "beta": 0.39, "R_D": 6.0, "R_N": 11.0,
    },
    "quokka": {
        "A": 900.0, "B": 90.0, "alpha": 0.37, "beta": 0.15, "gain": 1.2, "decay": 0.6, "k": 80.0,
        "mu": 0.3, "nu": 0.4,
    },
}  # fmt: skip


def noisy_problem() -> Problem:
    table = made_table("chinchilla", noise=0.01, sizes=10, values=OTHERS["chinchilla"], seed=4)
    assert len(table) == 240
    return make_problem(law("chinchilla"), table, FitOptions())


def anywhere(problem: Problem, count: int, seed: int) -> Floats:
    """Starts over the whole of the allowed ranges, corners included: losses of 1e14 and of 1e-4."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(count, len(problem.low)))
    share[: count // 4] = rng.integers(0, 2, share[: count // 4].shape)
    return problem.low + share * (problem.high - problem.low)


@pytest.mark.parametrize("name", OTHERS)
def test_exact_data_give_back_parameters_that_no_start_has(name: str) -> None:
    table = made_table(name, values=OTHERS[name])
    options = FitOptions(starts=32)
    best = search(make_problem(law(name), table, options), options)[0]
    for j, parameter in enumerate(law(name).parameters):
        value = float(parameter.to_value(best.theta[j]))
        assert value == pytest.approx(OTHERS[name][parameter.name], rel=1e-6), parameter.name
    assert best.objective < 1e-15


def bad_starts(problem: Problem, factor: float) -> Floats:
    """Each term up to `factor` times too large or too small for all of the loss, any exponents."""
    rng = np.random.default_rng(1)
    size = np.median(problem.log_y) + rng.uniform(-1, 1, (100, 3)) * np.log(factor)
    alpha, beta = rng.uniform(0.05, 0.8, (2, 100))
    n, d = np.median(problem.rows.log_n), np.median(problem.rows.log_d)
    return np.column_stack([size[:, 0], size[:, 1] + alpha * n, size[:, 2] + beta * d, alpha, beta])


@pytest.mark.parametrize(("factor", "most"), [(3.0, 0.95), (30.0, 0.8)])
def test_bad_starts_end_at_the_best_objective_or_lose_a_term(factor: float, most: float) -> None:
    """That some lose a term is what many starts are for."""
    problem = noisy_problem()
    least = search(problem, FitOptions())[0].objective
    minima = minimise(problem, bad_starts(problem, factor), max_iterations=1500)
    assert minima.converged.all()
    assert minima.objective.min() == pytest.approx(least, rel=1e-9)
    best, lost = best_or_lost(problem, minima)
    assert (best | lost).all()
    assert best.mean() > most


@pytest.mark.slow
def test_no_start_rests_where_a_fresh_one_would_descend() -> None:
    """Rounding moves a start as far as these starts are apart."""
    problem = noisy_problem()
    starts = np.repeat(bad_starts(problem, 30.0), 4, axis=0)
    starts *= 1 + 1e-12 * np.random.default_rng(0).standard_normal(starts.shape)
    minima = minimise(problem, starts, max_iterations=1500)
    again = minimise(problem, minima.theta, max_iterations=1500)
    assert (again.objective >= minima.objective * (1 - 1e-6)).all()


def test_no_start_of_the_corners_makes_it_loop_or_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in OTHERS:
            table = made_table(name, noise=0.01, values=OTHERS[name], sizes=4)
            problem = make_problem(law(name), table, FitOptions())
            minima = minimise(problem, anywhere(problem, 40, seed=2), max_iterations=60)
            assert (minima.theta >= problem.low).all()
            assert (minima.theta <= problem.high).all()
            started = np.isfinite(minima.objective)
            assert started.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chinchilla", "data_constrained"])
def test_l_bfgs_b_finds_nothing_lower(name: str) -> None:
    table = made_table(name, noise=0.01, values=OTHERS[name], seed=7)
    problem = make_problem(law(name), table, FitOptions())
    ours = search(problem, FitOptions())[0].objective

    def both(theta: Floats) -> tuple[float, Floats]:
        value = float(problem.objective(theta[None])[0])
        return value, problem.derivatives(theta[None]).gradient[0]

    rng = np.random.default_rng(3)
    truth = law(name).internal(OTHERS[name])
    starts = truth + rng.normal(0, 0.3, (5, len(truth))) * np.maximum(np.abs(truth) * 0.2, 0.05)
    starts = np.vstack([truth, np.clip(starts, problem.low, problem.high)])
    theirs = min(
        optimize.minimize(
            both, start, jac=True, method="L-BFGS-B",
            bounds=list(zip(problem.low, problem.high, strict=True)),
            options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 600},
        ).fun
        for start in starts
    )  # fmt: skip
    assert ours <= theirs * (1 + 1e-6)


def test_neither_seeds_nor_the_order_of_rows_change_the_answer() -> None:
    table = made_table("chinchilla", noise=0.01, values=OTHERS["chinchilla"], sizes=5)
    order = np.random.default_rng(0).permutation(len(table))
    searches = [
        search(make_problem(law("chinchilla"), rows, FitOptions()), FitOptions(starts=16, seed=k))
        for k, rows in enumerate((table, table, table.take(order)))
    ]
    for minima in searches[1:]:
        assert minima[0].objective == pytest.approx(searches[0][0].objective, rel=1e-8)
        assert minima[0].theta == pytest.approx(searches[0][0].theta, rel=1e-4)


def test_a_singular_system_among_others_ends_in_a_step_downhill_and_spoils_none() -> None:
    rng = np.random.default_rng(0)
    good = rng.normal(size=(3, 4, 4))
    good = good @ good.transpose(0, 2, 1) + np.eye(4)
    singular = np.zeros((2, 4, 4))
    singular[0, 0, 0] = 1e308  # what is left of an overflow
    singular[1, :2, :2] = 1.0
    systems = np.concatenate([good[:1], singular, good[1:]])
    right = rng.normal(size=(5, 4))
    solved = _solved(systems, right)
    assert np.isfinite(solved).all()
    for row in (0, 3, 4):
        assert solved[row] == pytest.approx(np.linalg.solve(systems[row], right[row]))
    for row in (1, 2):
        assert solved[row] @ right[row] > 0
