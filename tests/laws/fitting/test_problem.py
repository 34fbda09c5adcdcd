"""The objective's gradient is its slope, however parameters are tied, shared or fixed."""

from dataclasses import replace

import numpy as np
import pytest

from tests.laws.fitting.conftest import law, made_table
from workbench.errors import InputError
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.problem import Problem, huber
from workbench.laws.fitting.starts import draw_starts, make_problem
from workbench.laws.law import Floats


def both_objectives() -> LossTable:
    table = made_table("data_constrained", noise=0.02, sizes=4)
    loss = table.loss.copy()
    loss[1::2] *= 1.1
    return replace(table, loss=loss, objective=np.array(["ar", "mdlm"] * (len(table) // 2)))


def worst_slope(problem: Problem, theta: Floats, counts: Floats | None = None) -> float:
    """The gradient's largest error relative to its size. Steps stay within a Huber piece's
    bend: the objective is differentiable there, once."""
    gradient = problem.derivatives(theta, counts).gradient
    worst = 0.0
    for j in np.flatnonzero(problem.free):
        step = 1e-7 * max(1.0, np.abs(theta[:, j]).max())
        ahead, behind = theta.copy(), theta.copy()
        ahead[:, j] += step
        behind[:, j] -= step
        slope = (problem.objective(ahead, counts) - problem.objective(behind, counts)) / (2 * step)
        error = np.abs(slope - gradient[:, j]) / (np.abs(gradient).max(axis=1) + 1e-9)
        worst = max(worst, float(error.max()))
    return worst


CASES = {
    "free": FitOptions(),
    "tied": FitOptions(tied=(("alpha", "beta"),)),
    "tied in a chain": FitOptions(tied=(("alpha", "beta"), ("R_D", "R_N"), ("A", "B"))),
    "fixed": FitOptions(fixed={"E": 1.8, "alpha": 0.3}),
    "tied and fixed": FitOptions(tied=(("alpha", "beta"),), fixed={"beta": 0.3}),
    "shared": FitOptions(shared=("alpha", "beta", "R_N")),
    "shared, tied and fixed": FitOptions(
        shared=("beta",), tied=(("alpha", "beta"),), fixed={"E": 1.8}
    ),
}


@pytest.mark.parametrize("name", ["data_constrained", "data_constrained_geometric"])
@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_the_slope(case: str, name: str) -> None:
    problem = make_problem(law(name), both_objectives(), CASES[case])
    rng = np.random.default_rng(0)
    theta = draw_starts(problem, 6, seed=2)
    theta[:, problem.free] += rng.normal(0, 0.01, (len(theta), int(problem.free.sum())))
    counts = rng.integers(0, 4, (len(theta), problem.n)).astype(float)
    assert worst_slope(problem, theta) < 1e-4
    assert worst_slope(problem, theta, counts) < 1e-4


def test_counts_are_repeated_rows() -> None:
    problem = make_problem(law("chinchilla"), made_table("chinchilla", noise=0.02), FitOptions())
    theta = draw_starts(problem, 3, seed=0)
    counts = np.random.default_rng(1).integers(0, 3, problem.n)
    repeated = problem.take(np.repeat(np.arange(problem.n), counts))
    weighted = np.tile(counts.astype(float), (len(theta), 1))
    assert problem.objective(theta, weighted) == pytest.approx(repeated.objective(theta))
    assert problem.derivatives(theta, weighted).gradient == pytest.approx(
        repeated.derivatives(theta).gradient
    )


def test_the_huber_loss_has_neither_jump_nor_kink() -> None:
    delta = 1e-3
    r = np.array([0.0, 0.5, 1.0, 1.5, 40.0]) * delta
    r = np.concatenate([-r, r])
    step = 1e-9
    slope = (huber(r + step, delta) - huber(r - step, delta)) / (2 * step)
    assert slope == pytest.approx(np.clip(r, -delta, delta), abs=1e-8)
    assert huber(np.array([delta]), delta)[0] == delta**2 / 2


def test_the_objective_is_summed_not_averaged() -> None:
    table = made_table("chinchilla", noise=0.02)
    problem = make_problem(law("chinchilla"), table, FitOptions())
    theta = draw_starts(problem, 2, seed=0)
    twice = problem.take(np.tile(np.arange(problem.n), 2))
    assert twice.objective(theta) == pytest.approx(2 * problem.objective(theta))


@pytest.mark.parametrize(
    "ties",
    [
        (("alpha", "beta"),),
        (("beta", "alpha"),),
        (("alpha", "beta"), ("beta", "alpha")),
    ],
)
def test_ties_mean_the_same_whichever_way_they_are_written(ties: tuple[tuple[str, str]]) -> None:
    problem = make_problem(law("chinchilla"), made_table("chinchilla"), FitOptions(tied=ties))
    names = law("chinchilla").names
    assert problem.index[0, names.index("alpha")] == problem.index[0, names.index("beta")]
    assert len(problem.names) == 4


@pytest.mark.parametrize(
    "ties",
    [
        (("alpha", "mu"), ("alpha", "nu")),
        (("alpha", "mu"), ("mu", "nu")),
        (("mu", "nu"), ("alpha", "mu")),
        (("nu", "mu"), ("mu", "alpha")),
    ],
)
def test_ties_of_ties_are_ties(ties: tuple[tuple[str, str]]) -> None:
    quokka = law("quokka")
    problem = make_problem(quokka, made_table("chinchilla"), FitOptions(tied=ties))
    places = {problem.index[0, quokka.names.index(name)] for name in ("alpha", "mu", "nu")}
    assert len(places) == 1
    assert len(problem.names) == len(quokka.names) - 2


@pytest.mark.parametrize("fixed_name", ["alpha", "beta"])
def test_a_value_fixed_for_either_of_a_tie_fixes_both(fixed_name: str) -> None:
    options = FitOptions(tied=(("alpha", "beta"),), fixed={fixed_name: 0.3}, resamples=0, starts=4)
    (fit,) = fit_law(law("chinchilla"), made_table("chinchilla", sizes=3), options)
    assert fit.params["alpha"] == pytest.approx(0.3, rel=1e-12)
    assert fit.params["beta"] == pytest.approx(0.3, rel=1e-12)
    assert set(fit.fixed) == {"alpha", "beta"}
    assert not {"alpha", "beta"} & set(fit.identified)


@pytest.mark.parametrize("shared", ["alpha", "beta"])
def test_sharing_either_of_a_tie_shares_both(shared: str) -> None:
    options = FitOptions(tied=(("alpha", "beta"),), shared=(shared,))
    problem = make_problem(law("chinchilla"), both_objectives(), options)
    assert len(set(problem.index[:, [3, 4]].ravel())) == 1


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.0, -1.0, 1e300])
def test_a_value_that_no_loss_can_have_is_not_fixed(value: float) -> None:
    with pytest.raises(InputError, match="allowed is more than 0"):
        fit_law(law("chinchilla"), made_table("chinchilla"), FitOptions(fixed={"E": value}))


def test_stages_of_objectives_are_not_mixed() -> None:
    options = FitOptions(two_stage=True, shared=("R_D",))
    with pytest.raises(InputError, match="--two-stage and --share"):
        fit_law(law("data_constrained"), both_objectives(), options)
