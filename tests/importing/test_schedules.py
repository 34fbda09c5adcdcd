"""Columns that change within runs distinguish none; those that runs differ in do."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.importing.conftest import HEADER, WriteTable
from workbench.analysis.crossover import crossovers
from workbench.errors import InputError
from workbench.importing.importer import import_runs, preview, read_source
from workbench.importing.request import Request

FILES = Path(__file__).parent / "tables"
TOKENS = range(100, 1100, 100)
RATES = {  # of a run of ten points
    "decay": [1e-3 * (1 - i / 11) for i in range(10)],
    "warm-up, stable, decay": [5e-4, *[1e-3] * 7, 5e-4, 1e-4],
    "constant, then one step down": [*[1e-3] * 8, *[1e-4] * 2],
}


def runs(path: Path, request: Request = Request()) -> list[tuple[object, ...]]:  # noqa: B008
    rows, _ = preview(path, request)
    return [(row["objective"], row["points"]) for row in rows]


def lines(of: str, rates: list, offset: int = 0, tokens: range = TOKENS) -> list[str]:
    return [
        f"{of},1000,100,val_loss,{t + offset},{3 + t / 1e4 + offset / 1e5},{rate}"
        for t, rate in zip(tokens, rates, strict=True)
    ]


@pytest.mark.parametrize("name", ["scheduled-lr.csv", "runtime.csv"])
def test_a_history_with_a_schedule_gives_the_runs_and_the_crossover_without_it(
    results: Path, name: str
) -> None:
    report = import_runs(FILES / name, "s", results)
    import_runs(FILES / "without.csv", "truth", results)
    assert (report.runs, report.records) == (2, 80)
    left_out = "lr" if name == "scheduled-lr.csv" else "_runtime, _timestamp"
    assert f": {left_out}. --label" in report.notes[0]
    (row,), (truth,) = (crossovers(results, of, "val_loss", "tokens") for of in ("s", "truth"))
    assert row["crossover"] == truth["crossover"] == 2_000_000


@pytest.mark.parametrize("kind", RATES)
def test_every_shape_of_a_schedule_is_one_run(table: WriteTable, kind: str) -> None:
    path = table(*lines("ar", RATES[kind]), *lines("mdlm", RATES[kind]), header=f"{HEADER},lr")
    assert runs(path) == [("ar", 10), ("mdlm", 10)]
    assert "lr" in preview(path)[1][0]


def test_a_label_that_is_asked_for_distinguishes_runs(table: WriteTable) -> None:
    path = table(*lines("ar", RATES["decay"]), header=f"{HEADER},lr")
    assert len(runs(path, Request(labels=("lr",)))) == 10


def test_rates_that_runs_differ_in_stay(table: WriteTable) -> None:
    path = table(*lines("ar", [1e-3] * 10), *[
        line.replace(",3.", ",4.") for line in lines("ar", [2e-3] * 10)
    ], header=f"{HEADER},lr")  # fmt: skip
    assert runs(path) == [("ar", 10)] * 2
    assert preview(path)[1] == []


def test_runs_whose_points_lie_between_each_others_stay_two(table: WriteTable) -> None:
    rows = [*lines("ar", [1e-3] * 10), *lines("ar", [2e-3] * 10, offset=50)]
    assert runs(table(*rows, header=f"{HEADER},lr")) == [("ar", 10)] * 2


def test_a_rate_distinguishes_runs_while_the_time_does_not(table: WriteTable) -> None:
    rows = [
        f"{line.replace(',3.', f',{3 + k}.')},{1.7e9 + i * 3.7 + k}"
        for k, rate in enumerate((1e-3, 2e-3))
        for i, line in enumerate(lines("ar", [rate] * 10))
    ]
    path = table(*rows, header=f"{HEADER},lr,_timestamp")
    assert runs(path) == [("ar", 10)] * 2
    assert ": _timestamp. --label" in preview(path)[1][0]


@pytest.mark.parametrize("time", ["2026-01-01 10:{:02d}:00", "10:{:02d}:05", "1h {}m"])
def test_times_of_day_are_no_identity(table: WriteTable, time: str) -> None:
    rows = [f"{line},{time.format(i)}" for i, line in enumerate(lines("ar", [1] * 10))]
    assert runs(table(*rows, header=f"{HEADER},lr,at")) == [("ar", 10)]


def test_text_that_changes_within_a_run_is_asked_about(table: WriteTable) -> None:
    phases = ["warm-up"] * 2 + ["stable"] * 6 + ["decay"] * 2
    path = table(*lines("ar", phases), header=f"{HEADER},phase")
    with pytest.raises(InputError, match=r"phase changes .*--label phase.*--without phase"):
        read_source(path)
    assert runs(path, Request(without=("phase",))) == [("ar", 10)]
    assert len(runs(path, Request(labels=("phase",)))) == 3


def test_names_of_runs_are_identity_however_many(table: WriteTable) -> None:
    path = table(*lines("ar", [f"run-{i}" for i in range(10)]), header=f"{HEADER},run")
    assert len(runs(path)) == 10


def test_runs_that_differ_in_a_schedule_alone_are_refused(table: WriteTable) -> None:
    faster = [rate * 1.01 for rate in RATES["decay"]]
    second = [line.replace(",3.", ",4.") for line in lines("ar", faster)]
    path = table(*lines("ar", RATES["decay"]), *second, header=f"{HEADER},lr")
    with pytest.raises(InputError, match=r"differ in lr alone.*names the run"):
        read_source(path)


def test_values_without_a_schedule_are_the_same_to_the_bit(tmp_path: Path) -> None:
    for name in ("scheduled-lr.csv", "runtime.csv"):
        ours = read_source(FILES / name).frame.select("objective", "total_tokens", "value")
        truth = pl.read_csv(FILES / "without.csv").select("objective", "total_tokens", "value")
        assert np.array_equal(ours["value"], truth["value"])
        assert ours["total_tokens"].to_list() == truth["total_tokens"].to_list()
