"""Retry and cancel: commands on the runs of a results folder."""

import platform
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.recipe.slurm import LauncherConfig
from workbench.running.run_report import RunReport
from workbench.running.slurm.jobs import call_off
from workbench.running.slurm.settings import slurm_settings
from workbench.running.slurm.submissions import newest_elements, submissions
from workbench.running.slurm.submit import Submitted, submit_folders
from workbench.running.study import train_folders
from workbench.runs.files import check_writable, each
from workbench.runs.folder import GOES_ON, RunFolder
from workbench.runs.lock import AlreadyClaimed
from workbench.runs.studies import targets, together


def retry(
    results: Path, *target: str, jobs: int | None = None, launcher: str | None = None
) -> RunReport | Submitted:
    """Train what failed, diverged or was cancelled, from the run folders alone.

    Args:
        target: studies, run ids, or beginnings of run ids.
        launcher: local or slurm; by default the one that the runs were started with last.

    Raises:
        InputError: no such study or run; or see `submit_folders`.
        WorkbenchError: see `submit_folders`.
    """
    folders = {run.run_id: run for run in targets(results, *target)}
    name = together(target)
    check_writable(results)
    newest = newest_elements(submissions(results))
    last = [newest[run_id].submission for run_id in folders if run_id in newest]
    if launcher is None:
        launcher = "slurm" if last else "local"
    if launcher == "slurm":
        # As they were submitted; what the recipe says now is for `workbench run` to read.
        settings = last[-1].settings if last else slurm_settings(LauncherConfig())
        return submit_folders(name, folders, results, settings, retry_failed=True)
    return train_folders(name, folders, results, jobs=jobs, keep_going=True, retry_failed=True)


def cancel(results: Path, *target: str) -> list[str]:
    """Ask runs that have not ended to stop for good, and take their Slurm jobs out of the queue.

    Returns:
        A line a run: what is so now.

    Raises:
        InputError: no such study or run.
        WorkbenchError: a folder cannot be written; or there is no Slurm on this machine, or its
            controller does not answer: runs are cancelled, and their jobs in the queue still.
    """
    name = together(target)
    runs = {run.run_id: run for run in targets(results, *target) if run.status().state in GOES_ON}
    each(RunFolder.request_cancel, runs.values())
    try:
        call_off(results, runs)
    except WorkbenchError as error:
        each(_cancel_one, runs.values())
        raise WorkbenchError(
            f"{name}: {len(runs)} runs are cancelled, or stop at their next step; but their "
            f"Slurm jobs are in the queue still, and end as soon as they start: {error}"
        ) from error
    return each(_cancel_one, runs.values()) or [f"{name}: nothing to cancel."]


def _cancel_one(run: RunFolder) -> str:
    """Cancel a run that was asked to stop, if nobody has it, and return the line about it.

    Whoever has it, or takes it next, finds the request: there is no moment at which a run that was
    asked can train on, and none at which one that has finished is called cancelled.
    """
    try:
        state = run.settle("cancelled").state
    except AlreadyClaimed:
        holder = run.holder()
        where = "" if holder is None or holder.host == platform.node() else f" on {holder.host}"
        return f"{run.run_id}: stops{where} after a checkpoint, unless this was its last step."
    if state == "cancelled":
        return f"{run.run_id}: cancelled."
    return f"{run.run_id}: {state} meanwhile; nothing to cancel."
