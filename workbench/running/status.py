"""How far runs are: what `workbench status` shows."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.messages import duration, suggestion
from workbench.running.slurm.jobs import Jobs
from workbench.runs.folder import GOES_ON, RunFolder, RunStatus
from workbench.runs.started_as import started_as
from workbench.runs.studies import known_studies, studies_of


def status_rows(results: Path, *only: str) -> list[dict[str, Any]]:
    """One row a run and study, in the order of the study's recipe.

    Rows have "protocol", that of the run's evaluation, where some study has runs of several.
    "progress" is the share of the steps that are done. Of a run that trains, "tokens_per_second"
    is the speed of its last steps and "seconds_left" what remains, evaluations included;
    "age_seconds" is since its status was last written.

    Args:
        only: studies; all where none is given.

    Raises:
        InputError: no such results folder or study.
    """
    if not results.is_dir():
        raise InputError(f"--results {results}: no such folder. Run a recipe first.")
    studies = studies_of(results)
    for study in only:
        if study not in studies:
            raise InputError(
                f"no study {study}{suggestion(study, studies) or '.'} {known_studies(studies)}"
            )
    jobs = Jobs(results)
    rows = []
    protocols: dict[str, set[int]] = {}
    for name, run_ids in studies.items():
        if only and name not in only:
            continue
        for run_id in run_ids:
            folder = RunFolder(results / "runs" / run_id)
            if not folder.path.exists():
                continue  # removed, or to be made by the next `workbench run`
            status, document = folder.status(), folder.config_json()
            unknown = None if document.get("imported") is True else 1
            protocol = document.get("protocol", unknown)
            if protocol is not None:
                protocols.setdefault(name, set()).add(protocol)
            rows.append(
                _row(name, folder, status, document)
                | {"protocol": protocol, "error": status.error}
                | jobs.columns(run_id, status.state)
            )
    if all(len(of_study) < 2 for of_study in protocols.values()):
        for row in rows:
            del row["protocol"]
    return rows


def summaries(rows: list[dict[str, Any]]) -> list[str]:
    """A line a study with unfinished runs: how many are in which state, and what remains.

    Args:
        rows: of `status_rows`.
    """
    lines = []
    for name in dict.fromkeys(row["study"] for row in rows):
        own = [row for row in rows if row["study"] == name]
        going = [row for row in own if row["state"] in GOES_ON and row["steps"]]
        if not going:
            continue
        states = Counter(row["state"] for row in own)
        steps = sum(row["steps"] or 0 for row in own)
        done = sum(min(row["step"], row["steps"] or 0) for row in own) / max(steps, 1)
        line = f"{name}: {', '.join(f'{count} {state}' for state, count in states.items())}; "
        line += f"{int(100 * done)} % of all steps"
        # As the running ones go: steps a second of each, for what the others lack too.
        pace = sum(
            (row["steps"] - row["step"]) / row["seconds_left"]
            for row in going
            if row["seconds_left"]
        )
        if pace:
            left = sum(row["steps"] - row["step"] for row in going)
            line += f", about {duration(left / pace)} to go at the present speed"
        lines.append(line + ".")
    return lines


def _row(
    study: str, folder: RunFolder, status: RunStatus, document: dict[str, Any]
) -> dict[str, Any]:
    steps = document["derived"]["steps"]
    training = document["config"]["training"]
    speed, left = _pace(folder, status, document)
    return {
        "run_id": folder.run_id,
        "study": study,
        "objective": training.get("objective"),
        "n_params": document["derived"].get("n_params"),
        "seed": training.get("seed"),
        "state": status.state,
        "step": status.step,
        "steps": steps,
        "progress": min(status.step / steps, 1.0) if steps else None,
        "tokens": status.tokens,
        "tokens_per_second": speed,
        "seconds_left": left,
        "age_seconds": None if status.updated is None else max(time.time() - status.updated, 0.0),
        "attempts": status.attempts,
        "trains_as": _trains_as(folder, status, document),
    }


def _pace(
    folder: RunFolder, status: RunStatus, document: dict[str, Any]
) -> tuple[float | None, float | None]:
    """Tokens a second of the last steps of a run that trains, and the seconds that remain to it."""
    if status.state != "running" or status.step < 1:
        return None, None
    speed = folder.last_value("tokens_per_second")
    remaining = document["derived"]["steps"] - status.step
    if status.attempts == 1 and document.get("parent") is None and status.started is not None:
        # Of one attempt the whole is known: evaluations and checkpoints too.
        return speed, (time.time() - status.started) / status.step * remaining
    tokens_per_step = document["derived"].get("tokens_per_step")
    if not speed or tokens_per_step is None:
        return speed, None
    return speed, remaining * tokens_per_step / speed


def _trains_as(folder: RunFolder, status: RunStatus, document: dict[str, Any]) -> str | None:
    """Device, dtype, compiled or eager, as at the run's first start; None before that, and of an
    imported run."""
    try:
        compiled = document["config"]["training"].get("compile") is True
        started = started_as(folder.provenance_json(), compiled=compiled)
    except (InputError, KeyError, TypeError):
        # What else is known of the run is shown all the same.
        return f"unknown: {folder.provenance_path.name} is damaged"
    if started is None and status.step > 0 and document.get("imported") is not True:
        return f"unknown: {folder.provenance_path.name} does not say"
    return None if started is None else str(started)
