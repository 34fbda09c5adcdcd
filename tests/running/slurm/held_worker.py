"""The real worker, held at step 7 of a run's first attempt until it is told to stop or killed.

Started through WORKBENCH_WORKER_MODULE. It leaves the file `held` in the run's folder.
"""

import time
from pathlib import Path
from typing import Any

from workbench.running import worker
from workbench.training.trainer import StudyTrainer

HELD_AT = 7


def main(run_dir: Path) -> int:
    marker = run_dir / "held"
    step = StudyTrainer.train_step

    def held_step(self: StudyTrainer, data: Any) -> None:
        step(self, data)
        if self.step == HELD_AT and not marker.exists():
            marker.touch()
            deadline = time.monotonic() + 120
            while not self.hooks.stop_requested() and time.monotonic() < deadline:
                time.sleep(0.02)

    StudyTrainer.train_step = held_step  # type: ignore[method-assign, assignment]
    return worker.main(run_dir)
