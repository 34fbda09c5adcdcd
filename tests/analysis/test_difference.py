"""How far one side is ahead, and when a side is called ahead."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.made_runs import MakeRun, make_crossing_seeds, run_maker
from workbench.analysis.difference import _ahead, difference_table_row, differences
from workbench.analysis.pairing import side_words
from workbench.errors import InputError
from workbench.runs.folder import RunFolder
from workbench.runs.records import RecordWriter
from workbench.store import ingest

MDLM = "training.objective='mdlm'"
AR_LAST, MDLM_LAST = (2.5, 2.6, 2.9), (2.2, 2.2, 2.45)


def write(
    run: RunFolder, value: float, *, stderr: float | None, estimator: str, step: int = 30
) -> None:
    writer = RecordWriter(run.records_path)
    writer.write(
        step=step, tokens=step * 2048, epoch=step * 0.16, flops=3e10, metric="cloze_acc",
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


def test_equal_seeds_are_paired(study: Path) -> None:
    (row,) = differences(study, "made", "val_loss")
    expected = stats.ttest_rel(MDLM_LAST, AR_LAST).confidence_interval(0.95)
    assert row["difference"] == pytest.approx(sum(MDLM_LAST) / 3 - sum(AR_LAST) / 3)
    assert row["ci95"] == pytest.approx([expected.low, expected.high])
    assert row["ci95_method"] == "t interval over 3 seeds, 2 degrees of freedom"
    assert "no values of single documents" in row["ci95_note"]
    assert (row["seeds"], row["ahead"]) == (3, "challenger"), "a lower loss is ahead"
    assert difference_table_row(row)["ahead"] == "mdlm"
    several = {"training.objective": "mdlm", "training.optimizer": ["adamw", "muon"]}
    cells = difference_table_row(row | {"challenger": several})
    assert cells["ahead"] == "the challenger", "its group says which of them"
    assert "of the challenger" in cells


def test_other_seeds_give_welchs_interval(results: Path, make_run: MakeRun) -> None:
    for seed, (ar, mdlm) in enumerate(zip(AR_LAST, MDLM_LAST, strict=True)):
        make_run(f"a{seed}", {10: ar}, overrides=[f"training.seed={seed}"])
        make_run(f"d{seed}", {10: mdlm}, overrides=[f"training.seed={seed + 10}", MDLM])
    ingest(results)
    (row,) = differences(results, "made", "val_loss")
    expected = stats.ttest_ind(MDLM_LAST, AR_LAST, equal_var=False).confidence_interval(0.95)
    assert row["ci95"] == pytest.approx([expected.low, expected.high])
    assert row["ahead"] is None, "what equal seeds would tell"


def test_the_best_values_may_say_the_opposite_of_the_last(study: Path) -> None:
    (row,) = differences(study, "made", "val_loss", "best")
    expected = stats.ttest_rel(MDLM_LAST, [2.05] * 3).confidence_interval(0.95)
    assert (row["baseline_value"], row["ahead"]) == (pytest.approx(2.05), None)
    assert row["ci95"] == pytest.approx([expected.low, expected.high])
    assert row["ci95"][0] < 0 < row["ci95"][1]
    assert "best of noisy points" in row["ci95_note"]
    assert difference_table_row(row)["ahead"] == "undecided"


@pytest.mark.parametrize("at", ["last", "best"])
def test_values_of_documents_give_an_interval_over_both(
    results: Path, make_run: MakeRun, at: Any
) -> None:
    make_crossing_seeds(make_run, 150, seeds=5)
    ingest(results)
    (row,) = differences(results, "made", "val_loss", at)
    low, high = row["ci95"]
    assert low < 0.5 * np.log(150 / 400) < high
    assert "5 seeds and 24 documents (crossed)" in row["ci95_method"]
    assert row["ci95_note"] is None
    (seeds,) = differences(results, "made", "val_loss", at, over="seeds")
    assert "over 5 seeds, " in seeds["ci95_method"]
    assert seeds["ci95"][1] - seeds["ci95"][0] <= high - low


def test_a_side_that_went_on_longer_is_compared_where_both_have_been(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", {10: 2.0, 20: 2.1, 30: 2.5, 40: 5.0})
    make_run("d", {10: 4.0, 20: 2.5, 30: 2.2}, overrides=[MDLM])
    ingest(results)
    (row,) = differences(results, "made", "val_loss")
    assert row["difference"] == pytest.approx(-0.3)
    assert (row["at_tokens"], row["unfinished"]) == (30 * 2048, [])
    assert row["at_epochs"] == pytest.approx(30 * 2048 / 12_800)


def test_unfinished_runs_are_named_and_left_out_beside_finished_ones(study: Path) -> None:
    (before,) = differences(study, "made", "val_loss")
    make_run = run_maker(study)
    make_run("a9", {10: 9.0}, overrides=["training.seed=9"], state="failed")
    ingest(study)
    (row,) = differences(study, "made", "val_loss")
    assert row == {**before, "unfinished": ["a9"]}


def test_one_seed_is_judged_by_the_values_own_errors(results: Path, make_run: MakeRun) -> None:
    a, d = make_run("a", {}), make_run("d", {}, overrides=[MDLM])
    write(a, 0.40, stderr=0.01, estimator="nll")
    write(d, 0.45, stderr=0.02, estimator="nelbo")
    ingest(results)
    (row,) = differences(results, "made", "cloze_acc")
    half = 1.959964 * (0.01**2 + 0.02**2) ** 0.5
    assert row["ci95"] == pytest.approx([0.05 - half, 0.05 + half])
    assert "seeds are not in it" in row["ci95_method"]
    assert row["ahead"] == "challenger", "a higher accuracy is ahead"
    assert difference_table_row(row)["seeds"] == 1


def test_the_errors_of_one_sides_seeds_are_those_of_their_mean(
    results: Path, make_run: MakeRun
) -> None:
    """Two seeds beside one: half the difference's weight each, and so a quarter of the squares."""
    a = make_run("a", {})
    d = [make_run(f"d{n}", {}, overrides=[MDLM, f"training.seed={n}"]) for n in (0, 1)]
    write(a, 0.60, stderr=0.01, estimator="nll", step=10)
    write(a, 0.40, stderr=0.03, estimator="nll")
    for run, value, stderr in zip(d, (0.25, 0.35), (0.02, 0.06), strict=True):
        write(run, 0.1, stderr=0.5, estimator="nelbo", step=10)
        write(run, value, stderr=stderr, estimator="nelbo")
    ingest(results)
    (row,) = differences(results, "made", "cloze_acc")
    half = 1.959964 * (0.03**2 + (0.02**2 + 0.06**2) / 4) ** 0.5
    assert row["ci95"] == pytest.approx([-0.1 - half, -0.1 + half])
    assert (row["seeds"], row["ahead"]) == (1, "baseline")
    (other,) = differences(results, "made", "cloze_acc", baseline="mdlm", challenger="ar")
    assert other["ci95"] == pytest.approx([0.1 - half, 0.1 + half])
    (best,) = differences(results, "made", "cloze_acc", "best")
    half = 1.959964 * (0.01**2 + (0.02**2 + 0.06**2) / 4) ** 0.5
    assert best["ci95"] == pytest.approx([-0.3 - half, -0.3 + half])
    assert best["ahead"] == "baseline"


