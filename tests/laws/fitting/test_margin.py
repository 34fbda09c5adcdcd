"""Which law is better on unseen rows, and how surely: margins, ties, shared parameters."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.laws.fitting.conftest import law, made_table
from tests.laws.fitting.test_trust import SUM, relabelled
from workbench.laws.fitting.clusters import Clusters
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.margin import margin
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import summary
from workbench.laws.fitting.tournament import standings, tournament, verdicts


def test_the_margin_is_the_difference_of_the_root_mean_squares() -> None:
    rng = np.random.default_rng(0)
    error, other = rng.normal(0, 0.03, 40), rng.normal(0, 0.01, 40)
    found = margin(error, other, None)
    roots = [np.sqrt(np.mean(e**2)) for e in (error, other)]
    assert found.value == pytest.approx(roots[0] - roots[1], rel=1e-12)
    assert found.stderr == pytest.approx(stats.sem(error**2 - other**2) / sum(roots), rel=1e-12)
    assert not found.is_tie
    assert not found.within_one_error
    assert margin(other, error, None).value == pytest.approx(-found.value)
    same = margin(error, error, None)
    assert (same.value, same.stderr, same.is_tie, same.within_one_error) == (0, 0, True, True)
    assert margin(np.zeros(3), np.zeros(3), None).value == 0


def test_rows_of_a_cluster_count_once() -> None:
    rng = np.random.default_rng(1)
    error, other = rng.normal(0, 0.03, 12), rng.normal(0, 0.02, 12)
    once = margin(error, other, None)
    clusters = Clusters(np.repeat(np.arange(12), 5), "run")
    often = margin(np.repeat(error, 5), np.repeat(other, 5), clusters)
    assert often.clusters == 12
    assert often.value == pytest.approx(once.value)
    assert often.stderr == pytest.approx(once.stderr)
    assert often.interval == pytest.approx(once.interval)
    rows = margin(np.repeat(error, 5), np.repeat(other, 5), None)
    assert rows.stderr is not None
    assert once.stderr is not None
    assert rows.stderr < 0.5 * once.stderr


def test_one_cluster_says_nothing_of_another() -> None:
    found = margin(np.full(4, 0.03), np.full(4, 0.02), Clusters(np.zeros(4, dtype=int), "seed"))
    assert found.stderr is None
    assert found.interval is None
    assert found.is_tie
    assert found.within_one_error


def test_intervals_of_margins_hold_the_true_difference() -> None:
    """Of clustered errors; row by row they hold it much more rarely."""
    held = {True: 0, False: 0}
    clusters = Clusters(np.repeat(np.arange(12), 6), "trunk")
    truth = np.sqrt(2) * 0.012 - np.sqrt(2) * 0.01
    for trial in range(400):
        rng = np.random.default_rng([5, trial])
        error, other = (
            scale * (np.repeat(rng.normal(size=12), 6) + rng.normal(size=72))
            for scale in (0.012, 0.01)
        )
        for by_cluster in held:
            ends = margin(error, other, clusters if by_cluster else None).interval
            assert ends is not None
            held[by_cluster] += ends[0] <= truth <= ends[1]
    assert 0.91 <= held[True] / 400 <= 0.98
    assert held[False] / 400 < 0.85


def test_the_tournament_names_ties_and_the_simplest_of_them() -> None:
    """Losses of Chinchilla's law: those with a further term do as well, and it is the simplest."""
    table = made_table("chinchilla", noise=0.01, values=SUM, sizes=4)
    laws = {n: law(n) for n in ("overfitting_penalty", "chinchilla")}
    options = FitOptions(resamples=0, starts=8)
    fits, _ = tournament(laws, table, options)
    rows = {row["law"]: row for row in standings(fits)}
    assert rows[fits[0].law]["above best"] == 0
    assert [fit.law for fit in fits if (fit.held_out or {})["simplest"]] == ["chinchilla"]
    assert rows["chinchilla"]["tie"]
    (line,) = verdicts(fits)
    assert line.startswith(f"All rows: {fits[0].law} has the lowest held-out error; ties with it: ")
    assert line.endswith("Simplest within one standard error: chinchilla.")
    assert all(row["above best"] >= 0 for row in rows.values())


def test_a_law_that_cannot_turn_is_no_tie_with_one_that_must() -> None:
    truth = {**SUM, "P": 0.01, "delta": 0.9, "kappa": 0.3}
    table = made_table("overfitting_penalty", noise=0.003, values=truth, sizes=4)
    laws = {n: law(n) for n in ("chinchilla", "overfitting_penalty")}
    fits, missing = tournament(laws, table, FitOptions(resamples=0, starts=8))
    assert missing == []
    assert fits[0].law == "overfitting_penalty"
    assert (fits[0].held_out or {})["simplest"]
    for fit in fits[1:]:
        assert fit.held_out is not None
        assert not fit.held_out["tie"]
        assert fit.held_out["margin_log"] > 0.01


def two_objectives(beta: float) -> LossTable:
    ar = made_table("chinchilla", noise=0.004, values=SUM, objective="ar", sizes=4)
    other = {**SUM, "E": 1.9, "A": 400.0, "beta": beta, "B": 4000.0}
    mdlm = made_table("chinchilla", noise=0.004, seed=1, values=other, objective="mdlm", sizes=4)
    return relabelled(ar, mdlm)


@pytest.mark.parametrize(("beta", "preferred"), [(SUM["beta"], "shared"), (0.22, "separate")])
def test_sharing_is_preferred_where_the_truth_shares(beta: float, preferred: str) -> None:
    options = FitOptions(shared=("beta",), resamples=0, starts=8)
    fits = fit_law(law("chinchilla"), two_objectives(beta), options)
    test = fits[0].sharing
    assert test is not None
    assert test["preferred"] == preferred
    assert fits[1].sharing == test
    assert any(line.startswith("Held-out error with beta shared") for line in summary(fits[0]))
    assert fits[0].row()["sharing"]["parameters"] == ["beta"]
    # Each objective's own held-out rows, and both are what the test was about.
    counts = [(fit.held_out or {})["n"] for fit in fits]
    assert sum(counts) == test["n"]
    assert fits[0].held_out != fits[1].held_out


def test_what_the_test_compares_with_is_a_fit_of_each_objective_alone() -> None:
    """To the same rows, so the separate errors are those of separate fits on those rows."""
    table = two_objectives(0.22)
    options = FitOptions(shared=("beta",), resamples=0, starts=8)
    shared = fit_law(law("chinchilla"), table, options)
    separate = fit_law(law("chinchilla"), table, replace(options, shared=()))
    test = shared[0].sharing
    assert test is not None
    # Both objectives have one grid, so that the split of all is the split of each.
    errors = np.concatenate([fit.unseen.error for fit in separate if fit.unseen])
    assert test["rmse_log_separate"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6)
