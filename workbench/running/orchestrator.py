"""One `run` of one study: the loop that fills slots, notices ends, and handles Ctrl-C."""

import math
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from workbench.errors import WorkbenchError
from workbench.planning.compiling import device_of, is_to_be_compiled, missing_compiler
from workbench.recipe import run_config
from workbench.recipe.ranks import laid_out
from workbench.running.background_ingest import BackgroundIngest
from workbench.running.compiled_kinds import kind_of
from workbench.running.launcher import Ended, Launcher
from workbench.running.local import LocalLauncher
from workbench.running.progress import Progress, RunView, label
from workbench.running.run_report import RunReport
from workbench.running.shared_trunk import (
    computes_alike,
    has_begun,
    has_checkpoint,
    take_trunk,
    trunks_of,
    unneeded,
)
from workbench.running.slots import Slot, Slots, make_slots
from workbench.runs.folder import ENDED, ENDED_EARLY, RunFolder, RunStatus
from workbench.runs.lock import AlreadyClaimed

_LOOK_EVERY_S = 0.25
_RESTARTS = 2  # of a worker that a signal from outside ended
_CLAIMED, _STOPPED = 3, 143  # exit statuses of a worker
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # USR1: a scheduler's warning


@dataclass(frozen=True)
class Allocation:
    """A part of a cluster that its scheduler has lent us, in place of this machine."""

    slots: Slots
    launcher: Callable[..., Launcher]
    patience_s: float
    """How long to wait for runs that others train, once there is nothing else to do: an idle
    allocation costs."""


