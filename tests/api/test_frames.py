"""Tidy frames of runs and curves: every number of the store, every key that differs."""

from pathlib import Path

import polars as pl
import pytest

import workbench as wb
from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.analysis.tidy import column_names
from workbench.errors import InputError
from workbench.store import ingest, query

VALUES = {20: 3.0, 40: 2.5, 60: 2.75}


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> wb.Study:
    """AR with and without dropout, and diffusion of two schedules, two seeds each."""
    kinds = {
        "a": ["model.dropout=0.1"], "b": ["training.lr=1e-3"],
        "c": ["training.objective='mdlm'"],
        "d": ["training.objective='mdlm'", "training.noise_schedule='cosine'"],
    }  # fmt: skip
    for number, (name, overrides) in enumerate(kinds.items()):
        for seed in (0, 1):
            seeds = [f"training.seed={seed}", f"data.seed={seed}"]
            values = {step: value + number / 10 + seed / 100 for step, value in VALUES.items()}
            make_run(f"{name}{seed}", values, overrides=[*overrides, *seeds])
    ingest(results)
    return wb.Results(results).study("made")


def test_curves_have_every_number_of_the_store(study: wb.Study) -> None:
    frame = study.curves()
    columns = ["run_id", "metric", "step", "tokens", "epoch", "flops", "value", "stderr"]
    stored = query(study.results, f"SELECT {', '.join([*columns, 'estimator'])} FROM metrics")
    assert frame.select(stored.columns).sort(columns).equals(stored.sort(columns))
    assert frame.columns[:5] == ["run_id", "seed", "objective", "unique_tokens", "n_params"]


def test_a_column_stands_for_each_key_that_differs_and_for_no_other(study: wb.Study) -> None:
    frame = study.curves()
    keys = set(frame.columns) - {
        "run_id", "seed", "objective", "unique_tokens", "n_params", "metric", "step", "tokens",
        "epoch", "flops", "value", "stderr", "estimator",
    }  # fmt: skip
    assert keys == {"dropout", "lr", "noise_schedule"}
    by_run = {run[0]: part.row(0, named=True) for run, part in frame.group_by("run_id")}
    assert (by_run["a1"]["dropout"], by_run["a1"]["seed"]) == (0.1, 1)
    assert (by_run["b0"]["lr"], by_run["a0"]["noise_schedule"]) == (1e-3, None)
    assert by_run["d0"]["noise_schedule"] == "cosine"


def test_runs_have_their_best_and_their_last_value(study: wb.Study) -> None:
    frame = study.runs()
    assert frame.height == 8
    row = frame.filter(pl.col("run_id") == "a0").row(0, named=True)
    assert (row["best"], row["best_step"], row["last"], row["last_step"]) == (2.5, 40, 2.75, 60)
    assert (row["best_tokens"], row["state"]) == (40 * 2048, "finished")
    assert frame.sort("best")["run_id"][0] == "a0"


def test_higher_accuracies_are_better(results: Path, make_run: MakeRun) -> None:
    make_run("a", VALUES, metric="cloze_acc")
    ingest(results)
    study = wb.Results(results).study("made")
    assert study.runs("cloze_acc")["best"].to_list() == [3.0]
    assert "best" not in study.runs().columns  # no val_loss was measured
    with pytest.raises(InputError, match="has no val_loss"):
        study.curves()


def test_curves_of_several_metrics_are_told_apart(results: Path, make_run: MakeRun) -> None:
    make_run("a", VALUES)
    make_run("b", VALUES, metric="cloze_acc")
    ingest(results)
    frame = wb.Results(results).study("made").curves("val_loss", "cloze_acc")
    assert set(frame.select("run_id", "metric").unique().rows()) == {
        ("a", "val_loss"), ("b", "cloze_acc"),
    }  # fmt: skip


def test_a_seed_of_the_text_alone_is_a_column_of_its_own(results: Path, make_run: MakeRun) -> None:
    for seed in (0, 1):
        make_run(f"a{seed}", VALUES, overrides=[f"data.seed={seed}", "training.seed=5"])
    ingest(results)
    frame = wb.Results(results).study("made").runs()
    assert frame.select("seed", "data_seed").rows() == [(5, 0), (5, 1)]


def test_columns_have_names_without_dots_that_no_two_share() -> None:
    keys = ["training.lr", "data.size", "model.size", "data.step", "n_params"]
    assert column_names(keys, reserved=["step"]) == {
        "training.lr": "lr", "data.size": "data_size", "model.size": "model_size",
        "data.step": "data_step", "n_params": "n_params",
    }  # fmt: skip


def test_frames_are_pandas_a_step_away(study: wb.Study) -> None:
    pandas = pytest.importorskip("pandas")
    frame = study.curves().to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 24


def test_a_run_is_found_by_the_beginning_of_its_id(results: Path, make_run: MakeRun) -> None:
    make_crossing_seeds(make_run, 100, seeds=1)
    ingest(results)
    found = wb.Results(str(results))
    run = found.run("a")
    assert (run.run_id, run.studies, run.state, run.step) == ("a0-100", ("made",), "finished", 400)
    assert (run.keys["training.objective"], run.keys["training.lr"]) == ("ar", 3e-3)
    last = found.sql("SELECT value FROM final WHERE run_id = 'a0-100'").item()
    assert run.values.select("metric", "last").rows() == [("val_loss", last)]
    assert run.files["folder"] == results / "runs" / "a0-100"
    assert run.log is None  # nothing has trained here
    with pytest.raises(InputError, match="there is no run x"):
        found.run("x")
    differing = found.differences("a0", "d0")
    assert ("training.objective", "ar", "mdlm") in differing.rows()


def test_studies_and_states_are_frames(study: wb.Study) -> None:
    results = wb.Results(study.results)
    assert results.studies().row(0, named=True) == {
        "study": "made", "question": "?", "source": "", "runs": 8, "finished": 8,
    }  # fmt: skip
    assert study.status()["state"].to_list() == ["finished"] * 8
    assert results.status().height == 8
    with pytest.raises(InputError, match="is a dataset"):
        wb.Results("shipped").study("quickstart").status()


def test_a_report_asks_for_an_html_file_and_metrics_that_there_are(
    study: wb.Study, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"expected an \.html file"):
        study.report(str(tmp_path / "out.txt"))
    with pytest.raises(InputError, match="has no val_los, did you mean 'val_loss'"):
        study.report(tmp_path / "out.html", metrics=["val_los"])
