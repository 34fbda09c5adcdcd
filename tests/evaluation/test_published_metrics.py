"""What is measured and what is published meet: under one name, in one unit."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.evaluation.conftest import Unigram
from tests.evaluation.test_question_files import HELLASWAG, MMLU, written
from workbench.data.tokenizers import load_tokenizer
from workbench.evaluation.tasks import TASKS, Measured, TaskInputs
from workbench.importing.reference import reference_file
from workbench.metrics import METRICS


def measured(task: str, folder: Path, *, shots: tuple[int, ...]) -> dict[str, Measured]:
    """A task of few questions, asked of a model that likes capitals least."""
    second = {**MMLU, "question": "3 + 1?", "answer": 3}
    files = {
        "hellaswag": written(folder / "h.jsonl", HELLASWAG),
        "mmlu": written(folder / "m.jsonl", MMLU, second),
        "mmlu_dev": written(folder / "d.jsonl", *[MMLU] * 5),
    }
    inputs = TaskInputs(
        context=2048,
        tokenizer=lambda: load_tokenizer("bytes"),
        prepared=lambda: pytest.fail("not read"),
        questions=None,
        draws=1,
        seed=0,
        shots=shots,
        files=files,
        batch=8,
    )
    scorer = Unigram([1.0 + (token < 97) for token in range(256)])
    return {number.metric: number for number in TASKS[task](inputs).ask(scorer)}


def test_published_metrics_are_measured_under_their_names(tmp_path: Path) -> None:
    published = set(pl.read_csv(reference_file())["metric"])
    ours = {"val_loss"}  # of every run
    for task in ("hellaswag", "mmlu_continuation"):
        ours |= set(measured(task, tmp_path, shots=(0,)))
    assert published <= ours
    assert published <= set(METRICS)


def test_mmlu_is_averaged_over_its_shots(tmp_path: Path) -> None:
    numbers = measured("mmlu_continuation", tmp_path, shots=(0, 1, 2, 3, 4, 5))
    by_shots = [numbers[f"mmlu_{k}shot_acc_norm"] for k in range(6)]
    mean = numbers["mmlu_acc_norm"]
    assert set(numbers) == {*(number.metric for number in by_shots), "mmlu_acc_norm"}
    assert mean.estimate.value == pytest.approx(
        np.mean([number.estimate.value for number in by_shots])
    )
    assert mean.estimate.n == 2, "questions, not questions times shots"
    assert mean.estimator == by_shots[0].estimator + "/shots=0,1,2,3,4,5"