class Orchestrator:
    """Trains the runs of existing folders. Several may work on one results folder at once."""

    def __init__(
        self,
        name: str,
        folders: dict[str, RunFolder],
        results: Path,
        *,
        jobs: int | None,
        keep_going: bool,
        retry_failed: bool,
        ranks: int | None = None,
        runs_per_gpu: int = 1,
        allocation: Allocation | None = None,
    ) -> None:
        documents = {run_id: folder.config_json() for run_id, folder in folders.items()}
        configs = {i: run_config(d) for i, d in documents.items()}
        self.configs = {run_id: laid_out(config, ranks) for run_id, config in configs.items()}
        self.train_flops = {i: float(d["derived"]["train_flops"]) for i, d in documents.items()}
        self.labels = {i: label(i, documents[i], self.configs[i]) for i in folders}
        self.folders = folders
        self.results = results
        self.keep_going = keep_going
        self.report = RunReport(name)
        self.slots = (
            allocation.slots
            if allocation
            else make_slots(list(self.configs.values()), jobs, runs_per_gpu)
        )
        self.here = "cuda" if self.slots.gpus else "cpu"
        self.trunks = trunks_of(results, folders, self.configs, self.here)
        # Hundreds of tasks would wait for the store's lock: whoever follows them ingests.
        self.ingest = None if allocation else BackgroundIngest(results)
        # A scheduler may signal every process, and more than once; it kills by itself.
        self.most_stops = 1 if allocation else 2
        self.patience_s = allocation.patience_s if allocation else math.inf
        self.queue: deque[str] = deque()
        self.trained_by_others: set[str] = set()
        self.running: dict[str, Slot] = {}
        self.restarts: dict[str, int] = {}
        self.stopping = 0
        self.stops_sent: dict[str, int] = {}
        self.idle_since = time.monotonic()
        for run_id in folders:
            self._sort(run_id, retry_failed)
        start = allocation.launcher if allocation else LocalLauncher
        self.launcher = start(warm=len(self.queue) > len(self.slots.free))
        views = {
            run_id: RunView(self.labels[run_id], self.configs[run_id].steps, folder.status())
            for run_id, folder in folders.items()
        }
        self.progress = Progress(name, views)

    def _sort(self, run_id: str, retry_failed: bool) -> None:
        folder = self.folders[run_id]
        state = folder.status().state
        if state == "finished":
            self.report.skipped.append(run_id)
        elif state in ENDED_EARLY and not retry_failed:
            self.report.add(run_id, state)
        elif state in ENDED_EARLY:
            try:
                folder.plan_again()
                self.queue.append(run_id)
            except AlreadyClaimed:
                self.trained_by_others.add(run_id)
        else:
            self.queue.append(run_id)

    def run(self) -> RunReport:
        """Train until nothing is left to do.

        Raises:
            KeyboardInterrupt: after Ctrl-C or SIGTERM, once every worker has ended.
        """
        began = time.monotonic()
        # Python lets the main thread alone handle signals; in another one, as of a program that
        # trains beside something else, `workbench cancel` still stops runs.
        ours = _STOP_SIGNALS if threading.current_thread() is threading.main_thread() else ()
        previous = {s: signal.signal(s, self._on_stop_signal) for s in ours}
        try:
            with self.progress:
                self._say_what_is_left_out()
                self._say_what_runs_eager()
                self._loop()
        finally:
            self.launcher.close()
            if self.ingest is not None:
                self.ingest.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
        self.report.waiting += [*self.queue, *sorted(self.trained_by_others)]
        for problem in self.ingest.everything() if self.ingest is not None else ():
            print(f"Warning: {problem}", file=sys.stderr)
        self.report.seconds = time.monotonic() - began
        if self.stopping:
            print(f"{self.report.summary()} Run the same command to go on.", file=sys.stderr)
            raise KeyboardInterrupt
        return self.report

    def _loop(self) -> None:
        while self.running or (not self._halted and (self.queue or self._worth_waiting())):
            self._pass_stop_on()
            self._fill()
            for ended in self.launcher.wait(_LOOK_EVERY_S):
                self._ended(ended)
                self._fill()  # a free slot costs more than the display
            self._check_runs_of_others()
            for run_id in self.running:
                self.progress.update(run_id, self.folders[run_id].stored_status())
            self.progress.tick()
            note = self.ingest.now_and_then(self.running) if self.ingest is not None else None
            if note is not None:
                self.progress.say(note)

    def _worth_waiting(self) -> bool:
        """Whether runs that others train are the only ones left, and not for too long yet."""
        if not self.trained_by_others or self.queue or self.running:
            self.idle_since = time.monotonic()
        return bool(self.trained_by_others) and time.monotonic() - self.idle_since < self.patience_s

    @property
    def _halted(self) -> bool:
        return bool(self.stopping) or (
            not self.keep_going and bool(self.report.failed or self.report.diverged)
        )

    def _fill(self) -> None:
        """Start queued runs, in order, while there is room for the next.

        A run that can go on from another's checkpoint waits for that, and the next one comes first.
        """
        coming = {*self.queue, *self.running}
        if self.patience_s == math.inf:
            coming |= self.trained_by_others
        waiting: list[str] = []
        while self.queue and self.slots.free and not self._halted:
            run_id = self.queue.popleft()
            if self._waits_for_trunk(run_id, coming):
                waiting.append(run_id)
                continue
            if not self._is_still_ours(run_id):
                continue
            config = self.configs[run_id]
            slot = self.slots.take(config.parallelism.world_size)
            if slot is None:
                waiting.append(run_id)
                break
            self._take_trunk(run_id)
            self.running[run_id] = slot
            self.progress.started(run_id)
            self.launcher.start(
                self.folders[run_id],
                world_size=config.parallelism.world_size,
                threads=config.training.threads,
                env=slot.env,
                kind=kind_of(config) if self._is_to_be_compiled(run_id) else None,
            )
        self.queue.extendleft(reversed(waiting))

    def _is_to_be_compiled(self, run_id: str) -> bool:
        training = self.configs[run_id].training
        device = device_of(training, self.here)
        return is_to_be_compiled(training, device, self.train_flops[run_id])

    def _waits_for_trunk(self, run_id: str, coming: set[str]) -> bool:
        """Whether the checkpoint that a run can go on from is still to be written.

        Args:
            coming: the runs that train, or wait to.
        """
        sources = self.trunks.sources.get(run_id, ())
        if not sources or has_begun(self.folders[run_id]):
            return False
        for source in sources:
            if has_checkpoint(self._other(source.run), source.step):
                return False
            if source.run in coming:
                return True
        return False

    def _other(self, run_id: str) -> RunFolder:
        return self.folders.get(run_id) or RunFolder(self.results / "runs" / run_id)

    def _take_trunk(self, run_id: str) -> None:
        """Let a run that has not begun go on from the latest checkpoint that another one has."""
        if has_begun(self.folders[run_id]):
            return
        for source in self.trunks.sources.get(run_id, ()):
            other = self._other(source.run)
            if has_checkpoint(other, source.step):
                if not computes_alike(self.folders[run_id], other, self.here):
                    continue
                try:
                    take_trunk(self.folders[run_id], other, source.step)
                except WorkbenchError as error:
                    self.progress.say(f"from step 1 {self.labels[run_id]}: {error}")
                return

    def _drop_trunks(self) -> None:
        """Remove the checkpoints that were there to go on from, and that nothing needs any more."""
        for folder, source in unneeded(self.trunks, self.folders):
            with suppress(OSError):
                shutil.rmtree(folder.checkpoint_dir / f"step-{source.step}")

    def _is_still_ours(self, run_id: str) -> bool:
        """Whether a queued run is still to be trained: it may have waited for hours."""
        folder = self.folders[run_id]
        if folder.is_claimed():
            self.trained_by_others.add(run_id)
            return False
        status = folder.status()
        if status.state in ENDED:
            self._note_own_end(run_id, status)
            return False
        return True

    def _ended(self, ended: Ended) -> None:
        run_id, code = ended.run_id, ended.code
        folder = self.folders[run_id]
        self.slots.give_back(self.running.pop(run_id))
        if self.ingest is not None:
            self.ingest.note(run_id)
        status = folder.status()
        if status.state != "finished" and (code == _CLAIMED or folder.is_claimed()):
            self.progress.say(f"waiting    {self.labels[run_id]}: another process trains it")
            self.trained_by_others.add(run_id)
        elif status.state in ENDED:
            self._note_own_end(run_id, status)
        elif self.stopping or code == _STOPPED:
            self.report.add(run_id, "interrupted")
            self.progress.update(run_id, status)
            self.progress.say(f"stopped    {self.labels[run_id]} at step {status.step}")
        else:
            self._again_or_give_up(run_id, code)

    def _note_own_end(self, run_id: str, status: RunStatus) -> None:
        """Report a run that has come to an end of its own, here or in another process."""
        folder, name = self.folders[run_id], self.labels[run_id]
        self.report.add(run_id, status.state)
        self.progress.update(run_id, status)
        if status.state in ("failed", "diverged"):
            self._show_failure(folder, status.state, name, status.error)
        elif status.state == "cancelled":
            self.progress.say(f"cancelled  {name} at step {status.step}")
        else:
            self._drop_trunks()
            loss = folder.last_value("val_loss")
            self.progress.say(
                f"finished   {name}" + ("" if loss is None else f", val_loss {loss:.4f}")
            )

    def _again_or_give_up(self, run_id: str, code: int) -> None:
        """Queue or fail a run whose worker left no state: it was killed, or native code crashed."""
        folder, name = self.folders[run_id], self.labels[run_id]
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        if code == -signal.SIGKILL:
            how += ", as the kernel ends what it has no memory for"
        # torchrun ends with a plain 1 when one of its ranks was killed.
        killed = code < 0 or self.configs[run_id].parallelism.world_size > 1
        self.restarts[run_id] = self.restarts.get(run_id, 0) + 1
        if killed and self.restarts[run_id] <= _RESTARTS:
            self.progress.say(f"ended      {name} {how}: starting it again")
            self.queue.appendleft(run_id)
            return
        error = f"the worker ended {how}"
        try:
            status = folder.settle("failed", error)
        except AlreadyClaimed:
            self.trained_by_others.add(run_id)
            return
        except WorkbenchError as unwritable:
            # Such as a full disk: the other runs may still have room.
            status = replace(folder.status(), state="failed", error=f"{error}; {unwritable}")
        self._note_own_end(run_id, status)

    def _show_failure(self, folder: RunFolder, how: str, name: str, error: str | None) -> None:
        self.progress.say(f"{how:<10} {name}: {error}")
        for line in folder.last_log_lines():
            self.progress.say(f"    {line}")
        self.progress.say(f"    log: {folder.log_path}")

    def _check_runs_of_others(self) -> None:
        """Queue the runs that another process has stopped training before their end."""
        for run_id in list(self.trained_by_others):
            folder = self.folders[run_id]
            self.progress.update(run_id, folder.stored_status())
            if not folder.is_claimed():
                self.trained_by_others.discard(run_id)
                self.queue.append(run_id)

    def _say_what_runs_eager(self) -> None:
        compiled = [run_id for run_id in self.queue if self._is_to_be_compiled(run_id)]
        if compiled and (missing := missing_compiler()) is not None:
            self.progress.say(
                f"Note: there is no C++ compiler here ({missing}), so {len(compiled)} runs that "
                "would be compiled train eager; those that were started compiled are refused."
            )

    def _say_what_is_left_out(self) -> None:
        if self.report.skipped:
            self.progress.say(f"{len(self.report.skipped)} runs are finished already.")
        left_out = self.report.failed + self.report.diverged + self.report.cancelled
        for run_id in left_out:
            status = self.folders[run_id].status()
            self.progress.say(
                f"left out   {self.labels[run_id]}: {status.state}"
                + (f" ({status.error})" if status.error else "")
            )
        if left_out:
            self.progress.say(f"To try them again: workbench retry {self.report.study}")

    def _on_stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        # Only this: the loop may be anywhere, in the middle of a line of output too.
        self.stopping = min(self.stopping + 1, self.most_stops)

    def _pass_stop_on(self) -> None:
        """Pass stop requests on: at the first, workers write a checkpoint; a second kills them."""
        if not self.stopping:
            return
        if not self.stops_sent:
            self.progress.say("Stopping: each run writes a checkpoint. Again to stop at once.")
        for run_id in self.running:
            if self.stops_sent.get(run_id, 0) < self.stopping:
                self.stops_sent[run_id] = self.stopping
                number = signal.SIGTERM if self.stopping == 1 else signal.SIGKILL
                self.launcher.signal(run_id, number)
