"""Whether the models of a plan can be built and sharded as asked, without a GPU."""

import json
import subprocess
import sys
from typing import Any

from workbench import stages
from workbench.errors import WorkbenchError
from workbench.planning.memory import Held
from workbench.planning.plan import Plan, RunSpec


def dry_runs(plan: Plan) -> list[tuple[RunSpec, Held]]:
    """Build and shard every different model and layout of a plan on the meta device.

    Each is a process of its own, seconds long: see `workbench.training.dry_run`.

    Returns:
        the first run of each kind, and what one of its ranks holds.

    Raises:
        WorkbenchError: a model cannot be built or sharded so.
    """
    kinds: dict[str, RunSpec] = {}
    for run in plan.runs:
        model = run.config.model.model_dump(mode="json", exclude={"size"})
        layout = run.config.parallelism.model_dump(mode="json")
        training = run.config.training
        kind = [model, layout, training.optimizer, training.ema is None, training.average]
        kinds.setdefault(json.dumps(kind, sort_keys=True), run)
    held = []
    for run in kinds.values():
        stages.doing(f"building a model of {run.n_params:,} parameters")
        held.append((run, _dry_run(run)))
    return held


def _dry_run(run: RunSpec) -> Held:
    done = subprocess.run(
        [sys.executable, "-m", "workbench.training.dry_run"],
        input=run.config.model_dump_json(),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise WorkbenchError(
            f"a model of {run.n_params:,} parameters cannot be built and sharded over "
            f"{run.config.parallelism.world_size} ranks: {' '.join(last) or 'no word of why'}"
        )
    return Held(**json.loads(done.stdout.splitlines()[-1]))


def sharding_row(run: RunSpec, held: Held) -> dict[str, Any]:
    """One kind of run for tables and JSON: what a rank holds, and what was estimated."""
    parallelism = run.config.parallelism
    memory = run.memory
    return {
        "n_params": held.n_params,
        "shard": parallelism.shard,
        "replicate": parallelism.replicate,
        "tensor": parallelism.tensor,
        "held_bytes": held.total,
        "estimated_held_bytes": memory.held,
        "memory_per_gpu_bytes": memory.total,
    }
