"""How the configurations of runs differ."""

import json
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.recipe.sweep import dotted
from workbench.store import query
from workbench.store.query import literal


def configuration_diff(results: Path, run_ids: list[str]) -> list[dict[str, Any]]:
    """The keys whose values differ between runs: one row for each key, one column for each run.
    A key that a run does not have is None there.

    Raises:
        InputError: there are fewer than two runs, or the store does not have one of them.
    """
    if len(set(run_ids)) < 2:
        raise InputError("a difference takes two runs or more.")
    frame = query(
        results,
        f"""SELECT run_id, config FROM runs
            WHERE run_id IN ({", ".join(literal(run_id) for run_id in run_ids)})""",
    )
    configs = {row["run_id"]: dotted(json.loads(row["config"])) for row in frame.to_dicts()}
    missing = [run_id for run_id in run_ids if run_id not in configs]
    if missing:
        raise InputError(f"no run {', '.join(missing)} in the store.")
    keys = dict.fromkeys(key for run_id in run_ids for key in configs[run_id])
    return [
        {"key": key, **{run_id: configs[run_id].get(key) for run_id in run_ids}}
        for key in keys
        if len({json.dumps(configs[run_id].get(key)) for run_id in run_ids}) > 1
    ]
