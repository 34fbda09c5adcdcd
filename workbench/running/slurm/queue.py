"""Where jobs stand: one squeue for everything, and not more often than every 10 s.

The answer is saved in the results folder, so that any number of `workbench status` and `--wait`,
whoever started them, ask the controller once between them.
"""

import fcntl
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.running.slurm.commands import slurm
from workbench.running.slurm.submissions import (
    CLOSED,
    SUBMITTING,
    Element,
    Submission,
    slurm_folder,
)
from workbench.runs.files import write_json

EVERY_S = 10.0


@dataclass(frozen=True)
class JobState:
    """A task as Slurm has it."""

    state: str
    reason: str | None = None
    """Why it waits, or how it ended."""
    node: str | None = None


@dataclass(frozen=True)
class Queue:
    """An answer of the controller. Jobs that are not in it have left the queue."""

    asked: float
    jobs: dict[str, JobState]
    ended: dict[str, JobState]
    """From sacct, where there is accounting."""
    about: tuple[str, ...] = ()
    """The submissions that were asked about; a clock that goes backwards cannot tell which."""

    def of(self, element: Element) -> JobState | None:
        """Return a task's state; None where it has left the queue and nobody knows how."""
        job = self.jobs.get(element.job)
        if job is None and element.submission.name not in self.about:
            return JobState("PENDING")  # submitted since
        return job or self.ended.get(element.job)

    def has(self, element: Element) -> bool:
        """Whether a task is still in the queue, waiting or running."""
        return element.job in self.jobs or element.submission.name not in self.about


def ask(results: Path, all_submissions: list[Submission], *, fresh: bool = False) -> Queue:
    """Return the states of the jobs of open submissions.

    Args:
        fresh: ask whatever the age of the last answer: for a command that acts on it.

    Raises:
        InputError: there is no Slurm on this machine.
        WorkbenchError: the controller does not answer.
    """
    folder = slurm_folder(results)
    try:
        lock = open(folder / ".queue.lock", "ab")  # noqa: SIM115 - closed below
    except OSError:
        return _ask_slurm(all_submissions)  # somebody else's folder: we may only read
    with lock:
        # Whoever waits here gets the answer that the other is just fetching.
        fcntl.flock(lock, fcntl.LOCK_EX)
        saved = _saved_answer(folder)
        if saved is not None and not fresh and 0 <= time.time() - saved.asked < EVERY_S:
            return saved
        answer = _ask_slurm(all_submissions)
        write_json(folder / ".queue.json", asdict(answer))
        return answer


def _saved_answer(folder: Path) -> Queue | None:
    try:
        document: dict[str, Any] = json.loads((folder / ".queue.json").read_text())
        return Queue(
            float(document["asked"]),
            {job: JobState(**state) for job, state in document["jobs"].items()},
            {job: JobState(**state) for job, state in document["ended"].items()},
            tuple(document["about"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ask_slurm(all_submissions: list[Submission]) -> Queue:
    asked = time.time()
    about = tuple(one.name for one in all_submissions if one.state != SUBMITTING)
    open_submissions = [
        submission
        for submission in all_submissions
        if submission.state != CLOSED and submission.job_ids
    ]
    if not open_submissions:
        return Queue(asked, {}, {}, about)
    names = ",".join(submission.name for submission in open_submissions)
    lines = slurm(
        *("squeue", "--array", "--noheader", f"--name={names}", "--states=all"),
        *("--format", "%i|%T|%r|%N"),
    ).splitlines()
    jobs: dict[str, JobState] = {}
    ended: dict[str, JobState] = {}
    for line in lines:
        job, state, reason, node = line.split("|", 3)
        seen = JobState(state, None if reason == "None" else reason, node or None)
        (ended if state in _ENDED else jobs)[job] = seen
    wanted = {element.job for submission in open_submissions for element in submission.elements()}
    if wanted - jobs.keys() - ended.keys():
        ended.update(_accounted(open_submissions, jobs))
    return Queue(asked, jobs, ended, about)


_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip


def _accounted(
    open_submissions: list[Submission], jobs: dict[str, JobState]
) -> dict[str, JobState]:
    """How tasks ended that squeue has forgotten, where Slurm keeps accounts."""
    ids = ",".join(job_id for submission in open_submissions for job_id in submission.job_ids)
    command = ("sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={ids}")
    try:
        lines = slurm(*command, "--format=JobID,State,ExitCode,NodeList").splitlines()
    except WorkbenchError:
        return {}  # no accounting here
    ended = {}
    for line in lines:
        job, state, code, node = line.split("|", 3)
        word = state.partition(" ")[0]
        if word not in _ENDED:
            continue
        job_state = JobState(word, f"exit status {code}" if code != "0:0" else None, node or None)
        ended.update({name: job_state for name in elements_named(job) if name not in jobs})
    return ended


def elements_named(job: str) -> list[str]:
    """The tasks that an id stands for: sacct lists unstarted ones together, as 7_[0-2,5%4]."""
    array, bracket, rest = job.partition("_[")
    if not bracket:
        return [job]
    elements = []
    for part in rest.partition("]")[0].partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            elements += [f"{array}_{index}" for index in range(int(first), int(last or first) + 1)]
    return elements
