"""Runs on a cluster: from a recipe, or from folders that are there, into the queue."""

import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.errors import InputError, WorkbenchError
from workbench.recipe import Recipe, run_config
from workbench.recipe.slurm import SlurmConfig
from workbench.running.run_report import counted
from workbench.running.slurm.lock_sharing import check_locks_are_shared
from workbench.running.slurm.queue import Queue, ask
from workbench.running.slurm.sbatch import (
    DEFAULT_ARRAY_SIZE,
    largest_array,
    scripts,
    submit,
    take_back_unfinished,
    would_be_taken,
)
from workbench.running.slurm.settings import slurm_settings
from workbench.running.slurm.shapes import make_arrays
from workbench.running.slurm.submissions import (
    CLOSED,
    Submission,
    newest_elements,
    one_at_a_time,
    submissions,
)
from workbench.running.study import check_request, prepared_folders
from workbench.runs.files import check_writable, each
from workbench.runs.folder import ENDED, NO_MODEL, RunFolder, RunStatus
from workbench.runs.lock import AlreadyClaimed


@dataclass
class Submitted:
    """What became of a request to submit: run ids by what was done with them."""

    name: str
    settings: SlurmConfig
    submission: Submission | None = None
    submitted: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    training: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def all_runs(self) -> list[str]:
        return [*self.submitted, *self.queued, *self.training, *self.skipped, *self.left_out]

    def summary(self) -> str:
        """Return the counts as one or two sentences."""
        counts = counted(
            ("submitted", self.submitted),
            ("in the queue already", self.queued),
            ("trained by another process now", self.training),
            ("finished already", self.skipped),
            ("left out (failed, diverged or cancelled: workbench retry)", self.left_out),
        )
        text = f"{self.name}: {counts}."
        if self.submission is not None:
            jobs = ", ".join(self.submission.job_ids)
            text += f" Slurm jobs {jobs}; logs in {self.submission.folder}."
        return text


def dry_run(recipe: Recipe, results: Path) -> list[str]:
    """The scripts that `submit_study` would give to sbatch. Writes nothing and needs no Slurm.

    Raises:
        InputError: the recipe, the site file or the resources asked for are wrong.
    """
    settings = slurm_settings(recipe.launcher)
    check_request(recipe, results)
    try:
        largest = largest_array()
    except WorkbenchError:
        largest = DEFAULT_ARRAY_SIZE - 1
    return scripts(_whole_study(recipe, results, settings, largest))


def submit_study(recipe: Recipe, results: Path, *, retry_failed: bool) -> Submitted:
    """Submit what a recipe's runs still lack: all of it or nothing.

    Raises:
        InputError: the recipe, its data, the results folder or what is asked of Slurm is wrong, or
            there is no Slurm here.
        WorkbenchError: Slurm's controller does not answer.
    """
    settings = slurm_settings(recipe.launcher)
    check_request(recipe, results)
    check_locks_are_shared(results)
    would_be_taken(_whole_study(recipe, results, settings, largest_array()))
    folders = prepared_folders(recipe, results)
    return submit_folders(recipe.study.name, folders, results, settings, retry_failed=retry_failed)


def _whole_study(recipe: Recipe, results: Path, settings: SlurmConfig, largest: int) -> Submission:
    """All runs of a recipe as if none was finished, whatever they will be called."""
    named = [(str(number), config) for number, config in enumerate(recipe.runs)]
    arrays = make_arrays(named, settings, largest)
    return Submission.new(results, recipe.study.name, settings, arrays, {})


