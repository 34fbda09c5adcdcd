"""Checkpoints that a crash cannot confuse and a request to stop can ask for."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.api import CheckpointException
from torchtitan.components.checkpointer import CheckpointManager
from torchtitan.components.checkpointer.base import LR_SCHEDULER, MODEL
from torchtitan.components.checkpointer.dcp import AsyncMode
from torchtitan.tools.logging import logger

from workbench.errors import WorkbenchError
from workbench.runs.checkpoints import KEPT, saved_steps


def _never() -> bool:
    return False


class StoppableCheckpoints(CheckpointManager):
    """Titan's checkpoints, also written when `stop_requested` says so.

    A folder without metadata was being written when its process died: it is removed before a
    run starts, since DCP would otherwise write into it, beside files of another attempt.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(CheckpointManager.Config):
        keep_step: int
        """Saved whatever the interval, and never purged: a longer run can start there."""
        kept_steps: tuple[int, ...] = ()
        """Their weights alone are saved in a folder of their own, which nothing purges."""

    def __init__(self, config: Config, **kwargs: Any) -> None:
        self.keep_step = config.keep_step
        self.kept_steps = config.kept_steps
        super().__init__(config, **kwargs)

    stop_requested: Callable[[], bool] = staticmethod(_never)
    before_save: Callable[[], None] = staticmethod(lambda: None)

    def _should_save(self, curr_step: int, last_step: bool = False) -> bool:
        due: bool = super()._should_save(curr_step, last_step)
        due = due or curr_step == self.keep_step or self.stop_requested()
        if due:
            self.before_save()
        return due

    def _save(self, curr_step: int, last_step: bool = False) -> bool:
        try:
            if curr_step in self.kept_steps:
                self._keep_weights(curr_step)
            return bool(super()._save(curr_step, last_step))
        except CheckpointException as error:
            # torch's archives do not always say that it is the disk that is full.
            free = shutil.disk_usage(self.folder).free / 2**20
            remove_unfinished(Path(self.folder))  # on a full disk, the status needs the room
            raise WorkbenchError(
                f"{self.folder}: the checkpoint of step {curr_step} cannot be written "
                f"({cause(error)}; {free:,.1f} MiB of space were left on the disk). The run can go "
                "on from the one before it."
            ) from error

    def _keep_weights(self, step: int) -> None:
        """Save the weights alone. A run that resumes passes the step again, with equal weights."""
        folder = Path(self.folder) / KEPT / f"step-{step}"
        if not (folder / ".metadata").exists():
            self.dcp_save(self.states[MODEL].state_dict(), str(folder), AsyncMode.DISABLED)

    def _purge_stale_checkpoints(self) -> None:
        if not self._should_purge():
            return
        for step in saved_steps(Path(self.folder))[: -self.keep_latest_k]:
            if step != self.keep_step:
                self.purge_queue.put(self._create_checkpoint_id(step))

    def _load(self, step: int = -1) -> bool:
        try:
            loaded = bool(super()._load(step))
        except (Exception, CheckpointException) as error:
            raise WorkbenchError(
                f"the checkpoint in {self.folder} cannot be read ({cause(error)}). "
                "Move its newest step-* folder away to resume from the one before, or remove "
                "the checkpoint folder to start this run again; its records stay."
            ) from error
        # The checkpoint holds the rate of the next step. In a longer run it is another one.
        for scheduler in self.states[LR_SCHEDULER].schedulers:
            rates = scheduler.get_last_lr()
            for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        return loaded


def cause(error: BaseException) -> str:
    """Return the error of the first rank that failed.

    DCP wraps the errors of all ranks in a CheckpointException, which is no Exception.
    """
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    return f"{type(error).__name__}: {error}"


def remove_unfinished(folder: Path) -> None:
    """Delete step folders that have no metadata. Call before any rank loads."""
    for step_folder in [*folder.glob("step-*"), *folder.glob(f"{KEPT}/step-*")]:
        if not (step_folder / ".metadata").exists():
            logger.info("removing the unfinished checkpoint %s", step_folder.name)
            shutil.rmtree(step_folder, ignore_errors=True)
