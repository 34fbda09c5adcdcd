"""Running a study: prepare, claim, launch, resume, retry, report."""

import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.launchers import LocalLauncher
from workbench.plan import Plan, plan_study
from workbench.progress import Progress, RunView, duration
from workbench.provenance import provenance
from workbench.recipe import Recipe, RunConfig
from workbench.runs import RunFolder, write_json
from workbench.slots import Slot, make_slots

_INGEST_EVERY_S = 5.0
_RESTARTS = 2  # of a worker that a signal from outside ended


@dataclass
class RunReport:
    """What became of a study's runs, by id."""

    study: str
    finished: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not (self.failed or self.diverged or self.interrupted or self.waiting)

    def summary(self) -> str:
        parts = [
            f"{len(ids)} {name}"
            for name, ids in (
                ("finished", self.finished),
                ("already finished", self.skipped),
                ("failed", self.failed),
                ("diverged", self.diverged),
                ("interrupted", self.interrupted),
                ("not started", self.waiting),
            )
            if ids
        ]
        return f"{self.study}: {', '.join(parts) or 'no runs'} in {duration(self.seconds)}."


def run_study(
    recipe: Recipe,
    results: Path,
    *,
    jobs: int | None = None,
    keep_going: bool = True,
    retry_failed: bool = False,
) -> RunReport:
    """Train what a recipe's runs still lack, and bring the store up to date.

    Finished runs are skipped, interrupted ones go on from their checkpoint, failed and diverged
    ones are started again only with `retry_failed`.

    Args:
        jobs: ranks that train at once; by default one for each GPU, or for each share of the
            CPU's cores that a rank's threads take.
        keep_going: whether other runs go on when one fails.

    Raises:
        InputError: the recipe, its data or the results folder is wrong. Nothing has started.
        KeyboardInterrupt: after Ctrl-C, once every worker has written its checkpoint.
    """
    check_writable(results)
    plan = prepare_study(recipe, results)
    folders = make_folders(recipe, plan, results)
    return train_folders(
        plan.study,
        folders,
        results,
        jobs=jobs,
        keep_going=keep_going,
        retry_failed=retry_failed,
    )


def train_folders(
    name: str,
    folders: dict[str, RunFolder],
    results: Path,
    *,
    jobs: int | None,
    keep_going: bool,
    retry_failed: bool,
) -> RunReport:
    """Train the runs of existing folders: see `run_study`.

    Args:
        name: what to call them all, in messages and in the report.
    """
    return _Study(name, folders, results, jobs, keep_going, retry_failed).run()


def check_writable(results: Path) -> None:
    """Raises:
    InputError: the folder cannot be made or written.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        probe = results / f".writable-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"--results {results}: cannot be written: {error.strerror}. Give another folder."
        ) from None


def prepare_study(recipe: Recipe, results: Path) -> Plan:
    """Prepare every corpus of a recipe, then plan with run ids.

    Raises:
        InputError: a corpus cannot be read, or has too little text.
    """
    from workbench.data.preparation import prepare

    plan = plan_study(recipe, results)  # refuses what needs no data before any is read
    if any(run.prepared is None for run in plan.runs):
        for run in plan.runs:
            if run.prepared is None:
                data = run.config.data
                print(f"Preparing {data.corpus} ...", file=sys.stderr, flush=True)
                prepare(data, results)
                plan = plan_study(recipe, results)
                if all(run.prepared for run in plan.runs):
                    break
    return plan


def make_folders(recipe: Recipe, plan: Plan, results: Path) -> dict[str, RunFolder]:
    """The run folders and the study's file, by run id."""
    origin = provenance(recipe.text)
    folders = {}
    for run in plan.runs:
        assert run.run_id is not None
        assert run.prepared is not None
        config = {
            "schema": 1,
            "run_id": run.run_id,
            "parent": None,
            "data": {
                "fingerprint": run.prepared.fingerprint,
                "folder": str(run.prepared.folder.relative_to(results)),
            },
            "config": run.config.model_dump(mode="json"),
            "derived": run.derived(),
        }
        folders[run.run_id] = RunFolder.create(results, run.run_id, config, origin)
    study = {
        "name": recipe.study.name,
        "question": recipe.study.question,
        "source": recipe.study.source,
        "compare": recipe.compare.model_dump(mode="json"),
        "run_ids": list(folders),
        "recipe": recipe.text,
    }
    (results / "studies").mkdir(exist_ok=True)
    write_json(results / "studies" / f"{recipe.study.name}.json", study)
    return folders


