"""Training FLOPs to the best value, bounds called bounds."""

from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.analysis.cost import cost_table_row, flops_to_best
from workbench.errors import InputError
from workbench.report.run_sections import cost_section
from workbench.runs.folder import RunFolder
from workbench.runs.records import RecordWriter
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


def spend(run: RunFolder, joules: dict[int, float]) -> None:
    writer = RecordWriter(run.records_path)
    for step, value in joules.items():
        writer.write(
            step=step, tokens=step * 2048, epoch=1.0, flops=step * 1e9, metric="train_joules",
            value=value, estimator="nvml_counter",
        )  # fmt: skip
    writer.flush(fsync=False)
    writer.close()


def test_joules_stand_beside_flops_where_every_run_was_measured(
    results: Path, make_run: MakeRun
) -> None:
    """The mean over the runs of a side, at its best value; None where one was not measured so far,
    and in a study without."""
    for name in ("a", "c"):
        seed = ["training.seed=7"] if name == "c" else []
        run = make_run(name, AR, overrides=seed)
        spend(run, {50: 5.0, 100: {"a": 10.0, "c": 20.0}[name], 300: 60.0})
    other = make_run("b", RISEN, overrides=["training.objective='mdlm'"])
    make_run("d", RISEN, overrides=["training.objective='mdlm'", "training.seed=7"])
    spend(other, {150: 30.0})
    ingest(results)
    (row,) = flops_to_best(results, "made", "val_loss")
    assert (row["baseline"]["joules"], row["challenger"]["joules"]) == (15.0, None)
    cells = cost_table_row(row)
    assert cells["joules of ar"] == "15"
    assert "joules of mdlm" not in cells
    section = {row["objective"]: row for row in cost_section(results, "made").rows}
    assert section["ar"]["train_joules"] == 120.0
    assert section["mdlm"]["train_joules"] is None
    assert "joules" in cost_section(results, "made").text[0]


def test_a_study_without_measured_energy_says_nothing_of_it(
    results: Path, make_run: MakeRun
) -> None:
    row = cost(results, make_run, AR, RISEN)
    assert row["baseline"]["joules"] is None
    assert not [name for name in cost_table_row(row) if "joules" in name]
    section = cost_section(results, "made")
    assert "train_joules" not in section.rows[0]
    assert "joules" not in section.text[0]
