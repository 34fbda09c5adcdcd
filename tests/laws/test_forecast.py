"""Forecasts on record: of runs that obey a known law, made before and scored after."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.conftest import RECIPE, Workbench
from workbench.analysis.forecast_scores import calibration, score_forecasts
from workbench.cli import app
from workbench.laws.comparable_runs import comparable_runs
from workbench.laws.forecast import make_forecast
from workbench.messages import json_text
from workbench.planning.plan import Plan
from workbench.planning.prepare import prepare_study
from workbench.recipe import Recipe, load_recipe
from workbench.running.study import make_folders
from workbench.runs.folder import RunFolder
from workbench.runs.forecasts import read_forecasts, write_forecast
from workbench.runs.records import RecordWriter
from workbench.store import ingest, query

SIGMA = 0.002
KEYS = (
    '"model.width" = [16, 32, 48, 64]\n'
    '"training.total_tokens" = [4_096, 8_192, 16_384, 32_768]\n"seed" = [0, 1]\n'
)


def truth(objective: str, n: int, tokens: int) -> float:
    """Chinchilla's law: mdlm is behind at first, and better in the end."""
    scale, power = (90.0, 0.45) if objective == "ar" else (200.0, 0.55)
    return 0.9 + 30.0 / n**0.35 + scale / tokens**power


def study(folder: Path, corpus: Path, name: str, sweep: str = KEYS, *overrides: str) -> Recipe:
    path = folder / f"{name}.toml"
    text = RECIPE.format(corpus=corpus).replace('name = "tiny"', f'name = "{name}"')
    path.write_text(text.replace("points = 3", "points = 4") + sweep)
    return load_recipe(path, ["data.unique_tokens=2048", *overrides])


def finish(run: RunFolder, rng: np.random.Generator) -> None:
    """Give a run the records that the truth would have given it."""
    document = run.config_json()
    derived, config = document["derived"], document["config"]
    objective = config["training"]["objective"]
    writer = RecordWriter(run.records_path)
    for part in (4, 2, 1):
        step = derived["steps"] // part
        tokens = step * derived["tokens_per_step"]
        writer.write(
            step=step, tokens=tokens, epoch=tokens / 2048, flops=float(tokens), metric="val_loss",
            value=truth(objective, derived["n_params"], tokens) * np.exp(rng.normal(0, SIGMA)),
            estimator="nll" if objective == "ar" else "nelbo",
        )  # fmt: skip
    writer.flush(fsync=False)
    writer.close()
    run.write_status(state="finished", step=derived["steps"], started=4e9)


def trained(recipe: Recipe, results: Path, seed: int = 0) -> list[RunFolder]:
    folders = make_folders(recipe, prepare_study(recipe, results), results)
    rng = np.random.default_rng(seed)
    for run in folders.values():
        finish(run, rng)
    ingest(results)
    return list(folders.values())


@pytest.fixture
def results(tmp_path: Path, corpus: Path) -> Path:
    """A results folder with a finished grid."""
    results = tmp_path / "results"
    results.mkdir()
    trained(study(tmp_path, corpus, "grid"), results)
    return results


def larger(tmp_path: Path, corpus: Path, results: Path) -> tuple[Recipe, Plan]:
    sweep = '"training.total_tokens" = [65_536]\n"seed" = [0, 1, 2]\n'
    recipe = study(tmp_path, corpus, "larger", sweep, "model.width=96")
    return recipe, prepare_study(recipe, results)


def test_runs_of_the_same_kind_are_found_and_others_are_not(
    results: Path, tmp_path: Path, corpus: Path
) -> None:
    other = study(tmp_path, corpus, "other", "", "training.lr=1e-2")
    trained(other, results)
    _, plan = larger(tmp_path, corpus, results)
    found = comparable_runs(results, plan.runs)
    assert {name: len(runs) for name, runs in found.items()} == {"grid": 2 * 4 * 4 * 2}


def test_a_forecast_of_a_known_law_comes_true(results: Path, tmp_path: Path, corpus: Path) -> None:
    recipe, plan = larger(tmp_path, corpus, results)
    document = make_forecast(recipe, plan, results, law="chinchilla")
    for row in document["runs"]:
        true = truth(row["objective"], row["n_params"], row["total_tokens"])
        assert row["expected"] == pytest.approx(true, rel=0.02)
        assert row["low"] < true < row["high"]
        assert row["outside"] == {
            "n_params": pytest.approx(row["n_params"] / plan_sizes(results)[-1]),
            "total_tokens": 2.0,
            "epochs": 2.0,
        }
        assert not row["after_the_fact"]
    write_forecast(results, "larger", document)
    trained(recipe, results, seed=1)
    scores = score_forecasts(results)
    runs = [row for row in scores.rows if row["kind"] == "run"]
    assert len(runs) == 6
    assert all(abs(row["error_log"]) < 0.03 for row in runs)
    (summary,) = [row for row in calibration(scores.rows) if row["kind"] == "run"]
    assert summary["source"] == "own fits"
    assert summary["n"] == 6
    assert summary["coverage"] >= 5 / 6