class _Study:
    """One `run` of one study: the loop that fills slots and notices ends."""

    def __init__(
        self,
        name: str,
        folders: dict[str, RunFolder],
        results: Path,
        jobs: int | None,
        keep_going: bool,
        retry_failed: bool,
    ) -> None:
        documents = {run_id: folder.config_json() for run_id, folder in folders.items()}
        self.configs = {i: RunConfig.model_validate(d["config"]) for i, d in documents.items()}
        self.labels = {i: label(i, documents[i], self.configs[i]) for i in folders}
        self.folders = folders
        self.results = results
        self.keep_going = keep_going
        self.report = RunReport(name)
        self.queue: deque[str] = deque()
        self.elsewhere: set[str] = set()
        self.running: dict[str, Slot] = {}
        self.restarts: dict[str, int] = {}
        self.slots = make_slots(list(self.configs.values()), jobs)
        self.stopping = 0
        self._sort(retry_failed)
        views = {
            run_id: RunView(self.labels[run_id], self.configs[run_id].steps, folder.status())
            for run_id, folder in folders.items()
        }
        self.progress = Progress(name, views)

    def _sort(self, retry_failed: bool) -> None:
        for run_id, folder in self.folders.items():
            state = folder.status().state
            if state == "finished":
                self.report.skipped.append(run_id)
            elif state in ("failed", "diverged", "cancelled") and not retry_failed:
                (self.report.diverged if state == "diverged" else self.report.failed).append(run_id)
            elif folder.is_claimed():
                self.elsewhere.add(run_id)
            else:
                self.queue.append(run_id)

    def run(self) -> RunReport:
        began = time.monotonic()
        previous = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        self.launcher = LocalLauncher()
        try:
            with self.progress:
                self._say_what_is_left_out()
                self._loop()
        finally:
            self.launcher.close()
            for number, handler in previous.items():
                signal.signal(number, handler)
        self.report.waiting += self.queue
        self._ingest(final=True)
        self.report.seconds = time.monotonic() - began
        if self.stopping:
            print(f"{self.report.summary()} Run the same command to go on.", file=sys.stderr)
            raise KeyboardInterrupt
        return self.report

    def _loop(self) -> None:
        last_ingest = time.monotonic()
        while self.running or (not self._halted and (self.queue or self.elsewhere)):
            self._fill()
            for ended in self.launcher.wait(0.25):
                self._ended(ended.run_id, ended.code)
                self._fill()  # a free slot costs more than the display
            self._look_elsewhere()
            for run_id in self.running:
                self.progress.update(run_id, self.folders[run_id].stored_status())
            self.progress.tick()
            if time.monotonic() - last_ingest > _INGEST_EVERY_S:
                self._ingest(final=False)
                last_ingest = time.monotonic()

    @property
    def _halted(self) -> bool:
        return bool(self.stopping) or (
            not self.keep_going and bool(self.report.failed or self.report.diverged)
        )

    def _fill(self) -> None:
        """Start queued runs, in order, while there is room for the next."""
        while self.queue and not self._halted:
            config = self.configs[self.queue[0]]
            slot = self.slots.take(config.parallelism.world_size)
            if slot is None:
                return
            run_id = self.queue.popleft()
            self.running[run_id] = slot
            self.launcher.start(
                self.folders[run_id],
                world_size=config.parallelism.world_size,
                threads=config.training.threads,
                env=slot.env,
            )

    def _ended(self, run_id: str, code: int) -> None:
        folder = self.folders[run_id]
        self.slots.give_back(self.running.pop(run_id))
        status = folder.status()
        self.progress.update(run_id, status)
        name = self.labels[run_id]
        if status.state == "finished":
            self.report.finished.append(run_id)
            self.progress.say(f"finished   {name}")
        elif folder.is_claimed():
            self.progress.say(f"waiting    {name}: another process trains it")
            self.elsewhere.add(run_id)
        elif status.state in ("failed", "diverged"):
            (self.report.failed if status.state == "failed" else self.report.diverged).append(run_id)
            self._show_failure(folder, name, status.error)
        elif status.state == "cancelled":
            self.report.interrupted.append(run_id)
            self.progress.say(f"cancelled  {name} at step {status.step}")
        elif self.stopping or code == 143:
            self.report.interrupted.append(run_id)
            self.progress.say(f"stopped    {name} at step {status.step}")
        else:
            self._again_or_give_up(run_id, code)

    def _again_or_give_up(self, run_id: str, code: int) -> None:
        """A worker that vanished left no word of its own: it was killed, or died in native code."""
        folder, name = self.folders[run_id], self.labels[run_id]
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        self.restarts[run_id] = self.restarts.get(run_id, 0) + 1
        if code < 0 and self.restarts[run_id] <= _RESTARTS:
            self.progress.say(f"ended      {name} {how}: starting it again")
            self.queue.appendleft(run_id)
            return
        folder.write_status(state="failed", error=f"the worker ended {how}", finished=time.time())
        self.report.failed.append(run_id)
        self._show_failure(folder, name, f"the worker ended {how}")

    def _show_failure(self, folder: RunFolder, name: str, error: str | None) -> None:
        self.progress.say(f"failed     {name}: {error}")
        for line in folder.last_log_lines():
            self.progress.say(f"    {line}")
        self.progress.say(f"    log: {folder.log_path}")

    def _look_elsewhere(self) -> None:
        """Runs that another process trains: take over what it leaves unfinished."""
        for run_id in list(self.elsewhere):
            folder = self.folders[run_id]
            self.progress.update(run_id, folder.stored_status())
            if folder.is_claimed():
                continue
            self.elsewhere.discard(run_id)
            if folder.status().state == "finished":
                self.report.finished.append(run_id)
            else:
                self.queue.append(run_id)

    def _say_what_is_left_out(self) -> None:
        if self.report.skipped:
            self.progress.say(f"{len(self.report.skipped)} runs are finished already.")
        left_out = self.report.failed + self.report.diverged
        for run_id in left_out:
            status = self.folders[run_id].status()
            self.progress.say(
                f"left out   {self.labels[run_id]}: {status.state}"
                + (f" ({status.error})" if status.error else "")
            )
        if left_out:
            self.progress.say(f"To try them again: workbench retry {self.report.study}")

    def _ingest(self, *, final: bool) -> None:
        from workbench.store import ingest

        try:
            report = ingest(
                self.results,
                run_ids=None if final else list(self.running),
                timeout=60.0 if final else 1.0,
            )
        except WorkbenchError:
            if final:
                raise
            return  # a reader holds the store: the next round brings it up to date
        for problem in report.problems if final else ():
            print(f"Warning: {problem}", file=sys.stderr)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """First: workers write a checkpoint and end. Second: they are killed."""
        self.stopping += 1
        word = signal.SIGTERM if self.stopping == 1 else signal.SIGKILL
        if self.stopping == 1:
            self.progress.say("Stopping: each run writes a checkpoint. Again to stop at once.")
        for run_id in list(self.running):
            self.launcher.signal(run_id, word)


def label(run_id: str, document: dict[str, Any], config: RunConfig) -> str:
    """A run in a few words."""
    size = config.model.size or f"{document['derived']['n_params'] / 1e6:.1f}M"
    unique = f"U={config.data.unique_tokens:,}"
    return f"{run_id} {config.training.objective} {size} {unique} seed {config.training.seed}"
