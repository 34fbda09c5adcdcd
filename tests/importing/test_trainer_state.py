"""The state of Hugging Face's Trainer: what it logged, by step and tokens."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.importing.test_event_folders import CASES, curves, noted
from workbench.errors import InputError
from workbench.importing.importer import read_source
from workbench.importing.points import Points
from workbench.importing.request import Request

CASE = CASES / "trainer-state" / "trainer_state.json"
FACTS = {"objective": "ar", "n_params": "1000000", "unique_tokens": "1000000"}
NAME = "1m_10e_ar_1m"


def read(source: Path, **columns: str) -> Points:
    return read_source(source, Request(columns=columns, units={"total_tokens": 1}))


def write(path: Path, history: list[dict[str, Any]], **state: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    step = max((entry.get("step", 0) for entry in history), default=0)
    path.write_text(json.dumps({"global_step": step, "log_history": history, **state}))
    return path


def test_losses_are_read_with_the_tokens_counted_at_the_end() -> None:
    points = read(CASE, **FACTS)
    assert curves(points)["train_loss"] == [(10, 4.0), (20, 3.0), (30, 2.0)]
    assert curves(points)["val_loss"] == [(10, 4.2), (20, 3.2), (30, 2.2)]
    assert sorted(points.frame["total_tokens"].unique()) == [40_960, 81_920, 122_880]
    assert noted(points, "step 30 alone")


def test_a_count_in_the_history_comes_before_the_one_at_the_end(tmp_path: Path) -> None:
    history = [
        {"step": step, "eval_loss": 5.0 - step, "num_input_tokens_seen": seen}
        for step, seen in ((1, 100), (2, 400))
    ]
    path = write(tmp_path / NAME / "trainer_state.json", history, num_input_tokens_seen=9999)
    assert read(path).frame["total_tokens"].to_list() == [100, 400]


@pytest.mark.parametrize("seen", [0, None])
def test_without_a_count_tokens_are_asked_for(tmp_path: Path, seen: int | None) -> None:
    history = [{"step": 5, "eval_loss": 4.0}]
    path = write(tmp_path / "run" / "trainer_state.json", history, num_input_tokens_seen=seen)
    with pytest.raises(InputError, match="--column tokens_per_step"):
        read(path, **FACTS)
    assert read(path, **FACTS, tokens_per_step="64").frame["total_tokens"].to_list() == [320]


def test_the_mean_over_the_run_and_times_are_no_metrics(tmp_path: Path) -> None:
    history = [
        {"step": 1, "loss": 4.0, "train_runtime": 0.1, "epoch": 0.5},
        {"step": 2, "loss": 3.0, "eval_loss": float("nan"), "eval_runtime": 0.2},
        {"step": 2, "train_loss": 3.5, "train_runtime": 1.0, "total_flos": 1e9, "epoch": 1.0},
    ]
    points = read(write(tmp_path / NAME / "trainer_state.json", history))
    assert curves(points) == {"train_loss": [(1, 4.0), (2, 3.0)]}
    assert noted(points, "not finite", "1")


def test_the_state_that_came_farthest_is_taken_of_each_run(tmp_path: Path) -> None:
    for run in (NAME, "1m_10e_difflm_1m"):
        for steps in (9, 10):  # by name, checkpoint-9 is after checkpoint-10
            history = [{"step": step, "eval_loss": float(step)} for step in range(1, steps + 1)]
            write(tmp_path / "runs" / run / f"checkpoint-{steps}" / "trainer_state.json", history)
    points = read(tmp_path / "runs", tokens_per_step="10")
    assert points.frame.group_by("objective").len().sort("objective").rows() == [
        ("ar", 10), ("mdlm", 10),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"log_history": [{"step": 1, "loss": 4.', "not JSON, or not all of it is there"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "expected a JSON object"),
        ('{"best_metric": 1}', "no log_history"),
        ('{"log_history": [{"loss": 1.0}]}', "entry 1 of log_history has no step"),
        ('{"log_history": [{"step": "x", "loss": 1.0}]}', "entry 1"),
        ('{"log_history": []}', "no scalars"),
    ],
)
def test_a_state_that_cannot_be_read_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / NAME / "trainer_state.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read(path)
