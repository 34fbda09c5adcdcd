"""Runs, what they cost, and where their numbers come from."""

import json
from pathlib import Path
from typing import Any

from workbench.report.sections import Section
from workbench.store import query
from workbench.store.query import literal

_PACKAGES = ("python", "torch", "torchtitan", "numpy")


def runs_section(results: Path, study: str, missing: list[str]) -> Section:
    """Every run and its state. If some have not finished, `missing` gets a line about it."""
    sql = f"""SELECT run_id, state, objective, n_params, unique_tokens, total_tokens, epochs, seed,
       CASE WHEN NOT imported THEN 'trained' WHEN protocol IS NULL THEN 'imported'
            ELSE 'ensemble' END AS origin, error
FROM runs JOIN study_runs USING (run_id) WHERE study = {literal(study)}
ORDER BY objective, n_params, unique_tokens, seed, run_id"""
    rows = query(results, sql).to_dicts()
    states: dict[str, int] = {}
    for row in rows:
        states[row["state"]] = states.get(row["state"], 0) + 1
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    unfinished = len(rows) - states.get("finished", 0)
    if unfinished:
        missing.append(
            f"{unfinished} of {len(rows)} runs have not finished: numbers and bounds may change."
        )
    imported = sum(row["origin"] == "imported" for row in rows)
    origin = f" {imported} imported: their numbers come from other software." if imported else ""
    return Section(
        "Runs",
        text=(f"{len(rows)} runs: {counts}.{origin}" if rows else "No runs yet.",),
        rows=tuple(_shown_columns(rows)),
        sql=(sql,),
    )


def _shown_columns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without columns that are empty in all of them."""
    shown = [key for key in (rows[0] if rows else {}) if any(row[key] is not None for row in rows)]
    return [{key: row[key] for key in shown} for row in rows]


def cost_section(results: Path, study: str) -> Section:
    """Tokens, training FLOPs, hours and joules of each objective; empty cells where they are not
    known. Joules are those of objectives of which every run was measured to its end."""
    sql = f"""WITH spent AS (
  SELECT run_id, max(tokens) AS tokens, max(flops) AS flops,
         median(value) FILTER (metric = 'tokens_per_second') AS speed,
         max(value) FILTER (metric = 'train_joules') AS joules,
         max(tokens) FILTER (metric = 'train_joules' AND value IS NOT NULL) AS measured
  FROM metrics GROUP BY run_id)
SELECT objective, count(*) AS runs, sum(tokens)::DOUBLE AS tokens, sum(flops) AS train_flops,
       sum(tokens / speed) / 3600 AS training_hours,
       if(count(*) = count(*) FILTER (measured = tokens), sum(joules), NULL) AS train_joules
FROM runs JOIN study_runs USING (run_id) LEFT JOIN spent USING (run_id)
WHERE study = {literal(study)} GROUP BY objective ORDER BY objective"""
    rows = query(results, sql).to_dicts()
    text = "Tokens and FLOPs spent so far; hours are of training steps alone, without evaluation."
    if not _unknown(rows, "train_joules"):
        text += " So are joules, of the GPUs, as NVML measures them."
    unknown = [name for name in ("train_flops", "training_hours") if _unknown(rows, name)]
    lacking = f" Not recorded: {' and '.join(unknown)}.".replace("_", " ") if unknown else ""
    return Section("Cost", text=(text + lacking,), rows=tuple(_shown_columns(rows)), sql=(sql,))


def _unknown(rows: list[dict[str, Any]], name: str) -> bool:
    return all(row[name] is None for row in rows)


def provenance_section(results: Path, study: str) -> Section:
    """Revision, versions, host and data of trained runs; the origin of imported ones."""
    sql = f"""SELECT run_id, imported, data_fingerprint, provenance
FROM runs JOIN study_runs USING (run_id) WHERE study = {literal(study)} ORDER BY run_id"""
    groups: dict[str, dict[str, Any]] = {}
    for row in query(results, sql).to_dicts():
        provenance = provenance_cells(row)
        key = json.dumps(provenance, sort_keys=True)
        groups.setdefault(key, {**provenance, "runs": 0})["runs"] += 1
    columns = list(dict.fromkeys(key for group in groups.values() for key in group))
    rows = [{key: group.get(key) for key in columns} for group in groups.values()]
    return Section("Provenance", rows=tuple(_shown_columns(rows)), sql=(sql,))


def provenance_cells(row: dict[str, Any]) -> dict[str, Any]:
    """Where a run's numbers come from, by what is said of it.

    Args:
        row: of the table `runs`, with imported, data_fingerprint and provenance.
    """
    document = json.loads(row["provenance"] or "{}")
    if row["imported"]:
        return _origin(document)
    versions = document.get("versions") or {}
    return {
        "kind": "trained",
        "revision": _revision(document.get("git")),
        "host": document.get("host"),
        "data": (row["data_fingerprint"] or "")[:12] or None,
        "workbench": versions.get("workbench"),
        **{package: versions.get(package) for package in _PACKAGES},
        "platform": document.get("platform"),
        **_plugins(document),
    }


def _plugins(document: dict[str, Any]) -> dict[str, str]:
    """The plug-ins that a run used, with their packages; nothing for a run without."""
    names = [
        f"{plugin['name']} {plugin['numbers']} ({plugin['package']} {plugin['version']})"
        for plugin in document.get("plugins", [])
    ]
    return {"plug-ins": ", ".join(names)} if names else {}


def _origin(document: dict[str, Any]) -> dict[str, Any]:
    source = document.get("source")
    known = source if isinstance(source, dict) else {"file": source}
    return {
        "kind": "ensemble" if known.get("members") else "imported",
        "from": known.get("file") or known.get("folder"),
        "sha256": (known.get("sha256") or "")[:12] or None,
        "origin": document.get("origin"),
        "imported at": document.get("imported_at"),
    }


def _revision(git: dict[str, Any] | None) -> str | None:
    if not git or not git.get("revision"):
        return None
    return str(git["revision"])[:12] + (" with local changes" if git.get("dirty") else "")
