"""Files that real libraries wrote: count, sum and last value as their own readers say.

`real/make_files.py` made the files and `real/readings/`, and says how.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from workbench.importing.importer import read_source
from workbench.importing.request import Request

REAL = Path(__file__).parent / "real"
LOSSES = {"train_loss": "train/loss", "val_loss": "eval/loss"}
END = 10_000_000  # of the runs that count no tokens, by their names

# Tool -> our metric -> the tag of the reading, and the tokens of the last point.
TOOLS: dict[str, tuple[dict[str, str], int]] = {
    "torch_writer": ({"val_loss": "val_loss"}, END),
    "torchtitan": (
        {
            "train_loss": "loss_metrics/global_avg_loss",
            "val_loss": "validation_metrics/loss",
            "loss_metrics_global_max_loss": "loss_metrics/global_max_loss",
        },
        120 * 4096,
    ),
    "transformers_tensorboard": (
        {**LOSSES, "train_learning_rate": "train/learning_rate"}, 40 * 64,
    ),
    "transformers_wandb": ({"train_loss": "loss", "val_loss": "eval_loss"}, 40 * 64),
    "trainer_state": (
        {"train_loss": "loss", "val_loss": "eval_loss", "grad_norm": "grad_norm"}, 40 * 64,
    ),
    "lightning_tensorboard": ({"train_loss": "train_loss", "val_loss": "val_loss"}, 64 * 128),
    "lightning_csv": ({"train_loss": "train_loss", "val_loss": "val_loss"}, 64 * 128),
    "litgpt": ({"train_loss": "loss", "val_loss": "val_loss", "val_ppl": "val_ppl"}, 80 * 2048),
    "accelerate": (LOSSES, END),
    "tensorboardx": ({**LOSSES, "run_progress": "run_progress"}, 96 * 2048),
    "nanotron": ({"train_loss": "lm_loss", "lr": "lr"}, 40 * 8192),
    "tensorflow": ({"train_loss": "train/loss", "val_loss": "validation/loss"}, 30 * 512),
    "wandb": ({**LOSSES, "table.nested": "table.nested"}, 60 * 1000),
    "lm_eval": (
        {
            "sums_acc": "sums_acc,none",
            "sums_acc_norm": "sums_acc_norm,none",
            "answers_exact_match_strict": "answers_exact_match,strict",
            "answers_exact_match_flexible": "answers_exact_match,flexible",
        },
        END,
    ),
}  # fmt: skip


def reading(tool: str) -> dict[str, dict[str, dict[str, Any]]]:
    document = json.loads((REAL / "readings" / f"{tool}.json").read_text())
    runs: dict[str, dict[str, dict[str, Any]]] = document["runs"]
    return runs


def imported(tool: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """objective -> metric -> (tokens, value), in order."""
    frame = read_source(REAL / tool, Request(units={"total_tokens": 1})).frame
    points = frame.select("objective", "metric", "total_tokens")
    assert points.is_unique().all()  # one run for each objective
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    rows = frame.sort("total_tokens").select("objective", "metric", "total_tokens", "value").rows()
    for objective, metric, tokens, value in rows:
        found.setdefault(objective, {}).setdefault(metric, []).append((tokens, value))
    return found


def same(points: list[tuple[int, float]], read: dict[str, Any]) -> None:
    values = [value for _, value in points]
    assert len(values) == read["count"]
    assert math.fsum(values) == read["sum"]
    assert values[-1] == read["last"]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_of_a_real_library_is_read_as_the_library_reads_it(tool: str) -> None:
    metrics, end = TOOLS[tool]
    found, runs = imported(tool), reading(tool)
    for objective, curves in found.items():
        of = [run for run in runs if ("difflm" in run) == (objective == "mdlm") or not run]
        tags = {tag: read for run in of for tag, read in runs[run].items()}
        for metric, tag in metrics.items():
            if tag in tags:
                same(curves[metric], tags[tag])
        assert max(points[-1][0] for points in curves.values()) == end
    assert {metric for curves in found.values() for metric in curves} >= set(metrics)


def test_add_scalars_of_torch_gives_a_metric_each() -> None:
    curves, runs = imported("torch_writer")["ar"], reading("torch_writer")
    same(curves["train_loss"], runs["1m_10e_ar_1m/loss_train"]["loss"])
    same(curves["val_loss"], runs["1m_10e_ar_1m/loss_val"]["loss"])


def test_the_epochs_of_keras_are_passes_over_the_unique_tokens() -> None:
    curves, runs = imported("keras")["ar"], reading("keras")
    same(curves["train_loss"], runs["1m_10e_ar_1m/train"]["epoch_loss"])
    same(curves["val_loss"], runs["1m_10e_ar_1m/validation"]["epoch_loss"])
    assert [tokens for tokens, _ in curves["val_loss"]] == [n * 10**6 for n in range(1, 7)]


def test_all_files_together_are_small() -> None:
    assert sum(path.stat().st_size for path in REAL.rglob("*") if path.is_file()) < 500_000
