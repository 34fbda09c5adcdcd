"""Scaling laws fitted before, from the store."""

import json
from pathlib import Path
from typing import Any

from workbench.analysis.table_rows import interval_text
from workbench.report.sections import Section
from workbench.store import query
from workbench.store.query import literal


def fits_section(results: Path, study: str) -> Section | None:
    """The parameters of every fit in the store, or None if there is none."""
    sql = f"""SELECT law, objective, result FROM fits
WHERE study = {literal(study)} ORDER BY law, objective"""
    stored = query(results, sql).to_dicts()
    if not stored:
        return None
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for row in stored:
        fit = json.loads(row["result"])
        for name, value in fit["params"].items():
            rows.append(
                {
                    "law": fit["law"],
                    "objective": fit["objective_name"],
                    "parameter": name,
                    "value": value,
                    "95 % interval": interval_text(fit["ci95"].get(name)),
                    "identified": "held" if name in fit["fixed"] else fit["identified"].get(name),
                }
            )
        notes += _notes(fit)
    return Section("Scaling laws", text=tuple(notes), rows=tuple(rows), sql=(sql,))


def _notes(fit: dict[str, Any]) -> list[str]:
    who = fit["law"] + (f", {fit['objective_name']}" if fit["objective_name"] else "")
    r2 = "" if fit["r2"] is None else f", R2 {fit['r2']:.4f}"
    notes = [f"{who}: {fit['formula']} ({fit['citation']}). {fit['n']} rows{r2}."]
    error = (fit["held_out"] or {}).get("rmse_log")
    if error is not None:
        notes.append(f"{who}: held-out error {100 * error:.3g} % on the runs of most compute.")
    return notes + [f"{who}: {finding}" for finding in fit["checks"]]
