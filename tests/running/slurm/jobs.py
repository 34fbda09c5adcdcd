"""Scripted runs in the queue, and waiting for what becomes of them."""

from typing import Any

import psutil

from tests.running.slurm.cluster import Cluster
from tests.running.studies import attempts, wait_until
from workbench.recipe.slurm import SlurmConfig
from workbench.running.slurm.submissions import Element, newest_elements, submissions
from workbench.running.slurm.submit import Submitted, submit_folders
from workbench.runs.folder import RunFolder


def submit_runs(*runs: RunFolder, retry_failed: bool = False, **settings: Any) -> Submitted:
    """As the command line does with a study's folders."""
    return submit_folders(
        "scripted",
        {run.run_id: run for run in runs},
        runs[0].results,
        SlurmConfig.model_validate(settings),
        retry_failed=retry_failed,
    )


def element_of(run: RunFolder) -> Element:
    """The task that a run was submitted in last."""
    return newest_elements(submissions(run.results))[run.run_id]


def task_log(run: RunFolder) -> str:
    element = element_of(run)
    number = element.submission.job_ids.index(element.array_job)
    path = element.submission.folder / f"array-{number}-{element.index}.log"
    return path.read_text() if path.exists() else ""


def wait_for_attempt(run: RunFolder, number: int = 1, timeout: float = 30.0) -> None:
    """Wait until that attempt is under way and its status says so."""
    wait_until(
        lambda: len(attempts(run)) >= number and run.stored_status().state == "running",
        f"attempt {number} of {run.run_id}",
        timeout,
    )


def wait_for_state(run: RunFolder, state: str, timeout: float = 40.0) -> None:
    wait_until(lambda: run.status().state == state, f"{run.run_id} {state}", timeout)


def wait_for_empty_queue(cluster: Cluster, timeout: float = 30.0) -> None:
    wait_until(lambda: not cluster.queue(), "the queue is empty", timeout)


def orchestrator_of(worker: int) -> int:
    """The process that trains a task's runs."""
    return next(
        process.pid
        for process in psutil.Process(worker).parents()
        if "workbench.running.slurm.array_task" in process.cmdline()
    )


def keeper_of(worker: int) -> int:
    """Slurm's own process over a batch step."""
    return next(
        process.pid
        for process in psutil.Process(worker).parents()
        if process.name().startswith("slurmstepd")
    )
