"""Checkpoints that a crash cannot confuse and a request to stop can ask for."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch.distributed.checkpoint.api import CheckpointException
from torchtitan.components.checkpointer import CheckpointManager
from torchtitan.tools.logging import logger

from workbench.errors import WorkbenchError


def _never() -> bool:
    return False


class StoppableCheckpoints(CheckpointManager):
    """Titan's checkpoints, also written when `stop_requested` says so.

    A folder without metadata was being written when its process died: it is removed before a
    run starts, since DCP would otherwise write into it, beside files of another attempt.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(CheckpointManager.Config):
        pass

    stop_requested: Callable[[], bool] = staticmethod(_never)
    before_save: Callable[[], None] = staticmethod(lambda: None)

    def _should_save(self, curr_step: int, last_step: bool = False) -> bool:
        due: bool = super()._should_save(curr_step, last_step) or self.stop_requested()
        if due:
            self.before_save()
        return due

    def _save(self, curr_step: int, last_step: bool = False) -> bool:
        try:
            return bool(super()._save(curr_step, last_step))
        except CheckpointException as error:
            raise WorkbenchError(
                f"the checkpoint of step {curr_step} cannot be written ({_cause(error)}). The run "
                "can go on from the one before it."
            ) from error

    def _load(self, step: int = -1) -> bool:
        try:
            return bool(super()._load(step))
        except (Exception, CheckpointException) as error:
            raise WorkbenchError(
                f"the checkpoint in {self.folder} cannot be read ({_cause(error)}). "
                "Move its newest step-* folder away to resume from the one before, or remove "
                "the checkpoint folder to start this run again; its records stay."
            ) from error


def _cause(error: BaseException) -> str:
    """What went wrong on the first rank that it went wrong on.

    DCP wraps the errors of all ranks in a CheckpointException, which is no Exception.
    """
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    return f"{type(error).__name__}: {error}"


def remove_unfinished(folder: Path) -> None:
    """Delete step folders that have no metadata. Call before any rank loads."""
    for step_folder in folder.glob("step-*"):
        if not (step_folder / ".metadata").exists():
            logger.info("removing the unfinished checkpoint %s", step_folder.name)
            shutil.rmtree(step_folder, ignore_errors=True)


def saved_steps(folder: Path) -> list[int]:
    """Steps with a complete checkpoint, in order."""
    return sorted(
        int(path.parent.name.removeprefix("step-")) for path in folder.glob("step-*/.metadata")
    )


__all__ = ["StoppableCheckpoints", "remove_unfinished", "saved_steps"]
