"""The real worker, paused at step 7 of a run's first attempt until it is stopped or killed.

Started through WORKBENCH_WORKER_MODULE. It leaves the file `paused` in the run's folder.
"""

import time
from pathlib import Path
from typing import Any

from workbench.running import worker
from workbench.training.trainer import StudyTrainer

PAUSED_AT = 7


def main(run_dir: Path) -> int:
    marker = run_dir / "paused"
    step = StudyTrainer.train_step

    def step_and_pause(self: StudyTrainer, data: Any) -> None:
        step(self, data)
        if self.step == PAUSED_AT and not marker.exists():
            marker.touch()
            deadline = time.monotonic() + 120
            while not self.hooks.stop_requested() and time.monotonic() < deadline:
                time.sleep(0.02)

    StudyTrainer.train_step = step_and_pause  # type: ignore[method-assign, assignment]
    return worker.main(run_dir)
