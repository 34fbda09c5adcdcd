"""The real worker, with the time of each step and evaluation written to OVERHEAD_EVENTS."""

import json
import os
import time
from pathlib import Path
from typing import Any

from workbench.running import worker
from workbench.training import validation
from workbench.training.trainer import StudyTrainer


def main(run_dir: Path) -> int:
    """Train one run, as `workbench.running.worker.main` does."""
    events = open(os.environ["OVERHEAD_EVENTS"], "a", buffering=1)  # noqa: SIM115

    def told(kind: str, began: float) -> None:
        events.write(json.dumps({"kind": kind, "began": began, "ended": time.time()}) + "\n")

    train, evaluate = StudyTrainer._optimise, validation.Validation.evaluate

    def timed_step(self: Any, data: Any) -> None:
        began = time.time()
        train(self, data)
        told("step", began)

    def timed_evaluation(self: Any, trainer: Any) -> Any:
        began = time.time()
        estimate = evaluate(self, trainer)
        told("evaluation", began)
        return estimate

    StudyTrainer._optimise = timed_step
    validation.Validation.evaluate = timed_evaluation
    events.write(json.dumps({"kind": "run", "began": time.time(), "ended": time.time()}) + "\n")
    return worker.main(run_dir)
