"""Runs, what they cost, and where their numbers come from."""

import json
from pathlib import Path
from typing import Any

from workbench.analysis.report.sections import Section, literal
from workbench.store import query


def runs_section(results: Path, study: str) -> Section:
    sql = f"""SELECT run_id, state, objective, n_params, unique_tokens, total_tokens, epochs, seed,
       if(imported, 'imported', 'trained') AS origin, error
FROM runs JOIN study_runs USING (run_id) WHERE study = {literal(study)}
ORDER BY objective, n_params, unique_tokens, seed, run_id"""
    rows = query(results, sql).to_dicts()
    states: dict[str, int] = {}
    for row in rows:
        states[row["state"]] = states.get(row["state"], 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    # Columns that say nothing here are left out.
    rows = [{k: v for k, v in row.items() if _tells(rows, k)} for row in rows]
    return Section("Runs", text=(f"{len(rows)} runs: {told}.",), rows=tuple(rows), sql=sql)


def _tells(rows: list[dict[str, Any]], key: str) -> bool:
    return any(row[key] is not None for row in rows)


def cost_section(results: Path, study: str) -> Section:
    sql = f"""WITH spent AS (
  SELECT run_id, max(tokens) AS tokens, max(flops) AS flops,
         median(value) FILTER (metric = 'tokens_per_second') AS speed
  FROM metrics GROUP BY run_id)
SELECT objective, count(*) AS runs, sum(tokens)::DOUBLE AS tokens, sum(flops) AS train_flops,
       sum(tokens / speed) / 3600 AS training_hours
FROM runs JOIN study_runs USING (run_id) LEFT JOIN spent USING (run_id)
WHERE study = {literal(study)} GROUP BY objective ORDER BY objective"""
    rows = query(results, sql).to_dicts()
    rows = [{k: v for k, v in row.items() if _tells(rows, k)} for row in rows]
    text = "Tokens and FLOPs spent so far; hours are of training steps alone, without evaluation."
    return Section("Cost", text=(text,), rows=tuple(rows), sql=sql)


def provenance_section(results: Path, study: str) -> Section:
    sql = f"""SELECT run_id, imported, data_fingerprint, provenance
FROM runs JOIN study_runs USING (run_id) WHERE study = {literal(study)} ORDER BY run_id"""
    groups: dict[str, dict[str, Any]] = {}
    for row in query(results, sql).to_dicts():
        told = _told(row)
        key = json.dumps(told, sort_keys=True)
        groups.setdefault(key, {**told, "runs": 0})["runs"] += 1
    return Section("Provenance", rows=tuple(groups.values()), sql=sql)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    document = json.loads(row["provenance"] or "{}")
    if row["imported"]:
        return {
            "kind": "imported",
            "from": document.get("source"),
            "sha256": (document.get("sha256") or "")[:12] or None,
            "origin": document.get("origin"),
        }
    versions = document.get("versions") or document.get("packages") or {}
    told = {
        "kind": "trained",
        "revision": _revision(document),
        "host": document.get("host"),
        "data": (row["data_fingerprint"] or "")[:12] or None,
    }
    for package in ("torch", "torchtitan"):
        if versions.get(package):
            told[package] = versions[package]
    return told


def _revision(document: dict[str, Any]) -> str | None:
    git = document.get("git")
    known = git.get("revision") if isinstance(git, dict) else document.get("revision")
    dirty = git.get("dirty") if isinstance(git, dict) else document.get("dirty")
    return None if not known else str(known)[:12] + (" with local changes" if dirty else "")
