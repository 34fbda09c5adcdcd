"""Forecasts beside what came true: only what is scored, bounds as bounds."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.made_runs import MakeRun
from workbench.analysis.forecast_scores import Scores, score_forecasts
from workbench.errors import InputError
from workbench.figures import forecasts_figure
from workbench.figures.forecasts import INSIDE, OUTSIDE
from workbench.runs.forecasts import write_forecast
from workbench.store import ingest


def of_run(run_id: str, expected: float, *, late: bool = False) -> dict[str, Any]:
    return {
        "run_id": run_id, "objective": "ar", "n_params": 181_440, "unique_tokens": 6_400,
        "total_tokens": 4096, "metric": "val_loss", "expected": expected, "low": expected - 0.5,
        "high": expected + 0.5, "source": "a law fitted to ar", "after_the_fact": late,
    }  # fmt: skip


@pytest.fixture
def scores(results: Path, make_run: MakeRun) -> Scores:
    """Four runs that end at 4: forecast well, badly, after the fact, and not at all."""
    for number, name in enumerate("abcd"):
        make_run(name, {1: 5.0, 2: 4.0}, overrides=[f"training.seed={number}"])
    runs = [of_run("a", 4.2), of_run("b", 6.0), of_run("c", 4.0, late=True)]
    write_forecast(results, "made", {"runs": runs, "crossovers": []})
    ingest(results)
    return score_forecasts(results)


def test_what_was_forecast_after_the_fact_is_never_drawn(scores: Scores) -> None:
    figure = forecasts_figure(scores.rows, scores.left_out)
    assert figure.data.select("run_ids", "measured", "expected", "verdict").rows() == [
        ("a", 4.0, 4.2, INSIDE), ("b", 4.0, 6.0, OUTSIDE),
    ]  # fmt: skip
    spec = figure.to_dict()
    assert "not scored: 1, after the fact" in spec["title"]["subtitle"]
    assert not any(row.get("run_ids") == "c" for data in spec["datasets"].values() for row in data)


def test_a_datasets_rows_of_forecasts_are_scored_as_their_documents(
    results: Path, scores: Scores
) -> None:
    shutil.rmtree(results / "forecasts")
    stored = score_forecasts(results)
    assert stored.left_out == scores.left_out
    names = ("run_id", "expected", "low", "high", "measured", "inside", "source")
    assert [{name: row[name] for name in names} for row in stored.rows] == [
        {name: row[name] for name in names} for row in scores.rows
    ]
    with pytest.raises(InputError, match="Study other has no forecast"):
        score_forecasts(results, "other")


def test_a_crossover_that_was_not_reached_is_an_open_mark(scores: Scores) -> None:
    crossing = {
        **scores.rows[0], "kind": "crossover", "run_id": None, "expected": None, "low": 5_000.0,
        "high": None, "measured": 4096.0, "error_log": None, "status": "not_reached",
    }  # fmt: skip
    figure = forecasts_figure([crossing], {})
    text = json.dumps(figure.to_dict())
    assert "triangle-right" in text
    assert figure.data["expected"].to_list() == [None]
    reached = {**crossing, "status": "crossed", "expected": 6_000.0}
    assert "triangle" not in json.dumps(forecasts_figure([reached], {}).to_dict())


def test_without_anything_to_score_it_says_why() -> None:
    with pytest.raises(InputError, match="2, not finished yet"):
        forecasts_figure([], {"not finished yet": 2})
