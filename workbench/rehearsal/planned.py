"""Rehearsing a plan: each distinct kind of run once, as rows for tables and JSON."""

import json
from typing import Any

from workbench import stages
from workbench.planning.gpus import HEADROOM, Gpu, spread
from workbench.planning.memory import memory_per_gpu
from workbench.planning.plan import Plan, RunSpec
from workbench.recipe import RunConfig
from workbench.rehearsal.counts import (
    SAMPLING,
    TRAIN,
    TRAIN_LOGGED,
    TRAINING,
    Phase,
    Rehearsal,
)
from workbench.rehearsal.estimate import step_seconds
from workbench.rehearsal.start import stage

_SAME_STEPS = {
    "training": {
        "total_tokens", "lr", "min_lr_ratio", "warmup_steps", "decay_fraction", "decay",
        "weight_decay", "betas", "grad_clip", "seed", "log_every", "checkpoint_every",
        "checkpoint_points", "hidden_lr", "embedding_lr", "head_lr", "muon_momentum",
        "muon_scaling", "threads", "device", "loss_weighting", "noise_schedule",
    },
    "evaluation": {
        "points", "validation_draws", "validation_draws_last", "cloze_draws", "task_draws",
        "cloze_questions", "task_questions",
    },
    "model": {"size", "init_std", "rope_theta", "norm_eps", "base_width"},
}  # fmt: skip
"""Keys that change how many steps there are, or numbers, and no operation of a step."""


def kinds(plan: Plan, gpus: int | None = None) -> list[tuple[RunSpec, RunConfig]]:
    """The first run of each kind, with its configuration spread over `gpus` GPUs."""
    found: dict[str, tuple[RunSpec, RunConfig]] = {}
    for run in plan.runs:
        config = run.config if gpus is None else spread(run.config, gpus)
        document = config.model_dump(mode="json", exclude=_SAME_STEPS)
        document["data"] = config.data.seq_len
        found.setdefault(json.dumps(document, sort_keys=True), (run, config))
    return list(found.values())


def rehearse_plan(
    plan: Plan, gpu: Gpu, *, gpus: int | None = None, layers: int | None = None
) -> list[dict[str, Any]]:
    """Rehearse one run of each kind; one row each.

    Args:
        gpus: GPUs a run; the recipe's where None.
        layers: rehearse this many layers and one more, and go on from there in a straight line to
            all of them: layers are alike. All are rehearsed where None.

    Raises:
        InputError: there is no C compiler, or LD_PRELOAD has no effect.
        WorkbenchError: a run's trainer cannot be built.
    """
    rows = []
    with stage() as ready:
        for run, config in kinds(plan, gpus):
            stages.doing(f"rehearsing {run.objective} of {run.n_params:,} parameters")
            whole = config.model.shape.layers
            compiled = config.training.compile is not False  # "auto" is so on a GPU
            rehearsed = [whole] if layers is None or layers + 1 >= whole else [layers, layers + 1]
            found = [
                ready.rehearse(config, gpu, layers=depth, compiled=compiled) for depth in rehearsed
            ]
            rows.append(rehearsal_row(run, config, gpu, found, whole))
    return rows


def rehearsal_row(
    run: RunSpec, config: RunConfig, gpu: Gpu, found: list[Rehearsal], layers: int
) -> dict[str, Any]:
    """One kind of run: what was counted, what follows from it, and whether it fits.

    Args:
        found: of one depth, or of two that the rest follows from.
        layers: of the whole model.
    """
    last = found[-1]
    trained = _peak(found, layers, TRAINING)
    evaluated = _peak(found, layers, _evaluations(last))
    planned = memory_per_gpu(config)
    step = _phases(found, TRAIN)
    errors = [f"{phase.name}: {phase.error} ({phase.where})" for phase in last.errors]
    return {
        "run_id": run.run_id,
        "objective": run.objective,
        "n_params": run.n_params,
        "layers": layers,
        "rehearsed_layers": [one.layers for one in found],
        "gpu": gpu.name,
        "gpus": last.world_size,
        "compiled": last.compiled,
        "train_peak_bytes": trained,
        "evaluation_peak_bytes": evaluated,
        "planned_train_bytes": planned.training,
        "planned_evaluation_bytes": planned.evaluation.total,
        "fits": not errors and max(trained, evaluated) <= HEADROOM * gpu.memory_bytes,
        "kernels": along(layers, found, [phase.work.kernels for phase in step]),
        "bytes": along(layers, found, [phase.work.bytes for phase in step]),
        "flops": along(layers, found, [phase.work.flops for phase in step]),
        "host_copies": along(layers, found, [phase.host_copies for phase in step]),
        "blocking_copies": along(layers, found, [phase.blocking_copies for phase in step]),
        "syncs": along(layers, found, [phase.waits for phase in step]),
        "syncs_logging": along(
            layers, found, [phase.waits for phase in _phases(found, TRAIN_LOGGED)]
        ),
        "estimated_step_seconds": along(
            layers, found, [step_seconds(phase)["step"] for phase in step]
        ),
        "errors": errors,
        "not_rehearsed": last.left_out,
        "counted": last.document(),
    }


def rehearsal_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """For people: counts first, then what is estimated, which its name says."""
    depth = (
        "all"
        if len(row["rehearsed_layers"]) == 1
        else " and ".join(map(str, row["rehearsed_layers"]))
    )
    return {
        "objective": row["objective"],
        "n_params": row["n_params"],
        "layers": f"{depth} of {row['layers']}",
        "gpus": f"{row['gpus']} {row['gpu']}",
        "mode": "compiled" if row["compiled"] else "eager",
        "train peak": _beside(row["train_peak_bytes"], row["planned_train_bytes"]),
        "evaluation peak": _beside(row["evaluation_peak_bytes"], row["planned_evaluation_bytes"]),
        "fits": "yes" if row["fits"] else "fails" if row["errors"] else "no",
        "kernels": round(row["kernels"]),
        "host copies": f"{row['host_copies']:.0f} ({row['blocking_copies']:.0f} blocking)",
        "syncs": f"{row['syncs']:.0f}, logging {row['syncs_logging']:.0f}",
        "estimated step": f"{1e3 * row['estimated_step_seconds']:.0f} ms",
    }


def _beside(traced: float, planned: float) -> str:
    return f"{traced / 1e9:.3g} GB (planned {planned / 1e9:.3g})"


def _evaluations(found: Rehearsal) -> tuple[str, ...]:
    """Names of the phases that evaluate beside a trainer."""
    names = (phase.name for phase in found.phases)
    return tuple(name for name in names if name not in (*TRAINING, SAMPLING))


def _phases(found: list[Rehearsal], name: str) -> list[Phase]:
    """The phase of each depth; an empty one where an earlier phase failed."""
    return [
        next((phase for phase in one.phases if phase.name == name), Phase(name)) for one in found
    ]


def _peak(found: list[Rehearsal], layers: int, names: tuple[str, ...]) -> float:
    peaks = [along(layers, found, [p.peak_bytes for p in _phases(found, name)]) for name in names]
    return max(peaks, default=0.0)


def along(layers: int, found: list[Rehearsal], values: list[Any]) -> float:
    """The value at all layers, on the straight line through the depths that were rehearsed."""
    if len(found) == 1:
        return float(values[0])
    (few, more), (low, high) = [one.layers for one in found], values
    return float(low + (high - low) * (layers - few) / (more - few))