def submit_folders(
    name: str,
    folders: dict[str, RunFolder],
    results: Path,
    settings: SlurmConfig,
    *,
    retry_failed: bool,
    goes_on: bool = False,
) -> Submitted:
    """Submit the runs of existing folders, imported ones left as they are.

    Args:
        name: what to call them all, in messages and in the queue.
        goes_on: whether starts of their last submission count against max_attempts still.

    Raises:
        InputError: every run was imported, or Slurm refuses. Nothing was submitted.
        WorkbenchError: Slurm's controller does not answer, or the disk is full. Likewise.
    """
    trained = {run_id: run for run_id, run in folders.items() if not run.is_imported()}
    if not trained:
        raise InputError(f"{name}: {NO_MODEL}. There is nothing to train.")
    check_locks_are_shared(results)
    check_writable(results)
    done = Submitted(name, settings)
    with one_at_a_time(results):
        asked = {run_id: run.cancel_request() for run_id, run in trained.items()}
        all_submissions = submissions(results)
        take_back_unfinished(all_submissions)
        all_submissions = submissions(results)
        queue = ask(results, all_submissions, fresh=True) if all_submissions else Queue(0.0, {}, {})
        wanted = _wanted(trained, all_submissions, queue, done, retry_failed=retry_failed)
        if wanted:
            configs = [(run_id, run_config(run.config_json())) for run_id, run in wanted.items()]
            arrays = make_arrays(configs, settings, largest_array())
            attempts = _attempts_before(wanted, all_submissions if goes_on else [])
            done.submission = Submission.new(results, name, settings, arrays, attempts)
            # The newest one stays the newest when the clock has been put back.
            latest = max((before.created for before in all_submissions), default=0.0)
            done.submission.created = max(done.submission.created, latest + 1e-3)
            would_be_taken(done.submission)
            marks = _Marks(wanted, asked)
            submit(done.submission, marks.set, marks.take_back)
            done.submitted = list(wanted)
        _close(all_submissions, results)
    return done


def _wanted(
    trained: dict[str, RunFolder],
    all_submissions: list[Submission],
    queue: Queue,
    done: Submitted,
    *,
    retry_failed: bool,
) -> dict[str, RunFolder]:
    """The runs to submit; what becomes of the others is noted in `done`."""
    newest, wanted = newest_elements(all_submissions), {}
    for run_id, run in trained.items():
        status, element = run.status(), newest.get(run_id)
        if status.state == "finished":
            done.skipped.append(run_id)
        elif status.state in ENDED:
            if retry_failed:
                wanted[run_id] = run
            else:
                done.left_out.append(run_id)
        elif element is not None and queue.has(element):
            done.queued.append(run_id)
        elif run.is_claimed():
            done.training.append(run_id)
        else:
            wanted[run_id] = run
    return wanted


def _attempts_before(
    wanted: dict[str, RunFolder], all_submissions: list[Submission]
) -> dict[str, int]:
    counted = {run_id: run.stored_status().attempts for run_id, run in wanted.items()}
    newest = newest_elements(all_submissions)
    return {
        run_id: newest[run_id].submission.attempts.get(run_id, now) if run_id in newest else now
        for run_id, now in counted.items()
    }


class _Marks:
    """The runs' states, set to submitted, and what they were before.

    A run that is cancelled while its job goes into the queue stays so: its job finds it at its end.
    """

    def __init__(self, runs: dict[str, RunFolder], asked: dict[str, int]) -> None:
        """Take the runs, and which requests to cancel them this submission answers."""
        self.runs = runs
        self.asked = asked
        self.before: dict[str, tuple[RunStatus, bool]] = {}

    def set(self) -> None:
        each(self._set_one, self.runs)

    def _set_one(self, run_id: str) -> None:
        run = self.runs[run_id]
        before = (run.stored_status(), run.cancel_path.exists())
        with suppress(AlreadyClaimed):  # its task will find it finished, or wait for it
            if run.plan_again("submitted", answered=self.asked[run_id]):
                self.before[run_id] = before

    def take_back(self) -> None:
        for run_id, (status, cancelled) in self.before.items():
            run = self.runs[run_id]
            try:
                with run.claim():
                    if run.stored_status().state != "submitted":
                        continue  # it has come to an end meanwhile
                    run.write_status(
                        state=status.state, error=status.error, finished=status.finished
                    )
                    if cancelled:
                        run.request_cancel()
            except WorkbenchError as error:
                print(f"Warning: {error}", file=sys.stderr)


def _close(all_submissions: list[Submission], results: Path) -> None:
    """Ask no more about submissions whose runs have all come to an end, or moved on."""
    newest = newest_elements(all_submissions)
    for submission in all_submissions:
        if submission.state == CLOSED:
            continue
        mine = [
            run_id
            for run_id, element in newest.items()
            if element.submission.name == submission.name
        ]
        states = (RunFolder(results / "runs" / run_id) for run_id in mine)
        if all(not run.config_path.exists() or run.status().state in ENDED for run in states):
            replace(submission, state=CLOSED).save()
