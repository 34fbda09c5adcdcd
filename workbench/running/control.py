"""Status, retry and cancel: commands on the runs of a results folder."""

import os
import platform
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.slurm import LauncherConfig
from workbench.running.run_report import RunReport
from workbench.running.slurm.jobs import Jobs, call_off
from workbench.running.slurm.settings import slurm_settings
from workbench.running.slurm.submissions import newest_elements, submissions
from workbench.running.slurm.submit import Submitted, submit_folders
from workbench.running.study import train_folders
from workbench.runs.files import check_writable, each
from workbench.runs.folder import RunFolder
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
    """Stop workers and Slurm jobs, and mark what is not finished as cancelled.

    Raises:
        InputError: no such study or run, or its jobs are in a Slurm that is not on this machine.
        WorkbenchError: the Slurm controller does not answer. No run was called off.
    """
    runs = {
        run.run_id: run
        for run in targets(results, target)
        if run.status().state not in ("finished", "cancelled")
    }
    in_jobs = call_off(results, runs)
    messages = each(lambda run_id: _cancel_one(runs[run_id], run_id in in_jobs), runs)
    return messages or [f"{target}: nothing to cancel."]


def _cancel_one(run: RunFolder, in_job: bool) -> str:
    """Cancel a run and return the line to print about it."""
    if not run.is_claimed():
        run.write_status(state="cancelled")
        return f"{run.run_id}: cancelled."
    run.request_cancel()
    holder = run.holder()
    if in_job:
        return f"{run.run_id}: stopping in Slurm after a checkpoint."
    if holder is None:
        return f"{run.run_id}: is only starting; it stops as soon as it has begun."
    if holder.host != platform.node():
        return f"{run.run_id}: trains on {holder.host}, and stops there after a checkpoint."
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(holder.pid, signal.SIGTERM)
    return f"{run.run_id}: stopping after a checkpoint."
