"""The finished runs that say something about planned ones: equal but for size, tokens and seeds."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.planning.plan import RunSpec
from workbench.recipe import RunConfig, numbers_json
from workbench.store import database_path, query

_MAY_DIFFER = {
    "data": ("unique_tokens", "seed"),
    "model": ("width", "layers", "heads", "ffn", "init_std"),
    "training": (
        "total_tokens", "warmup_steps", "decay_fraction", "min_lr_ratio", "seed", "compile",
        "log_every", "threads", "micro_batch_size",
    ),
}  # fmt: skip
"""What laws take as numbers, what follows from it, and what only bits depend on."""


def kind_of_run(config: RunConfig, fingerprint: str | None) -> str:
    """One text for runs whose losses one law describes."""
    document = json.loads(numbers_json(config))
    for table in ("evaluation", "parallelism"):
        document.pop(table, None)
    for table, keys in _MAY_DIFFER.items():
        for key in keys:
            document[table].pop(key, None)
    return json.dumps([document, fingerprint], sort_keys=True)


def comparable_runs(results: Path, planned: Iterable[RunSpec]) -> dict[str, list[str]]:
    """Finished runs by study, of the kinds that are planned."""
    wanted = {
        kind_of_run(run.config, run.prepared.fingerprint)
        for run in planned
        if run.prepared is not None
    }
    if not wanted or not database_path(results).exists():
        return {}
    frame = query(
        results,
        """SELECT run_id, data_fingerprint, config, min(study) AS study
           FROM runs JOIN study_runs USING (run_id)
           WHERE state = 'finished' AND NOT imported
             AND protocol = (SELECT max(protocol) FROM runs)
           GROUP BY ALL ORDER BY run_id""",
    )
    found: dict[str, list[str]] = {}
    for row in frame.iter_rows(named=True):
        config = RunConfig.model_validate_json(row["config"])
        if kind_of_run(config, row["data_fingerprint"]) in wanted:
            found.setdefault(row["study"], []).append(row["run_id"])
    return found


def describe(found: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The studies and their runs, for a document."""
    return [{"study": study, "runs": runs} for study, runs in sorted(found.items())]
