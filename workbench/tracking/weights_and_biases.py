"""W&B, online or offline. Its key is the variable WANDB_API_KEY, or what `wandb login` left."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import wandb
from wandb.proto import wandb_internal_pb2

from workbench.errors import InputError
from workbench.recipe.tracking import TrackingConfig
from workbench.tracking.tracker import Tracked
from workbench.tracking.wandb_records import WandbFile


class Tracker:
    """A run of the same id. W&B takes each step once and in order, so it is asked for its last:
    of the service where it is online, and of the files of earlier starts that wait for it."""

    def __init__(self, tracked: Tracked, settings: TrackingConfig) -> None:
        folder = Path(settings.folder) if settings.folder else tracked.results
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=settings.project,
            entity=settings.entity,
            id=tracked.run_id,
            name=tracked.run_id,
            group=tracked.study or None,
            config=tracked.config,
            dir=str(folder),
            mode=settings.mode,
            resume="allow",
            # No code, no terminal, and of the machine neither its name, its load nor its packages:
            # what the run measured, and the versions of Python and of W&B's own library.
            save_code=False,
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, x_disable_stats=True,
                x_disable_meta=True, disable_code=True, x_save_requirements=False, host="",
            ),
        )  # fmt: skip
        waiting = _last_written(folder / "wandb", self._run)
        self.last_step = max(self._run.step - 1, waiting, 0)

    def write(self, step: int, time: float, values: dict[str, float]) -> None:
        """See `Tracker`."""
        self._run.log({**values, "time": time}, step=step)

    def close(self, *, finished: bool) -> None:
        """See `Tracker`. A run that is not at its end can go on."""
        self._run.finish(exit_code=0 if finished else 1)


def _last_written(folder: Path, run: wandb.Run) -> int:
    """The last step in files that earlier starts left of the run in its project, 0 without any:
    in another project, a run of the same id is another run."""
    steps = [0]
    for path in folder.glob(f"*run-*-{run.id}/run-{run.id}.wandb"):
        with suppress(InputError):  # of no use to W&B either
            for content in WandbFile(path).records():
                record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
                record.ParseFromString(content)
                kind = record.WhichOneof("record_type")
                if kind == "run" and not _same_place(record.run, run):
                    break
                if kind == "history":
                    steps.append(record.history.step.num)
    return max(steps)


def _same_place(written: Any, run: wandb.Run) -> bool:
    """Whether a file is for the project of a run. Where one of them names no entity, which offline
    is not known then, it is taken for the other's."""
    entities = {written.entity, run.entity} - {"", None}
    return bool(written.project == run.project) and len(entities) < 2
