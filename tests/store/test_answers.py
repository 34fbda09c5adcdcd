"""Answers in the store stand in the places of the same answers of before, and beside others."""

from pathlib import Path
from typing import Any

from workbench.store import keep_backtests, keep_fits, query


def fit(law: str, at: str | None, value: float, **more: Any) -> dict[str, Any]:
    values = None if at is None else {"source": "study s", "at": at, "runs": [str(value)]}
    return {"law": law, "objective_name": "ar", "fitted_to": values, "value": value} | more


def stored(results: Path, table: str = "fits") -> set[float]:
    frame = query(results, f"SELECT (result->>'$.value')::DOUBLE AS value FROM {table}")
    return set(frame["value"].to_list())


def test_a_fit_takes_the_place_of_the_same_one_and_of_no_other(tmp_path: Path) -> None:
    keep_fits(tmp_path, "s", [fit("a", "last", 1), fit("b", "last", 2)])
    keep_fits(tmp_path, "s", [fit("a", "best", 3)])
    keep_fits(tmp_path, "other", [fit("a", "last", 4)])
    assert stored(tmp_path) == {1, 2, 3, 4}
    keep_fits(tmp_path, "s", [fit("a", "last", 5)])
    assert stored(tmp_path) == {2, 3, 4, 5}
    keep_fits(tmp_path, "s", [fit("a", "last", 6, shared=["alpha"])])
    keep_fits(tmp_path, "s", [fit("a", "last", 7, fixed=["alpha"])])
    keep_fits(tmp_path, "s", [fit("a", "last", 8, objective_name=None)])
    assert stored(tmp_path) == {2, 3, 4, 5, 6, 7, 8}


def test_a_fit_of_unknown_values_gives_way_to_any_of_its_law(tmp_path: Path) -> None:
    keep_fits(tmp_path, "s", [fit("a", None, 1), fit("b", None, 2)])
    keep_fits(tmp_path, "s", [fit("a", "best", 3)])
    assert stored(tmp_path) == {2, 3}


def backtest(at: str | None, value: float) -> dict[str, Any]:
    row = {"along": "size", "train": "n_params < 10", "objective": "ar", "predictor": "p"}
    return row | ({} if at is None else {"at": at, "metric": "val_loss"}) | {"value": value}


def test_a_backtest_takes_the_place_of_one_of_the_same_values(tmp_path: Path) -> None:
    keep_backtests(tmp_path, "s", [backtest(None, 1)])
    keep_backtests(tmp_path, "s", [backtest("last", 2)])
    assert stored(tmp_path, "backtests") == {2}, "of the first one it is not known of what it is"
    keep_backtests(tmp_path, "s", [backtest("best", 3)])
    assert stored(tmp_path, "backtests") == {2, 3}
    keep_backtests(tmp_path, "s", [backtest("last", 4)])
    assert stored(tmp_path, "backtests") == {3, 4}
