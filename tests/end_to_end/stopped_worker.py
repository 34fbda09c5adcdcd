"""The real worker, whose first rank has the study stopped after step STOP_AT, as Ctrl-C does."""

import os
import signal
import time
from typing import Any

import psutil

from workbench.running import worker
from workbench.training.trainer import StudyTrainer

main = worker.main
_step = StudyTrainer.train_step


def _stop_after(trainer: StudyTrainer, batches: Any) -> None:
    _step(trainer, batches)
    if trainer.step == int(os.environ["STOP_AT"]) and os.environ.get("RANK", "0") == "0":
        above = psutil.Process().parents()
        next(process for process in above if "workbench.cli" in process.cmdline()).send_signal(
            signal.SIGINT
        )
        while not trainer.hooks.stop_requested():
            time.sleep(0.02)


StudyTrainer.train_step = _stop_after  # type: ignore[method-assign, assignment]
