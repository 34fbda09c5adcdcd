"""A run trained in one go, and the same run stopped on its way and gone on with."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.running.test_worker import make_run
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.store.read_records import read_records
from workbench.training.trainer import StudyTrainer


def whole_and_resumed(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, *keys: str
) -> tuple[RunFolder, RunFolder]:
    """Train 12 steps twice, in the folders `whole` and `stopped`; the second time in two starts,
    the first of which ends after step 7."""
    runs = []
    for name in ("whole", "stopped"):
        folder = tmp_path / name
        folder.mkdir()
        runs.append(make_run(folder, corpus, "training.checkpoint_every=4", *keys))
    whole, stopped = runs
    assert worker.main(whole.path) == worker.FINISHED
    step = StudyTrainer.train_step

    def stop_at_seven(self: StudyTrainer, data: Any) -> None:
        step(self, data)
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(StudyTrainer, "train_step", stop_at_seven)
        assert worker.main(stopped.path) == worker.STOPPED
    assert stopped.status().step == 7
    assert worker.main(stopped.path) == worker.FINISHED
    assert stopped.path.name == whole.path.name
    return whole, stopped


def records(run: RunFolder) -> list[tuple[Any, ...]]:
    """All that a run recorded but its speed."""
    frame = read_records(run.records_path).frame
    frame = frame.filter(frame["metric"] != "tokens_per_second").drop("tokens", "epoch", "flops")
    return sorted(frame.rows(), key=str)
