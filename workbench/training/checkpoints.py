"""Checkpoints that a crash cannot confuse and a request to stop can ask for."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import distributed as dist
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torchtitan.components.checkpointer import CheckpointManager
from torchtitan.components.checkpointer.base import LR_SCHEDULER, MODEL
from torchtitan.components.checkpointer.dcp import AsyncMode
from torchtitan.tools.logging import logger
from torchtitan.tools.utils import GarbageCollection

from workbench.errors import WorkbenchError
from workbench.runs.checkpoints import KEPT, complete, saved_steps
from workbench.training.averages import Average
from workbench.training.checkpoint_files import CheckedPlanner, CheckedReader, DigestingWriter
from workbench.training.checkpoint_metadata import DamagedCheckpoint


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

    averages: Mapping[str, Average] = MappingProxyType({})
    """Saved with the weights, wherever those are, by their names."""

    def take_averages(self, averages: Sequence[Average]) -> None:
        self.averages = {one.name: one for one in averages}
        if self.enable:
            self.states.update(self.averages)

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
            weights = self.states[MODEL].state_dict() | self.averages
            self.dcp_save(weights, str(folder), AsyncMode.DISABLED)

    def _purge_stale_checkpoints(self) -> None:
        if not self._should_purge():
            return
        for step in saved_steps(Path(self.folder))[: -self.keep_latest_k]:
            if step != self.keep_step:
                self.purge_queue.put(self._create_checkpoint_id(step))

    def dcp_save(
        self,
        state_dict: dict[str, Any],
        checkpoint_id: str,
        async_mode: AsyncMode,
        enable_garbage_collection: bool = False,
        to_hf: bool = False,
    ) -> None:
        """Write a checkpoint with digests. In titan's place, which writes others too."""
        assert (async_mode, to_hf) == (AsyncMode.DISABLED, False)
        dcp.save(state_dict, storage_writer=DigestingWriter(Path(checkpoint_id)))
        if enable_garbage_collection:
            GarbageCollection.collect("GC collection invoked by checkpointer.")

    def dcp_load(
        self, state_dict: dict[str, Any], checkpoint_id: str, from_hf: bool, from_quantized: bool
    ) -> None:
        """Fill a state from a checkpoint, as data only. In titan's place, which loads pickles."""
        assert (from_hf, from_quantized) == (False, False)
        load_checked(state_dict, Path(checkpoint_id))
        self.states[MODEL].load_state_dict(state_dict)

    def _load(self, step: int = -1) -> bool:
        """Load the newest checkpoint, or where that is damaged the one before it.

        Raises:
            WorkbenchError: none can be read. Nothing was moved.
        """
        loaded, damaged = False, []
        steps = saved_steps(Path(self.folder))
        for step in reversed(steps):
            try:
                loaded = bool(super()._load(step))
                break
            except (Exception, CheckpointException) as error:
                damaged.append(step)
                why = damage(error)
                if why is None or step == steps[0]:
                    raise WorkbenchError(
                        f"the checkpoint in {self.folder} cannot be read ({cause(error)}). "
                        "There is none before it: remove the checkpoint folder to start this run "
                        "again; its records stay."
                    ) from error
                logger.warning("The checkpoint of step %d is not used: %s.", step, why)
        if damaged:
            logger.warning("The run goes on from the checkpoint before, of step %d.", step)
            self._set_aside(damaged)
        # The checkpoint holds the rate of the next step. In a longer run it is another one.
        for scheduler in self.states[LR_SCHEDULER].schedulers:
            rates = scheduler.get_last_lr()
            for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        return loaded

    def _set_aside(self, steps: list[int]) -> None:
        """Rename damaged checkpoints: the run will write others of these steps."""
        if dist.get_rank() == 0:
            for step in steps:
                aside = Path(self.folder) / f"damaged-{step}"
                shutil.rmtree(aside, ignore_errors=True)
                (Path(self.folder) / f"step-{step}").rename(aside)


def load_checked(state: dict[str, Any], folder: Path, *, alone: bool = False) -> bool:
    """Fill a state from a checkpoint, and return whether its bytes were compared with digests:
    checkpoints of earlier versions have none.

    Args:
        alone: without other ranks, whether or not there are any.

    Raises:
        DamagedCheckpoint: a file is not what was written; from within a `CheckpointException`.
        CheckpointException: it is of another model.
    """
    reader = CheckedReader(folder)
    dcp.load(state, storage_reader=reader, planner=CheckedPlanner(reader), no_dist=alone)
    if not reader.digested:
        logger.info("%s has no digests: it was written by an earlier version.", folder)
    return reader.digested


def damage(error: BaseException | None) -> DamagedCheckpoint | None:
    """What is damaged, where that is why a checkpoint could not be loaded, on any rank."""
    if isinstance(error, CheckpointException):
        errors: list[BaseException] = [failure[0] for failure in error.failures.values()]
    else:
        errors = [] if error is None else [error]
    return next((one for one in errors if isinstance(one, DamagedCheckpoint)), None)


def cause(error: BaseException) -> str:
    """Return the error of the first rank that failed.

    DCP wraps the errors of all ranks in a CheckpointException, which is no Exception.
    """
    found = damage(error)
    if found is not None:
        return str(found)
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    return f"{type(error).__name__}: {error}"


def remove_unfinished(folder: Path) -> None:
    """Delete step folders that have no metadata. Call before any rank loads."""
    for parent in (folder, folder / KEPT):
        if parent.is_symlink():
            raise WorkbenchError(
                f"{parent} is a link, which is not followed: a run's checkpoints lie in its own "
                "folder. Move the folder itself here."
            )
        whole = complete(parent).values()
        for path in parent.glob("step-*"):
            if path in whole or not path.name.removeprefix("step-").isdecimal():
                continue
            logger.info("removing %s, which is no finished checkpoint", path.name)
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, ignore_errors=True)