@pytest.mark.parametrize(("items", "of_documents"), [([0.1], False), ([0.1, -0.1], True)])
def test_two_documents_are_enough_to_stop_on_one_and_measure_on_the_other(
    results: Path, make_run: MakeRun, items: list[float], of_documents: bool
) -> None:
    for seed in (0, 1):
        key = f"training.seed={seed}"
        make_run(f"a{seed}", {10: 3.0, 20: 2.0 + seed, 30: 4.0}, overrides=[key], items=items)
        make_run(f"d{seed}", {10: 1.0, 20: 2.0}, overrides=[key, MDLM], items=items)
    ingest(results)
    (row,) = differences(results, "made", "val_loss", "best")
    level = sum(items) / len(items)
    assert row["baseline_value"] == pytest.approx(2.5 + level, rel=1e-5)
    assert row["challenger_value"] == pytest.approx(1 + level, rel=1e-5)
    assert ("best of noisy points" not in (row["ci95_note"] or "")) is of_documents
    assert np.mean(row["ci95"]) == pytest.approx(row["difference"], rel=1e-4)


@pytest.mark.parametrize(
    ("ci95", "lower_is_better"),
    [
        ([-2.0, -1.0], "challenger"), ([1.0, 2.0], "baseline"),
        ([-1.0, 0.0], None), ([0.0, 1.0], None), ([-1.0, 1.0], None), (None, None),
    ],
)  # fmt: skip
def test_a_side_is_ahead_where_the_interval_is_on_its_side_of_zero(
    ci95: list[float] | None, lower_is_better: str | None
) -> None:
    other = {"challenger": "baseline", "baseline": "challenger", None: None}
    assert _ahead(ci95, higher=False) == lower_is_better
    assert _ahead(ci95, higher=True) == other[lower_is_better]


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
        differences(study, "made", "val_loss", "lats")


@pytest.mark.parametrize("shift", [0, 10], ids=["paired seeds", "other seeds"])
def test_at_the_best_equal_seeds_are_paired_too(
    shift: int, results: Path, make_run: MakeRun
) -> None:
    """Both sides of a seed are off by the same half nat: paired, that is in no interval."""
    offsets = [-0.3, -0.1, 0.1, 0.3]
    for seed, off in enumerate((0.0, 0.5, 1.0)):
        ar, mdlm = {10: 3.0 + off, 20: 2.5 + off}, {10: 3.0 + off, 20: 2.2 + off + 0.01 * seed}
        make_run(f"a{seed}", ar, overrides=[f"training.seed={seed}"], items=offsets)
        keys = [f"training.seed={seed + shift}", MDLM]
        make_run(f"d{seed}", mdlm, overrides=keys, items=offsets)
    ingest(results)
    (row,) = differences(results, "made", "val_loss", "best", over="seeds")
    assert row["difference"] == pytest.approx(-0.29)
    low, high = row["ci95"]
    assert (high - low < 0.1) == (shift == 0)


def test_a_side_that_is_no_objective_is_named_in_words() -> None:
    side = {"training.noise_schedule": "cosine", "data.quality": ["low", "high"]}
    assert side_words(side) == "noise_schedule cosine, quality low or high"
    assert side_words("ar") == "ar"
