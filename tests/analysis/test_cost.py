"""Training FLOPs to the best value, bounds called bounds."""

from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.analysis.cost import cost_table_row, flops_to_best
from workbench.errors import InputError
from workbench.store import ingest

AR = {1: 5.0, 100: 2.0, 200: 3.0, 300: 4.0}
STILL_FALLING = {1: 5.1, 100: 3.0, 200: 2.5, 300: 2.0}
RISEN = {1: 5.1, 100: 3.0, 200: 2.5, 300: 2.7}


def cost(results: Path, make_run: MakeRun, ar: dict[int, float], other: dict[int, float]) -> dict:
    make_run("a", ar)
    make_run("b", other, overrides=["training.objective='mdlm'"])
    ingest(results)
    (row,) = flops_to_best(results, "made", "val_loss")
    return row


def test_the_ratio_is_of_the_flops_at_the_best_values(results: Path, make_run: MakeRun) -> None:
    row = cost(results, make_run, AR, RISEN)
    assert row["baseline"]["flops"] == 100 * 1e9
    assert row["challenger"]["flops"] == 200 * 1.1e9
    assert (row["ratio"], row["ratio_bound"]) == (pytest.approx(2.2), None)


def test_a_best_value_at_the_end_is_a_lower_bound(results: Path, make_run: MakeRun) -> None:
    row = cost(results, make_run, AR, STILL_FALLING)
    assert row["challenger"]["bound"] == "lower"
    assert row["baseline"]["bound"] is None
    assert (row["ratio"], row["ratio_bound"]) == (pytest.approx(3.3), "lower")
    assert cost_table_row(row)["ratio"] == "> 3.3x"


def test_two_lower_bounds_have_no_ratio(results: Path, make_run: MakeRun) -> None:
    row = cost(results, make_run, STILL_FALLING, STILL_FALLING)
    assert (row["ratio"], row["ratio_bound"]) == (None, None)
    assert cost_table_row(row)["ratio"] is None


def test_a_study_of_one_objective_is_refused(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR)
    ingest(results)
    with pytest.raises(InputError, match=r'no run of made .* has training.objective = "mdlm"'):
        flops_to_best(results, "made", "val_loss")
