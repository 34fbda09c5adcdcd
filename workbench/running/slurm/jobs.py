"""Runs and their Slurm jobs, for those who look at runs or call them off."""

import sys
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.running.slurm.commands import SlurmRefusal, slurm
from workbench.running.slurm.queue import Queue, ask
from workbench.running.slurm.submissions import Element, newest_elements, submissions
from workbench.runs.folder import ENDED, RunFolder

_ELEMENTS_A_CALL = 2000  # a command line has room for more, but not for any number


class Jobs:
    """The jobs of a results folder, from one question to Slurm."""

    def __init__(self, results: Path) -> None:
        self._queue: Queue | None = None
        self._newest: dict[str, Element] = {}
        self._any = (results / "slurm").is_dir()
        if not self._any:
            return
        all_submissions = submissions(results)
        self._newest = newest_elements(all_submissions)
        try:
            self._queue = ask(results, all_submissions)
        except InputError as error:
            print(f"Note: the runs' Slurm jobs are not shown: {error}", file=sys.stderr)
        except WorkbenchError as error:
            print(f"Warning: the runs' Slurm jobs are not shown: {error}", file=sys.stderr)

    def columns(self, run_id: str, state: str) -> dict[str, Any]:
        """Return the columns about a run's job; none where no run was ever submitted."""
        if not self._any:
            return {}
        element = self._newest.get(run_id)
        row: dict[str, Any] = dict.fromkeys(("job", "job_state", "job_reason", "node"))
        if element is None:
            return row
        row["job"] = element.job
        if self._queue is None or state in ENDED:
            return row
        job = self._queue.of(element)
        if job is None:
            return row | {"job_state": "GONE", "job_reason": "no longer in the queue"}
        return row | {"job_state": job.state, "job_reason": job.reason, "node": job.node}


def call_off(results: Path, runs: dict[str, RunFolder]) -> None:
    """Take the jobs of runs out of the queue, and have running ones stop after a checkpoint.

    A job that also holds other runs stays: those of its runs that are called off have a request to
    cancel in their folders already.

    Raises:
        InputError: there are jobs, and no Slurm on this machine.
        WorkbenchError: the controller does not answer.
    """
    newest = newest_elements(submissions(results))
    mine = {run_id: newest[run_id] for run_id in runs if run_id in newest}
    whole = {
        element.job: element
        for element in mine.values()
        if all(
            run_id in runs or _is_over(results, run_id) or newest[run_id] != element
            for run_id in element.runs
        )
    }
    _scancel(list(whole.values()))


def _is_over(results: Path, run_id: str) -> bool:
    return RunFolder(results / "runs" / run_id).status().state in ENDED


def _scancel(elements: list[Element]) -> None:
    """Cancel all of them in one call, neighbours of an array as a range."""
    by_job: dict[str, list[int]] = {}
    for element in elements:
        by_job.setdefault(element.array_job, []).append(element.index)
    words: list[str] = []
    for job, indices in by_job.items():
        for begin in range(0, len(indices), _ELEMENTS_A_CALL):
            words.append(f"{job}_[{ranges(indices[begin : begin + _ELEMENTS_A_CALL])}]")
    if not words:
        return
    try:
        slurm("scancel", "--quiet", *words)
    except SlurmRefusal as refusal:
        # Jobs that have ended meanwhile, or that Slurm has forgotten: what was wanted.
        if "Invalid job id" not in str(refusal):
            raise


def ranges(numbers: list[int]) -> str:
    """Return numbers in Slurm's notation: 0-3,7 for 0, 1, 2, 3, 7."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
