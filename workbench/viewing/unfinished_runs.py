"""Runs that have not finished, read from their folders, which are ahead of the store."""

from typing import Any

from workbench.errors import InputError
from workbench.runs.folder import ENDED_EARLY, RunFolder
from workbench.runs.studies import studies_of
from workbench.viewing.cached_store import Source, runs


def unfinished(where: Source) -> list[dict[str, Any]]:
    """Every run that is not finished yet: its study, state, progress from 0 to 1, and folder."""
    stored = {str(row["run_id"]): row for row in runs(where)}
    rows = []
    for study, run_ids in studies_of(where.results).items():
        for run_id in run_ids:
            if stored.get(run_id, {}).get("state") == "finished":
                continue
            folder = RunFolder(where.results / "runs" / run_id)
            try:
                rows.append(_row(study, folder))
            except InputError:
                continue  # incomplete, or deleted
    return rows


def _row(study: str, folder: RunFolder) -> dict[str, Any]:
    status, document = folder.status(), folder.config_json()
    config, steps = document["config"], document["derived"].get("steps") or 0
    return {
        "study": study,
        "run": folder.run_id,
        "state": status.state,
        "progress": min(status.step / steps, 1.0) if steps else 0.0,
        "step": status.step,
        "steps": steps,
        "objective": config["training"].get("objective"),
        "unique tokens": config["data"].get("unique_tokens"),
        "seed": config["training"].get("seed"),
        "val_loss": folder.last_value("val_loss"),
        "error": status.error,
    }


def ended_early(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that ended before they were finished, and do not go on by themselves."""
    return [row for row in rows if row["state"] in ("interrupted", *ENDED_EARLY)]


def log_lines(where: Source, run_id: str, count: int = 15) -> str:
    """The end of a run's log."""
    return "\n".join(RunFolder(where.results / "runs" / run_id).last_log_lines(count))
