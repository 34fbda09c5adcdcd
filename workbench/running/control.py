"""Status, retry and cancel: commands on the runs of a results folder."""

import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.messages import suggestion
from workbench.recipe.slurm import LauncherConfig
from workbench.running.run_report import RunReport
from workbench.running.slurm.jobs import Jobs, call_off
from workbench.running.slurm.settings import slurm_settings
from workbench.running.slurm.submissions import newest_elements, submissions
from workbench.running.slurm.submit import Submitted, submit_folders
from workbench.running.study import train_folders
from workbench.runs.files import check_writable, each
from workbench.runs.folder import GOES_ON, RunFolder
from workbench.runs.lock import AlreadyClaimed
from workbench.runs.started_as import started_as
from workbench.runs.studies import known_studies, studies_of, targets


def status_rows(results: Path, study: str | None = None) -> list[dict[str, Any]]:
    """One row a run and study, in the order of the study's recipe.

    Rows have "protocol", that of the run's evaluation, where some study has runs of several.

    Raises:
        InputError: no such results folder or study.
    """
    if not results.is_dir():
        raise InputError(f"--results {results}: no such folder. Run a recipe first.")
    studies = studies_of(results)
    if study is not None and study not in studies:
        raise InputError(
            f"no study {study}{suggestion(study, studies) or '.'} {known_studies(studies)}"
        )
    jobs = Jobs(results)
    rows = []
    protocols: dict[str, set[int]] = {}
    for name, run_ids in studies.items():
        if study not in (None, name):
            continue
        for run_id in run_ids:
            folder = RunFolder(results / "runs" / run_id)
            if not folder.path.exists():
                continue  # removed, or to be made by the next `workbench run`
            status, document = folder.status(), folder.config_json()
            protocol = None if document.get("imported") is True else document.get("protocol", 1)
            if protocol is not None:
                protocols.setdefault(name, set()).add(protocol)
            rows.append(
                {
                    "run_id": run_id,
                    "study": name,
                    "state": status.state,
                    "step": status.step,
                    "steps": document["derived"]["steps"],
                    "tokens": status.tokens,
                    "attempts": status.attempts,
                    "trains_as": _trains_as(folder, document),
                    "protocol": protocol,
                    "error": status.error,
                }
                | jobs.columns(run_id, status.state)
            )
    if all(len(of_study) < 2 for of_study in protocols.values()):
        for row in rows:
            del row["protocol"]
    return rows


def _trains_as(folder: RunFolder, document: dict[str, Any]) -> str | None:
    """Device, dtype, compiled or eager, as at the run's first start; None before that."""
    with suppress(InputError, KeyError, TypeError):
        compiled = document["config"]["training"].get("compile") is True
        started = started_as(folder.provenance_json(), compiled=compiled)
        return None if started is None else str(started)
    return None  # damaged: what else is known of the run is shown all the same


def retry(
    results: Path, target: str, *, jobs: int | None = None, launcher: str | None = None
) -> RunReport | Submitted:
    """Train what failed, diverged or was cancelled, from the run folders alone.

    Args:
        launcher: local or slurm; by default the one that the runs were started with last.

    Raises:
        InputError: no such study or run; or see `submit_folders`.
        WorkbenchError: see `submit_folders`.
    """
    folders = {run.run_id: run for run in targets(results, target)}
    check_writable(results)
    newest = newest_elements(submissions(results))
    last = [newest[run_id].submission for run_id in folders if run_id in newest]
    if launcher is None:
        launcher = "slurm" if last else "local"
    if launcher == "slurm":
        # As they were submitted; what the recipe says now is for `workbench run` to read.
        settings = last[-1].settings if last else slurm_settings(LauncherConfig())
        return submit_folders(target, folders, results, settings, retry_failed=True)
    return train_folders(target, folders, results, jobs=jobs, keep_going=True, retry_failed=True)


def cancel(results: Path, target: str) -> list[str]:
    """Ask runs that have not ended to stop for good, and take their Slurm jobs out of the queue.

    Returns:
        A line a run: what is so now.

    Raises:
        InputError: no such study or run.
        WorkbenchError: a folder cannot be written; or there is no Slurm on this machine, or its
            controller does not answer: runs are cancelled, and their jobs in the queue still.
    """
    runs = {run.run_id: run for run in targets(results, target) if run.status().state in GOES_ON}
    each(RunFolder.request_cancel, runs.values())
    try:
        call_off(results, runs)
    except WorkbenchError as error:
        each(_cancel_one, runs.values())
        raise WorkbenchError(
            f"{target}: {len(runs)} runs are cancelled, or stop at their next step; but their "
            f"Slurm jobs are in the queue still, and end as soon as they start: {error}"
        ) from error
    return each(_cancel_one, runs.values()) or [f"{target}: nothing to cancel."]


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