def plan_sizes(results: Path) -> list[int]:
    frame = query(
        results, "SELECT DISTINCT n_params FROM runs WHERE total_tokens < 65536 ORDER BY 1"
    )
    return frame["n_params"].to_list()


def test_the_crossover_of_two_laws_is_expected_where_they_cross(
    results: Path, tmp_path: Path, corpus: Path
) -> None:
    recipe, plan = larger(tmp_path, corpus, results)
    document = make_forecast(recipe, plan, results, law="chinchilla")
    (own,) = [row for row in document["crossovers"] if " fitted to " in row["source"]]
    where = (200 / 90) ** (1 / 0.1)
    assert own["low"] < where < own["high"]
    assert own["expected"] == pytest.approx(where, rel=0.3)


def test_what_has_records_is_after_the_fact_and_never_scored(
    results: Path, tmp_path: Path, corpus: Path
) -> None:
    recipe, plan = larger(tmp_path, corpus, results)
    first, *_ = make_folders(recipe, plan, results).values()
    finish(first, np.random.default_rng(0))
    document = make_forecast(recipe, plan, results, law="chinchilla")
    late = {row["run_id"] for row in document["runs"] if row["after_the_fact"]}
    assert late == {first.run_id}
    assert all(row["after_the_fact"] for row in document["crossovers"])
    write_forecast(results, "larger", document)
    trained(recipe, results)
    scores = score_forecasts(results)
    assert first.run_id not in {row["run_id"] for row in scores.rows}
    assert scores.left_out["after the fact"] == 1 + len(document["crossovers"])


def test_a_run_that_began_before_is_after_the_fact_whatever_the_document_says(
    results: Path, tmp_path: Path, corpus: Path
) -> None:
    recipe, plan = larger(tmp_path, corpus, results)
    write_forecast(results, "larger", make_forecast(recipe, plan, results, law="chinchilla"))
    for run in trained(recipe, results):
        run.write_status(started=1.0)
    assert score_forecasts(results).left_out["after the fact"] == 6


def test_of_two_forecasts_the_first_is_scored_and_a_changed_one_is_not(
    results: Path, tmp_path: Path, corpus: Path
) -> None:
    recipe, plan = larger(tmp_path, corpus, results)
    document = make_forecast(recipe, plan, results, law="chinchilla")
    first = write_forecast(results, "larger", document)
    for row in document["runs"]:
        row["expected"] = 1.0
    write_forecast(results, "larger", document)
    trained(recipe, results)
    scores = score_forecasts(results, "larger")
    assert scores.left_out["a second forecast of it"] == 6 + len(document["crossovers"])
    assert {row["forecast"] for row in scores.rows} == {first.stem.partition("-")[2]}
    changed = json.loads(first.read_text())
    changed["runs"][0]["expected"] *= 1.01
    first.write_text(json.dumps(changed))
    problems = [one.problem for one in read_forecasts(results) if one.problem]
    assert problems == [f"{first}: changed since it was made."]
    assert any(
        "changed since it was made" in reason for reason in score_forecasts(results).left_out
    )
    assert ingest(results).problems == problems


def test_without_runs_of_its_kind_nothing_is_made_up(tmp_path: Path, corpus: Path) -> None:
    results = tmp_path / "empty"
    results.mkdir()
    recipe = study(tmp_path, corpus, "alone", '"seed" = [0, 1]\n')
    document = make_forecast(recipe, prepare_study(recipe, results), results)
    assert all(row["expected"] is None and row["source"] is None for row in document["runs"])
    assert "no law can be fitted" in document["notes"][0]
    assert {row["source"] for row in document["crossovers"]}, "the published law is known"


@pytest.mark.slow
def test_the_best_law_is_chosen_where_none_is_named(
    results: Path, tmp_path: Path, corpus: Path
) -> None:
    recipe, plan = larger(tmp_path, corpus, results)
    document = make_forecast(recipe, plan, results)
    laws = {name: fit["law"] for name, fit in document["inputs"]["fits"].items()}
    assert set(laws) == {"ar", "mdlm"}
    for row in document["runs"]:
        true = truth(row["objective"], row["n_params"], row["total_tokens"])
        assert row["expected"] == pytest.approx(true, rel=0.05), laws


