"""The command that plans a study."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.options import (
    RESULTS,
    Format,
    FormatOption,
    JobsOption,
    RecipeArgument,
    ResultsOption,
    SetOption,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.planning.plan import Plan, TimeEstimate


@app.command()
def plan(
    recipe: RecipeArgument,
    results: ResultsOption = RESULTS,
    overrides: SetOption = None,
    jobs: JobsOption = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure this machine's speed first (seconds).")
    ] = False,
    bracket: Annotated[
        bool, typer.Option("--bracket", help="Tell whether the crossover is likely to be seen.")
    ] = False,
    check_sharding: Annotated[
        bool,
        typer.Option("--check-sharding", help="Build and shard the models, without a GPU."),
    ] = False,
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="Tell step time and GPU-hours on these: h100, ...")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=1, help="GPUs a run. Default: the recipe's.")
    ] = None,
    mfu: Annotated[
        float | None, typer.Option("--mfu", help="Share of the GPU's peak to reckon with.")
    ] = None,
    rehearse: Annotated[
        bool,
        typer.Option("--rehearse", help="Step, validate and sample each kind of run on fake GPUs."),
    ] = False,
    layers: Annotated[
        int | None,
        typer.Option("--layers", min=1, help="--rehearse: this many layers and one more."),
    ] = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show a study's runs and what they cost, before anything starts."""
    from workbench.cli.output import emit
    from workbench.cli.rehearsing import rehearse as _rehearse
    from workbench.data.describe import with_text_columns
    from workbench.errors import InputError
    from workbench.messages import duration
    from workbench.planning.plan import estimate_time, plan_study
    from workbench.recipe import load_recipe
    from workbench.running.slots import make_slots

    loaded = load_recipe(recipe, overrides or [])
    planned = plan_study(loaded, results)
    if calibrate:
        from workbench.running.calibrate import calibrate as measure

        measure(planned, results)
    concurrent = len(make_slots(loaded.runs, jobs, loaded.launcher.local.runs_per_gpu).free)
    estimate = estimate_time(planned, results, concurrent)
    rows = _rows(planned, results, estimate)
    document = {
        "study": planned.study,
        "runs": rows,
        "total_tokens": planned.total_tokens,
        "total_train_flops": planned.total_train_flops,
        "shared_tokens": planned.shared_tokens,
        "deferred": planned.deferred,
        "estimated_seconds": estimate.seconds if estimate else None,
        "estimate_from": estimate.source if estimate else None,
    }
    if bracket:
        document["bracket"] = _bracket(planned, results, fmt)
    if check_sharding:
        document["sharding"] = _check_sharding(planned, fmt)
    if rehearse:
        document["rehearsal"] = _rehearse(planned, gpu or "h100", gpus, layers, fmt)
    elif layers is not None:
        raise InputError("--layers belongs to --rehearse: of how many layers?")
    if gpu is not None:
        document["gpu"] = _gpu_costs(planned, results, gpu, gpus, mfu, fmt)
    elif mfu is not None or (gpus is not None and not rehearse):
        raise InputError("--gpus and --mfu need --gpu: which kind of GPU?")
    document["memory"] = [run.memory.document() for run in planned.runs]
    emit(
        _for_people(with_text_columns(rows)) if fmt == Format.table else rows,
        fmt,
        document=document,
    )
    for note in planned.deferred:
        print(f"Note: {note}", file=sys.stderr)
    summary = (
        f"{len(rows)} runs, {planned.total_tokens:,} tokens, "
        f"{planned.total_train_flops:.3g} training FLOPs"
    )
    if estimate:
        summary += f", about {duration(estimate.seconds)} of training (from {estimate.source})"
    else:
        summary += "; no speed is known yet: --calibrate measures it"
    print(summary + ".", file=sys.stderr)
    _say_trunks(planned)
    _say_memory(planned)
    kept = sum(run.kept_bytes for run in planned.runs)
    if kept:
        count = sum(len(run.config.kept_steps) for run in planned.runs)
        print(
            f"Disk: about {kept / 2**30:,.3g} GiB for the weights of {count:,} checkpoints that "
            "training.checkpoint_points keeps, beside those to resume from.",
            file=sys.stderr,
        )


def _rows(
    planned: "Plan", results: Path, estimate: "TimeEstimate | None"
) -> list[dict[str, object]]:
    """The runs as the contract has them, with their seeds, the keys in which they differ, how far
    they are in the results folder, and how long each takes."""
    from workbench.cli.run_columns import varying
    from workbench.runs.folder import RunFolder

    configs = [run.config for run in planned.runs]
    differing = varying(
        [config.model_dump(mode="json") for config in configs],
        [run.n_params for run in planned.runs],
    )
    rows = []
    for place, row in enumerate(planned.rows()):
        folder = RunFolder(results / "runs" / (row["run_id"] or "-"))
        status = folder.status() if folder.config_path.exists() else None
        rows.append(
            row
            | {
                "seed": configs[place].training.seed,
                "varies": differing[place],
                "state": None if status is None else status.state,
                "progress": None if status is None else min(status.step / row["steps"], 1.0),
                "estimated_seconds": None if estimate is None else estimate.of_runs[place],
            }
        )
    return rows


