"""Laws held against runs that they were not fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.conditions import parse_conditions
from workbench.errors import InputError
from workbench.laws.backtest import (
    Backtest,
    backtest,
    cells,
    prediction_interval,
    score,
    scores,
    split_by,
    splits,
)
from workbench.laws.chinchilla import CHINCHILLA
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.naive import compute_power_law, nearest_run

TRUTH = {"E": 1.7, "A": 40.0, "alpha": 0.35, "B": 90.0, "beta": 0.3}
OPTIONS = FitOptions(starts=8, resamples=60)


def grid(noise: float, seed: int = 0, seeds: int = 3) -> LossTable:
    """Losses by the law of Chinchilla on 5 sizes x 5 lengths, each run `seeds` times."""
    sizes, tokens = np.geomspace(1e5, 1e7, 5), np.geomspace(1e6, 1e9, 5)
    n, d = (np.repeat(one.ravel(), seeds) for one in np.meshgrid(sizes, tokens, indexing="ij"))
    rng = np.random.default_rng(seed)
    loss = TRUTH["E"] + TRUTH["A"] / n ** TRUTH["alpha"] + TRUTH["B"] / d ** TRUTH["beta"]
    return LossTable(
        source="a grid",
        name=np.array([f"run {place}" for place in range(len(n))]),
        n_params=n,
        total_tokens=d,
        unique_tokens=np.minimum(d, 1e8),
        loss=loss * np.exp(rng.normal(0, noise, len(n))),
        compute=6 * n * d,
        objective=np.array(["ar"] * len(n)),
        columns={"n_params": n.astype(object), "name": np.arange(len(n)).astype(object)},
    )


@pytest.mark.parametrize(
    ("along", "train"),
    [("size", "n_params < 1e+07"), ("unique_tokens", "unique_tokens < 1e+08")],
)
def test_the_highest_level_is_held_out(along: str, train: str) -> None:
    table = grid(0)
    (split,) = splits(table, [along])
    values = {"size": table.n_params, "unique_tokens": table.unique_tokens}[along]
    assert values is not None
    assert split.train == train
    assert (split.fitted == (values < values.max())).all()


def test_of_many_levels_the_highest_fifth_of_runs_is_held_out() -> None:
    table = grid(0)
    (split,) = splits(table, ["compute"])
    assert 0.15 <= (~split.fitted).mean() <= 0.25
    assert table.compute[~split.fitted].min() > table.compute[split.fitted].max()


def test_an_unknown_quantity_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"--along length\. Known: size, unique_tokens, epochs"):
        splits(grid(0), ["length"])


def test_conditions_choose_the_fitted_runs_and_must_leave_some() -> None:
    table = grid(0)
    split = split_by(table, parse_conditions(["n_params < 1e6"], "--train"))
    assert (split.fitted == (table.n_params < 1e6)).all()
    with pytest.raises(InputError, match="every run of a grid is so, and none is left"):
        split_by(table, parse_conditions(["n_params > 0"], "--train"))


def test_the_true_law_predicts_what_it_did_not_see_and_beats_what_is_naive() -> None:
    table = grid(0.003)
    (split,) = splits(table, ["size"])
    found, missing = backtest({"chinchilla": CHINCHILLA}, table, split, OPTIONS)
    assert not missing
    rows = scores(found)
    best = rows[0]
    assert best["predictor"] == "chinchilla"
    assert best["n_train"] == 60
    assert best["n_test"] == 15
    assert best["cells"] == 5
    assert best["mean_abs_log"] < 0.01
    assert best["difference"] < 0
    low, high = best["difference_ci95"]
    assert low < best["difference"] < high
    assert best["covered"] >= 12


def test_intervals_of_the_true_law_hold_as_often_as_they_say() -> None:
    """12 grids, of each the fifth of most compute predicted."""
    inside = total = 0
    for seed in range(12):
        table = grid(0.01, seed)
        (split,) = splits(table, ["compute"])
        found, _ = backtest({"chinchilla": CHINCHILLA}, table, split, OPTIONS)
        row = next(row for row in scores(found) if row["predictor"] == "chinchilla")
        inside += row["covered"]
        total += row["n_test"]
    assert 0.9 <= inside / total <= 0.995


def result(loss: list[float], predicted: list[float], **changes: object) -> Backtest:
    table = grid(0, seeds=1).take(np.arange(len(loss)))
    nothing = np.full(len(loss), np.nan)
    made = Backtest(
        "one", False, "ar", splits(table, ["size"])[0], replace(table, loss=np.array(loss)), table,
        np.array(predicted), nothing, nothing,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_error_and_bias_are_of_log_loss_and_too_high_is_positive() -> None:
    naive = result([2.0, 2.0], [4.0, 2.0], naive=True)
    row = score(result([2.0, 2.0], [2.0 * np.e, 2.0 / np.e**0.5]), naive)
    assert row["bias_log"] == pytest.approx(0.25)
    assert row["mean_abs_log"] == pytest.approx(0.75)
    assert row["rmse_log"] == pytest.approx(np.sqrt(1.25 / 2))
    assert row["difference"] == pytest.approx(np.sqrt(1.25 / 2) - np.log(2) / np.sqrt(2))
    assert row["coverage"] is None


def test_coverage_counts_losses_in_their_intervals_both_ends_included() -> None:
    one = result([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    one = replace(one, low=np.array([1.0, 1.0, 3.1, 1.0]), high=np.array([2.0, 2.0, 4.0, 3.9]))
    row = score(one, replace(one, naive=True))
    assert (row["covered"], row["coverage"]) == (2, 0.5)
    low, high = row["coverage_ci95"]
    assert (low, high) == (pytest.approx(0.0676, abs=1e-3), pytest.approx(0.9324, abs=1e-3))


def test_runs_of_one_cell_count_once_where_predictors_are_compared() -> None:
    table = grid(0, seeds=3)
    assert [len(one) for one in cells(table)] == [3] * 25
    assert sorted(np.concatenate(cells(table)).tolist()) == list(range(75))


def test_an_interval_widens_with_the_scatter_of_runs_and_is_absent_without_resamples() -> None:
    draws = np.zeros((50, 3))
    narrow, wide = (prediction_interval(draws, np.array([-one, one]), 0) for one in (0.01, 0.1))
    assert np.allclose(narrow[1], np.exp(0.01))
    assert np.allclose(wide[0], np.exp(-0.1))
    assert np.isnan(prediction_interval(draws[:0], np.array([0.1]), 0)[0]).all()


def test_a_law_with_too_few_runs_is_left_out_with_its_reason() -> None:
    table = grid(0.01)
    split = split_by(table, parse_conditions(["n_params < 2e5"], "--train"))
    few = replace(split, fitted=split.fitted & (table.total_tokens < 1e8))
    found, missing = backtest({"chinchilla": CHINCHILLA}, table, few, OPTIONS)
    assert all(one.naive for one in found)
    assert "chinchilla has 5 free parameters" in missing[0]


def test_the_nearest_run_is_the_mean_of_the_nearest_configuration() -> None:
    table = grid(0, seeds=2)
    train = replace(table, loss=np.where(np.arange(len(table)) % 2, 2.0, 8.0))
    train = train.take(table.n_params < 1e7)
    test = table.take(table.n_params == 1e7)
    assert nearest_run(train, test) == pytest.approx([4.0] * 10), "geometric, of its two runs"


def test_the_power_law_in_compute_is_exact_where_it_is_the_truth() -> None:
    table = grid(0)
    table = replace(table, loss=7.0 * table.compute**-0.05)
    split = table.n_params < 1e7
    assert compute_power_law(table.take(split), table.take(~split)) == pytest.approx(
        table.loss[~split]
    )