@pytest.mark.slow
def test_the_command_writes_the_store_knows_and_a_second_time_says_so(
    results: Path, tmp_path: Path, corpus: Path, workbench: Workbench
) -> None:
    larger(tmp_path, corpus, results)
    keys = ("--set", "data.unique_tokens=2048", "--set", "model.width=96", "--law", "chinchilla")
    command = ("forecast", tmp_path / "larger.toml", *keys, "--results", results)
    done = workbench(*command, "--format", "json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert len(document["runs"]) == 6
    rows = query(results, "SELECT * FROM forecasts").to_dicts()
    assert len(rows) == 6 + len(document["crossovers"])
    assert {row["kind"] for row in rows} == {"run", "crossover"}
    assert {row["expected"] for row in rows if row["kind"] == "run"} == {
        row["expected"] for row in document["runs"]
    }
    again = workbench(*command)
    assert "an earlier forecast of larger" in again.stderr
    assert "is the one that is scored" in again.stderr
    trained(load_recipe(tmp_path / "larger.toml", list(keys[1:4:2])), results)
    done = workbench("forecast", "--score", "--results", results)
    assert "6 forecasts of a run from own fits" in done.stderr
    assert "a second forecast of it" in done.stderr
    done = workbench(
        *("advise", "--unique-tokens", 2048, "--compute", 1e12, "--results", results),
        *("--format", "json"),
    )
    assert {(row["kind"], row["n"]) for row in json.loads(done.stdout)["forecasts"]} >= {("run", 6)}
    assert "On record here: 6 forecasts of a run from own fits" in done.stderr


def test_bad_requests_are_refused(results: Path, workbench: Workbench) -> None:
    assert "give a RECIPE" in workbench("forecast", "--results", results).stderr
    done = workbench("forecast", "--score", "--results", results)
    assert done.returncode == 2
    assert "has no forecast" in done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_the_report_shows_backtests_and_forecasts_beside_what_was_measured(
    results: Path, tmp_path: Path, corpus: Path, workbench: Workbench
) -> None:
    recipe, plan = larger(tmp_path, corpus, results)
    write_forecast(results, "larger", make_forecast(recipe, plan, results, law="chinchilla"))
    trained(recipe, results)
    keys = ("--law", "chinchilla", "--along", "size", "--results", results)
    figure = tmp_path / "backtest.svg"
    done = workbench("backtest", "grid", *keys, "--figure", figure)
    assert done.returncode == 0, done.stderr
    assert "n_params <" in done.stdout
    assert figure.read_text().startswith("<svg")
    for out, text in (("grid.html", "Backtests"), ("larger.md", "6 forecasts of a run")):
        name = out.partition(".")[0]
        done = workbench("report", name, "--results", results, "--out", tmp_path / out)
        assert done.returncode == 0, done.stderr
        assert text in (tmp_path / out).read_text()


def test_python_and_the_command_line_expect_the_same(
    results: Path, tmp_path: Path, corpus: Path
) -> None:
    recipe, _ = larger(tmp_path, corpus, results)
    keys = ("--set", "data.unique_tokens=2048", "--set", "model.width=96")
    asked = (*keys, "--law", "chinchilla", "--results", results)
    document = printed("forecast", recipe.origin, "grid", *asked)
    made = wb.forecast(recipe, results, studies=["grid"], law="chinchilla", record=True)
    assert json.loads(json_text(made.document)) == document
    rows = [*document["runs"], *document["crossovers"]]
    assert all(
        getattr(one, name) == value
        for one, row in zip(made, rows, strict=True)
        for name, value in row.items()
        if name in vars(one)
    )


def test_python_and_the_command_line_choose_the_same_next_runs_for_a_law(
    tmp_path: Path, corpus: Path
) -> None:
    recipe, results = study(tmp_path, corpus, "untrained"), tmp_path / "results"
    plan = prepare_study(recipe, results)
    make_folders(recipe, plan, results)
    ingest(results)
    chosen = wb.Results(results).study("untrained").next_runs_for_law(budget=1e12)
    asked = ("--for", "law", "--budget", "1e12", "--results", results)
    assert json.loads(json_text(chosen.document)) == printed("next", "untrained", *asked)
    assert [vars(row) for row in chosen] == chosen.document["runs"]
    assert chosen.frame.height == len(chosen) > 0
    assert chosen.target_error_log == {}


def printed(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--format", "json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
