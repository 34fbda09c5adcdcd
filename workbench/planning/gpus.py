"""What a study costs on a given kind and number of GPUs: step time, GPU-hours, whether it fits.

A step takes FLOPs / (GPUs x peak x MFU) seconds. FLOPs are counted (`planning/flops.py`), the peak
is the maker's, and model FLOPs utilisation (MFU) is measured where the store has runs of the same
objective on that GPU, else assumed. With activation checkpointing a step makes its forward pass
twice, or half of it where it is selective, so a third or a sixth more FLOPs; MFU counts the useful
ones, as is usual.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from workbench.errors import InputError
from workbench.messages import pretty, suggestion
from workbench.planning.memory import memory_per_gpu
from workbench.planning.plan import Plan, RunSpec
from workbench.recipe import RunConfig

ASSUMED_MFU = 0.35
"""Of dense models of about a billion parameters and more, compiled, in bfloat16."""
HEADROOM = 0.9  # CUDA's context, NCCL's buffers, fragmentation
_AGAIN = {True: 4 / 3, "selective": 7 / 6}
"""FLOPs of a step with activation checkpointing: a forward pass is a third of one, and selective
checkpointing makes about half of it again."""


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU, by its maker's data sheet."""

    name: str
    peak_flops: float
    """Dense bfloat16 FLOP/s with float32 accumulation."""
    memory_bytes: float
    told_as: str
    """What its driver's name holds."""


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-40gb", 312e12, 40e9, "A100"),
        Gpu("a100-80gb", 312e12, 80e9, "A100"),
        Gpu("h100", 989.4e12, 80e9, "H100"),
        Gpu("h200", 989.4e12, 141e9, "H200"),
        Gpu("b200", 2250e12, 180e9, "B200"),
        Gpu("l40s", 362e12, 48e9, "L40S"),
        Gpu("rtx-4090", 165.2e12, 24e9, "RTX 4090"),
    )
}


def gpu_named(name: str) -> Gpu:
    """Raises:
    InputError: no such GPU; the known ones are named.
    """
    if name not in GPUS:
        known = ", ".join(GPUS)
        raise InputError(f"--gpu {name}{suggestion(name, GPUS) or '.'} Known: {known}.")
    return GPUS[name]


def gpu_costs(
    plan: Plan, results: Path, gpu: Gpu, count: int | None = None, mfu: float | None = None
) -> list[dict[str, Any]]:
    """One row a run: what it takes on `count` GPUs of a kind, alone.

    Args:
        count: GPUs a run; the recipe's own parallelism where None. Others are spread over FSDP
            within the recipe's tensor-parallel ranks.
        mfu: utilisation to reckon with; measured or assumed where None.

    Returns:
        Rows with "run_id", "objective", "n_params", "gpus", "memory_bytes" (the larger of
        "memory_training_bytes" and "memory_evaluation_bytes"), "fits", "fits_recomputed" (with
        activation checkpointing), "step_seconds", "gpu_hours", "mfu" and "mfu_from": "given",
        "assumed", or what was measured.

    Raises:
        InputError: a batch or a model cannot be spread so, or a run computes in float32.
    """
    if mfu is not None and not 0 < mfu < 1:
        raise InputError(f"--mfu {mfu:g}: expected a share between 0 and 1, such as 0.4.")
    measured = {} if mfu is not None else measured_mfu(results, gpu)
    return [_cost(run, gpu, count, mfu, measured) for run in plan.runs]