def _for_people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as a table has them: what varies, and what it costs."""
    from workbench.cli.run_columns import share, short_names, size, time_text, without_empty

    keys = short_names([row["varies"] for row in rows])
    names = [name for name in dict.fromkeys(n for row in keys for n in row) if name not in rows[0]]
    texts = ("quality", "mixture", "anneal")
    return without_empty(
        [
            {
                "run_id": row["run_id"],
                "objective": row["objective"],
                "size": size(row["n_params"]),
                "unique_tokens": row["unique_tokens"],
                **{name: own.get(name) for name in names},
                **{name: row[name] for name in texts if name in row},
                "seed": row["seed"],
                "total_tokens": row["total_tokens"],
                "epochs": row["epochs"],
                "steps": row["steps"],
                "FLOPs": f"{row['train_flops']:.3g}",
                "time": time_text(row["estimated_seconds"]),
                "state": row["state"],
                "progress": share(row["progress"]),
            }
            for row, own in zip(rows, keys, strict=True)
        ]
    )


def _say_trunks(planned: "Plan") -> None:
    """What is trained once for several lengths, and what prevents that."""
    going_on, shared = len(planned.trunks.sources), planned.shared_tokens
    if going_on:
        print(
            f"Shared trunks: {going_on} runs go on from a shorter one before its learning rate "
            f"falls, so that {shared:,} of the tokens ({shared / planned.total_tokens:.0%}) are "
            "not trained again.",
            file=sys.stderr,
        )
    for keys, count in Counter(planned.trunks.obstacles.values()).items():
        print(
            f"Note: {count} runs could go on from a shorter one, and do not: they differ before "
            f"its decay in {' and '.join(keys)}. {_way_out(keys)}",
            file=sys.stderr,
        )


def _way_out(keys: tuple[str, ...]) -> str:
    """What to write so that runs of several lengths share a trunk."""
    instead = {
        "training.warmup_steps": "give training.warmup_tokens",
        "evaluation.points": "give evaluation.every_tokens in place of evaluation.points",
        "training.checkpoint_points": "leave training.checkpoint_points out",
        "training.decay_fraction": "give equal training.decay_fraction, less than 1",
    }
    if not set(keys) <= set(instead):
        return "Each is trained from the start."
    text = ", and ".join(instead[key] for key in keys)
    return f"To train their common part once, {text}."


def _say_memory(planned: "Plan") -> None:
    """The run that needs the most of a GPU, and what of it is what."""
    memory = max((run.memory for run in planned.runs), key=lambda memory: memory.total)
    masks = f"+ {memory.masks / 2**30:.3g} attention masks " if memory.masks else ""
    print(
        f"Memory a GPU: up to {memory.training / 2**30:.3g} GiB in training = "
        f"{memory.held / 2**30:.3g} parameters, gradients and optimizer + "
        f"{memory.gathered / 2**30:.3g} gathered + {memory.activations / 2**30:.3g} activations + "
        f"{memory.logits / 2**30:.3g} logits {masks}({memory.assumed}), and "
        f"{memory.evaluation.total / 2**30:.3g} GiB in evaluation; CUDA's own and fragmentation "
        "not counted.",
        file=sys.stderr,
    )


def _check_sharding(planned: "Plan", fmt: str) -> list[dict[str, object]]:
    from workbench.cli.output import emit
    from workbench.planning.sharding import dry_runs, sharding_row

    rows = [sharding_row(run, held) for run, held in dry_runs(planned)]
    if fmt == Format.table:
        emit(rows, fmt)
    return rows


def _gpu_costs(
    planned: "Plan", results: Path, gpu: str, gpus: int | None, mfu: float | None, fmt: str
) -> list[dict[str, object]]:
    from workbench.cli.output import emit
    from workbench.planning.gpus import gpu_costs, gpu_named, gpu_table_row

    found = gpu_costs(planned, results, gpu_named(gpu), gpus, mfu)
    if fmt == Format.table:
        emit([gpu_table_row(row) for row in found], fmt)
        hours = sum(row["gpu_hours"] for row in found)
        print(
            f"{hours:,.3g} GPU-hours in all, training steps alone. Counted: FLOPs, and the memory "
            "of parameters, gradients and optimizer. Estimated: the rest of the memory. The peak "
            "is the maker's; where MFU comes from stands in its column.",
            file=sys.stderr,
        )
    return found


def _bracket(planned: "Plan", results: Path, fmt: str) -> list[dict[str, object]]:
    from workbench.cli.output import emit
    from workbench.laws.bracket import bracket, bracket_row
    from workbench.laws.critical_source import evidence_lines
    from workbench.laws.evidence import gather

    found = bracket(planned, gather(results))
    if fmt == Format.table:
        emit([bracket_row(row) for row in found], fmt)
        for row in found:
            where = f"{row['n_params']:,} parameters, {row['unique_tokens']:,} unique tokens:"
            print(where, *evidence_lines(row["evidence"]), sep="\n  ", file=sys.stderr)
        if not found:
            print("No objectives to compare in this plan.", file=sys.stderr)
    return found
