"""Looking after runs: how far they are, trying again, calling off."""

import json
import os
import platform
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.recipe.messages import suggestion
from workbench.runner import RunReport, check_writable, train_folders
from workbench.runs import RunFolder, check_study, list_runs


def studies_of(results: Path) -> dict[str, list[str]]:
    """Run ids by study, from the study files."""
    found = {}
    for path in sorted((results / "studies").glob("*.json")):
        try:
            study = check_study(json.loads(path.read_text()), path)
            found[study["name"]] = study["run_ids"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: not a study ({error}). Run its recipe again.") from None
    return found


def status_rows(results: Path, study: str | None = None) -> list[dict[str, Any]]:
    """One row a run and study, in the order of the study's recipe.

    Raises:
        InputError: no such results folder or study.
    """
    if not results.is_dir():
        raise InputError(f"--results {results}: no such folder. Run a recipe first.")
    studies = studies_of(results)
    if study is not None and study not in studies:
        raise InputError(f"no study {study}{suggestion(study, studies)} {_known(studies)}")
    rows = []
    for name, run_ids in studies.items():
        if study not in (None, name):
            continue
        for run_id in run_ids:
            folder = RunFolder(results / "runs" / run_id)
            if not folder.path.exists():
                continue  # removed, or to be made by the next `workbench run`
            status, derived = folder.status(), folder.config_json()["derived"]
            rows.append(
                {
                    "run_id": run_id,
                    "study": name,
                    "state": status.state,
                    "step": status.step,
                    "steps": derived["steps"],
                    "tokens": status.tokens,
                    "attempts": status.attempts,
                    "error": status.error,
                }
            )
    return rows


def _known(studies: dict[str, list[str]]) -> str:
    return f"Studies here: {', '.join(studies) or 'none'}."


def targets(results: Path, target: str) -> list[RunFolder]:
    """The runs that a study's name or a run's id stands for."""
    studies = studies_of(results)
    if target in studies:
        return [RunFolder(results / "runs" / run_id) for run_id in studies[target]]
    found = [run for run in list_runs(results) if run.run_id == target]
    if not found:
        raise InputError(f"no study or run {target}{suggestion(target, studies)} {_known(studies)}")
    return found


def find_run(results: Path, name: str) -> RunFolder:
    """The run of an id, or of the beginning of one.

    Raises:
        InputError: no run, or several, are called so.
    """
    runs = {run.run_id: run for run in list_runs(results)}
    if name in runs:
        return runs[name]
    found = [run_id for run_id in runs if name and run_id.startswith(name)]
    if len(found) == 1:
        return runs[found[0]]
    if found:
        raise InputError(f"run {name}: {', '.join(found)} begin so. Give more of the id.")
    if not runs:
        raise InputError(
            f"there is no run {name}: there are no runs in {results}. `workbench run` trains them."
        )
    raise InputError(
        f"there is no run {name} in {results}{suggestion(name, runs) or '.'} "
        "`workbench status` lists the runs."
    )


def retry(results: Path, target: str, *, jobs: int | None = None) -> RunReport:
    """Train what failed, diverged or was cancelled, from the run folders alone.

    Raises:
        InputError: no such study or run.
    """
    folders = {run.run_id: run for run in targets(results, target)}
    check_writable(results)
    return train_folders(target, folders, results, jobs=jobs, keep_going=True, retry_failed=True)


def cancel(results: Path, target: str) -> list[str]:
    """Stop workers on this host and mark what is not finished as cancelled.

    Raises:
        InputError: no such study or run.
    """
    said = []
    for run in targets(results, target):
        status = run.status()
        if status.state in ("finished", "cancelled"):
            continue
        if run.is_claimed():
            holder = run.holder()
            if holder is None:
                said.append(f"{run.run_id}: is only starting; cancel it again in a moment.")
                continue
            if holder.host != platform.node():
                said.append(f"{run.run_id}: trains on {holder.host}; cancel it there.")
                continue
            run.request_cancel()
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(holder.pid, signal.SIGTERM)
            said.append(f"{run.run_id}: stopping after a checkpoint.")
        else:
            run.write_status(state="cancelled")
            said.append(f"{run.run_id}: cancelled.")
    return said or [f"{target}: nothing to cancel."]
