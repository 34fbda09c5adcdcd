"""The real worker, killed by SIGKILL at exact moments, at each of them once.

Started through WORKBENCH_WORKER_MODULE. KILL_AT has the moments of each objective's run, one an
attempt, as JSON; a file of the moment's name is made in the folder KILLED just before, so that the
next attempt outlives it.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

from workbench.running import worker
from workbench.runs.records import RecordWriter
from workbench.training.checkpoint_files import DigestingWriter
from workbench.training.checkpoints import StoppableCheckpoints
from workbench.training.trainer import StudyTrainer

MOMENTS = [
    "before the first step",
    "inside a step",
    "inside a record",
    "between an evaluation and its checkpoint",
    "inside a checkpoint",
    "inside the last checkpoint",
    "after a checkpoint",
    "after the last checkpoint",
]


def killing(killed: Path, **moments: list[str]) -> dict[str, str]:
    """The environment that has the runs of each objective killed so."""
    return {
        "WORKBENCH_WORKER_MODULE": __name__,
        "KILL_AT": json.dumps(moments),
        "KILLED": str(killed),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def main(run_dir: Path) -> int:
    config = json.loads((run_dir / "config.json").read_text())["config"]
    killed = Path(os.environ["KILLED"])
    for moment in json.loads(os.environ["KILL_AT"]).get(config["training"]["objective"], []):
        if not (killed / moment).exists():
            arm(moment, killed / moment)
            break
    return worker.main(run_dir)


def arm(moment: str, marker: Path) -> None:
    def die() -> None:
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    step = StudyTrainer.train_step
    write = RecordWriter.write
    save = StoppableCheckpoints._save
    finish = DigestingWriter.finish
    last = moment.endswith("last checkpoint")
    saving = {"step": 0}

    def killed_step(self: StudyTrainer, data: Any) -> None:
        if moment == "before the first step":
            die()
        step(self, data)
        if moment == "inside a step" and self.step == 7:
            die()

    def killed_write(self: RecordWriter, **record: Any) -> None:
        write(self, **record)
        torn = record["step"] == 8 and record["metric"] == "val_loss"
        if moment == "inside a record" and torn:
            self.flush(fsync=True)
            size = self.path.stat().st_size
            os.truncate(self.path, size - 20)  # as if the system had written half of it
            die()

    def killed_save(self: StoppableCheckpoints, curr_step: int, last_step: bool = False) -> bool:
        saving["step"] = curr_step
        if moment == "between an evaluation and its checkpoint" and curr_step == 8:
            die()
        saved = save(self, curr_step, last_step)
        moments = ("after a checkpoint", "after the last checkpoint")
        if saved and moment in moments and last_step == last and curr_step >= 4:
            die()
        return saved

    def killed_finish(self: DigestingWriter, *args: Any, **kwargs: Any) -> None:
        # The tensors are written, the metadata that makes them a checkpoint is not.
        inside = moment in ("inside a checkpoint", "inside the last checkpoint")
        if inside and (saving["step"] == 12) == last and saving["step"] >= 8:
            die()
        finish(self, *args, **kwargs)

    StudyTrainer.train_step = killed_step  # type: ignore[method-assign, assignment]
    RecordWriter.write = killed_write  # type: ignore[method-assign]
    StoppableCheckpoints._save = killed_save  # type: ignore[method-assign]
    DigestingWriter.finish = killed_finish  # type: ignore[method-assign]
