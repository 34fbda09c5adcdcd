"""How far one side is ahead, and when a side is called ahead."""

from pathlib import Path

import pytest
from scipy import stats

from tests.made_runs import MakeRun
from workbench.analysis.difference import difference_table_row, differences
from workbench.errors import InputError
from workbench.runs.folder import RunFolder
from workbench.runs.records import RecordWriter
from workbench.store import ingest

MDLM = "training.objective='mdlm'"
AR_LAST, MDLM_LAST = (2.5, 2.6, 2.9), (2.2, 2.1, 2.15)


def write(run: RunFolder, value: float, *, stderr: float | None, estimator: str) -> None:
    writer = RecordWriter(run.records_path)
    writer.write(
        step=30, tokens=30 * 2048, epoch=4.8, flops=3e10, metric="cloze_acc",
        value=value, stderr=stderr, n=2000, estimator=estimator,
    )  # fmt: skip
    writer.flush(fsync=False)
    writer.close()


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    for seed, (ar, mdlm) in enumerate(zip(AR_LAST, MDLM_LAST, strict=True)):
        key = f"training.seed={seed}"
        make_run(f"a{seed}", {10: 3.0, 20: 2.05, 30: ar}, overrides=[key])
        make_run(f"d{seed}", {10: 4.0, 20: 2.5, 30: mdlm}, overrides=[key, MDLM])
    ingest(results)
    return results


def test_seeds_give_welchs_interval_of_the_last_values(study: Path) -> None:
    (row,) = differences(study, "made", "val_loss")
    expected = stats.ttest_ind(MDLM_LAST, AR_LAST, equal_var=False).confidence_interval(0.95)
    assert row["difference"] == pytest.approx(sum(MDLM_LAST) / 3 - sum(AR_LAST) / 3)
    assert row["ci95"] == pytest.approx([expected.low, expected.high])
    assert (row["seeds"], row["ahead"]) == (3, "challenger"), "a lower loss is ahead"
    assert difference_table_row(row)["ahead"] == "mdlm"


def test_the_best_values_may_say_the_opposite_of_the_last(study: Path) -> None:
    (row,) = differences(study, "made", "val_loss", "best")
    assert (row["baseline_value"], row["ahead"]) == (pytest.approx(2.05), None)
    assert row["ci95"][0] < 0 < row["ci95"][1]
    assert difference_table_row(row)["ahead"] == "undecided"


def test_one_seed_is_judged_by_the_values_own_errors(results: Path, make_run: MakeRun) -> None:
    a, d = make_run("a", {}), make_run("d", {}, overrides=[MDLM])
    write(a, 0.40, stderr=0.01, estimator="nll")
    write(d, 0.45, stderr=0.02, estimator="nelbo")
    ingest(results)
    (row,) = differences(results, "made", "cloze_acc")
    half = 1.959964 * (0.01**2 + 0.02**2) ** 0.5
    assert row["ci95"] == pytest.approx([0.05 - half, 0.05 + half])
    assert "seeds are not in it" in row["ci_method"]
    assert difference_table_row(row)["seeds"] == 1


def test_without_any_error_no_side_is_called_ahead(results: Path, make_run: MakeRun) -> None:
    make_run("a", {10: 3.0})
    make_run("d", {10: 2.0}, overrides=[MDLM])
    ingest(results)
    (row,) = differences(results, "made", "val_loss")
    assert (row["difference"], row["ci95"], row["ahead"]) == (-1.0, None, None)


def test_what_was_measured_otherwise_later_is_asked_for_by_its_estimator(
    results: Path, make_run: MakeRun
) -> None:
    a, d = make_run("a", {}), make_run("d", {}, overrides=[MDLM])
    write(a, 0.40, stderr=None, estimator="nll/draws=1")
    write(d, 0.35, stderr=None, estimator="nelbo/draws=2")
    write(a, 0.40, stderr=None, estimator="nll/draws=1/questions=9")
    write(d, 0.45, stderr=None, estimator="nelbo/draws=32/questions=9")
    ingest(results)
    (row,) = differences(results, "made", "cloze_acc", estimator="questions=9")
    assert row["difference"] == pytest.approx(0.05)
    assert row["estimators"]["challenger"] == "nelbo/draws=32/questions=9"
    with pytest.raises(InputError, match="Its estimators: nelbo/draws=2, nelbo/draws=32"):
        differences(results, "made", "cloze_acc", estimator="questions=10")


def test_a_place_that_is_not_known_is_refused(study: Path) -> None:
    with pytest.raises(InputError, match=r"--at lats.*last"):
        differences(study, "made", "val_loss", "lats")  # type: ignore[arg-type]