def _cost(
    run: RunSpec, gpu: Gpu, count: int | None, mfu: float | None, measured: dict[str, float]
) -> dict[str, Any]:
    config = run.config if count is None else spread(run.config, count)
    if config.training.dtype == "float32":
        raise InputError(
            'training.dtype = "float32": the peaks of GPUs are those of bfloat16. Plan with '
            "--set 'training.dtype=\"bfloat16\"'."
        )
    gpus = config.parallelism.world_size
    memory, room = memory_per_gpu(config), HEADROOM * gpu.memory_bytes
    if mfu is not None:
        used, source = mfu, "given"
    elif run.objective in measured:
        used, source = measured[run.objective], f"runs on {gpu.name} in the store"
    else:
        used, source = ASSUMED_MFU, "assumed"
    recomputed = _AGAIN.get(config.training.activation_checkpointing or False, 1.0)
    step = run.train_flops / run.steps * recomputed / (gpus * gpu.peak_flops * used)
    return {
        "run_id": run.run_id,
        "objective": run.objective,
        "n_params": run.n_params,
        "unique_tokens": run.unique_tokens,
        "gpu": gpu.name,
        "gpus": gpus,
        "memory_bytes": memory.total,
        "memory_exact_bytes": memory.held,
        "memory_training_bytes": memory.training,
        "memory_evaluation_bytes": memory.evaluation.total,
        "fits": memory.total <= room,
        "fits_recomputed": memory.recomputed <= room,
        "step_seconds": step,
        "gpu_hours": step * run.steps * gpus / 3600,
        "mfu": used,
        "mfu_from": source,
    }


def spread(config: RunConfig, count: int) -> RunConfig:
    """The run over `count` GPUs: its tensor-parallel ranks as they are, FSDP over the rest.

    Raises:
        InputError: they do not divide, or the batch does not.
    """
    tensor, batch = config.parallelism.tensor, config.training.batch_size
    shard, left = divmod(count, tensor)
    if count < 1 or left:
        raise InputError(
            f"--gpus {count}: not a multiple of the recipe's {tensor} tensor-parallel ranks."
        )
    if batch % shard:
        near = max(n for n in range(1, shard) if batch % n == 0) * tensor
        raise InputError(
            f"--gpus {count}: a batch of {batch} sequences is not divisible by {shard} ranks. "
            f"The next lower number that divides it: {near}."
        )
    parallelism = config.parallelism.model_copy(update={"shard": shard, "replicate": 1})
    update: dict[str, Any] = {"parallelism": parallelism}
    micro = config.training.micro_batch_size
    if micro is not None and (batch // shard) % micro:
        update["training"] = config.training.model_copy(update={"micro_batch_size": None})
    return config.model_copy(update=update)


def measured_mfu(results: Path, gpu: Gpu) -> dict[str, float]:
    """Median MFU by objective of the store's runs that were trained in bfloat16 on such GPUs."""
    from workbench.store import database_path, query

    if not database_path(results).exists():
        return {}
    frame = query(
        results,
        """SELECT run_id, objective, train_flops, total_tokens, config, provenance,
                  median(value) AS speed
           FROM metrics JOIN runs USING (run_id)
           WHERE metric = 'tokens_per_second' AND metrics.step > 1
                 AND provenance LIKE '%"trained_on"%' GROUP BY ALL""",
    )
    found: dict[str, list[float]] = {}
    for row in frame.to_dicts():
        devices = json.loads(row["provenance"]).get("trained_on") or []
        if not devices or not all(
            gpu.told_as in one["device"] and one["dtype"] == "bfloat16" for one in devices
        ):
            continue
        planned = RunConfig.model_validate_json(row["config"]).parallelism.world_size
        ranks = max(one.get("ranks", planned) for one in devices)
        if any(one.get("ranks", planned) != ranks for one in devices):
            continue  # nothing says which run has which speed
        flops = row["train_flops"] / row["total_tokens"] * row["speed"]
        found.setdefault(row["objective"], []).append(flops / (ranks * gpu.peak_flops))
    return {objective: median(values) for objective, values in found.items()}


def gpu_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """For people: times and memory in the units they think in."""
    return {
        "objective": row["objective"],
        "n_params": row["n_params"],
        "unique_tokens": row["unique_tokens"],
        "gpus": f"{row['gpus']} {row['gpu']}",
        "training": f"{row['memory_training_bytes'] / 1e9:.3g} GB",
        "evaluation": f"{row['memory_evaluation_bytes'] / 1e9:.3g} GB",
        "fits": _fits(row),
        "a step": f"{row['step_seconds']:.3g} s",
        "GPU-hours": pretty(float(f"{row['gpu_hours']:.3g}")),
        "MFU": f"{row['mfu']:.2g} ({row['mfu_from']})",
    }


def _fits(row: dict[str, Any]) -> str:
    if row["fits"]:
        return "yes"
    return "with activation checkpointing" if row["fits_recomputed"] else "no"
