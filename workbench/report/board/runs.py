"""The runs of an export: what each was trained with, and where its numbers come from."""

import json
from dataclasses import dataclass
from typing import Any

from workbench.analysis.curves import run_keys
from workbench.analysis.run_keys import CHANGE_NOTHING, SEEDS
from workbench.recipe.identity import SOURCE_KEYS
from workbench.report.board.exports import Export
from workbench.report.run_sections import provenance_cells
from workbench.store.publish import without_folders

_NO_NUMBER = {*SEEDS, *CHANGE_NOTHING, "model.size", *(f"data.{key}" for key in SOURCE_KEYS)}
"""Keys that distinguish no configurations: seeds, what changes no number, names of things whose
content stands in other keys or in the fingerprint of the data."""


@dataclass(frozen=True)
class Run:
    """One run of an export."""

    run_id: str
    objective: str | None
    keys: dict[str, Any]
    """Its configuration by dotted key, without what distinguishes no configurations."""
    seed: int | None
    data_seed: int | None
    n_params: int | None
    unique_tokens: int | None
    total_tokens: int | None
    state: str | None
    protocol: int | None
    """How it was evaluated; None where it was imported."""
    fingerprint: str | None
    """Of its prepared tokens."""
    versions: dict[str, Any]
    """Versions and revision of what trained it, or where it was imported from."""


def runs_of(export: Export) -> dict[str, Run]:
    """The runs of an export by their ids."""
    return {run.run_id: run for run in map(_run, export.ask("FROM runs ORDER BY run_id"))}


def studies_runs(export: Export) -> dict[str, list[str]]:
    """The ids of each study's runs."""
    found: dict[str, list[str]] = {}
    for row in export.ask("FROM study_runs ORDER BY study, run_id"):
        found.setdefault(row["study"], []).append(row["run_id"])
    return found


def _run(row: dict[str, Any]) -> Run:
    keys = run_keys({**row, "config": row["config"] or "{}"})
    own = {key: value for key, value in keys.items() if value is not None}
    return Run(
        run_id=row["run_id"],
        objective=row["objective"],
        keys={key: value for key, value in own.items() if key not in _NO_NUMBER},
        seed=row["seed"],
        data_seed=row["data_seed"],
        n_params=row["n_params"],
        unique_tokens=row["unique_tokens"],
        total_tokens=row["total_tokens"],
        state=row["state"],
        protocol=row["protocol"],
        fingerprint=row["data_fingerprint"],
        versions=_versions(row),
    )


def _versions(row: dict[str, Any]) -> dict[str, Any]:
    """Without the host, which is nobody's business on a public page."""
    cells = provenance_cells(row)
    document = json.loads(row["provenance"] or "{}") or {}
    recipe = {"recipe (SHA-256)": (document.get("recipe_sha256") or "")[:12] or None}
    return {
        key: without_folders(value) if isinstance(value, str) else value
        for key, value in {**cells, **recipe}.items()
        if key != "host" and value is not None
    }
