"""Commands that plan, train and follow a study."""

import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from workbench.planning.plan import Plan
    from workbench.recipe import Recipe
    from workbench.running.run_report import RunReport
    from workbench.running.slurm.submit import Submitted


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
    rows = planned.rows()
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
    emit(with_text_columns(rows), fmt, document=document)
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
        f"{memory.held / 2**30:.3g} parameters, gradients and AdamW + "
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
            "of parameters, gradients and AdamW. Estimated: the rest of the memory. The peak is "
            "the maker's; where MFU comes from stands in its column.",
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


class LauncherName(StrEnum):
    """What starts a study's runs."""

    local = "local"
    slurm = "slurm"


@app.command()
def run(
    recipe: RecipeArgument,
    results: ResultsOption = RESULTS,
    overrides: SetOption = None,
    jobs: JobsOption = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="Whether to go on after a failed run.")
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed and diverged runs again.")
    ] = False,
    launcher: Annotated[
        LauncherName, typer.Option("--launcher", help="This machine, or a Slurm cluster.")
    ] = LauncherName.local,
    ranks: Annotated[
        int | None,
        typer.Option("--ranks", min=1, help="Ranks of each run, not those of [parallelism]."),
    ] = None,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="First put on record what is expected of the runs.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            min=1,
            metavar="FLOPS",
            help="Train only the runs that tell most per FLOP of the largest runs' losses, in "
            "rounds, within these training FLOPs.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=2, help="With --budget.")] = 6,
    wait: Annotated[
        bool, typer.Option("--wait", help="slurm: follow the runs to their end.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="slurm: print the job scripts and do nothing.")
    ] = False,
) -> None:
    """Train a study: what is finished is skipped, what was interrupted goes on."""
    from workbench.errors import InputError
    from workbench.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or [])
    if forecast and not dry_run:
        from workbench.cli.forecasting import put_on_record

        put_on_record(loaded, results)
    if budget is not None:
        if launcher == LauncherName.slurm:
            raise InputError("--budget trains on this machine, round after round: not on Slurm.")
        _run_in_rounds(loaded, results, budget, rounds, jobs, ranks, retry_failed=retry_failed)
        return
    if launcher == LauncherName.slurm:
        if jobs is not None or ranks is not None or not keep_going:
            raise InputError(
                "--jobs, --ranks and --fail-fast are for runs on this machine; with --launcher "
                "slurm, set array_throttle, runs_at_once or ranks in [launcher.slurm]."
            )
        _run_on_slurm(loaded, results, retry_failed=retry_failed, wait=wait, dry_run=dry_run)
        return
    if wait or dry_run:
        raise InputError("--wait and --dry-run belong to --launcher slurm.")
    from workbench.running.study import run_study

    report = run_study(
        loaded, results, jobs=jobs, keep_going=keep_going, retry_failed=retry_failed, ranks=ranks
    )
    _tell(report)


def _run_in_rounds(
    loaded: "Recipe",
    results: Path,
    budget: float,
    rounds: int,
    jobs: int | None,
    ranks: int | None,
    *,
    retry_failed: bool,
) -> None:
    from workbench.laws.adaptive import train_in_rounds
    from workbench.planning.prepare import prepare_study
    from workbench.running.study import check_request, prepared_folders, train_folders

    check_request(loaded, results)
    folders = prepared_folders(loaded, results)
    plan = prepare_study(loaded, results)

    def train(run_ids: list[str]) -> bool:
        report = train_folders(
            plan.study, {run_id: folders[run_id] for run_id in run_ids}, results, jobs=jobs,
            keep_going=True, retry_failed=retry_failed, ranks=ranks,
        )  # fmt: skip
        return report.ok

    design = train_in_rounds(
        plan, results, budget, rounds, train, say=lambda text: print(text, file=sys.stderr)
    )
    trained = sum(len(made["runs"]) for made in design.rounds)
    print(
        f"{trained} of {len(plan.runs)} planned runs in {len(design.rounds)} rounds, "
        f"{design.spent:.3g} of {plan.total_train_flops:.3g} FLOPs. Why each was chosen: "
        f"{design.path}.",
        file=sys.stderr,
    )


def _run_on_slurm(
    loaded: "Recipe", results: Path, *, retry_failed: bool, wait: bool, dry_run: bool
) -> None:
    from workbench.running.slurm.submit import dry_run as scripts_of
    from workbench.running.slurm.submit import submit_study

    if dry_run:
        for script in scripts_of(loaded, results):
            print(script)
        return
    submitted = submit_study(loaded, results, retry_failed=retry_failed)
    print(submitted.summary(), file=sys.stderr)
    if wait:
        _wait(submitted, results)


def _wait(submitted: "Submitted", results: Path) -> None:
    from workbench.running.slurm.follow import follow

    _tell(follow(submitted, results))


def _tell(report: "RunReport") -> None:
    print(report.summary(), file=sys.stderr)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def status(
    study: Annotated[str | None, typer.Argument(help="Only this study's runs.")] = None,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show how far each run is."""
    from workbench.cli.output import emit
    from workbench.running.control import status_rows

    emit(status_rows(results, study), fmt)


@app.command()
def retry(
    target: Annotated[str, typer.Argument(metavar="STUDY|RUN", help="A study or a run id.")],
    results: ResultsOption = RESULTS,
    jobs: JobsOption = None,
    launcher: Annotated[
        LauncherName | None,
        typer.Option("--launcher", help="Default: what started the runs last."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="slurm: follow the runs to their end.")
    ] = False,
) -> None:
    """Start failed, diverged and cancelled runs again, from their last checkpoint."""
    from workbench.running.control import retry as retry_runs
    from workbench.running.run_report import RunReport

    done = retry_runs(results, target, jobs=jobs, launcher=launcher)
    if isinstance(done, RunReport):
        _tell(done)
        return
    print(done.summary(), file=sys.stderr)
    if wait:
        _wait(done, results)


@app.command()
def cancel(
    target: Annotated[str, typer.Argument(metavar="STUDY|RUN", help="A study or a run id.")],
    results: ResultsOption = RESULTS,
) -> None:
    """Stop runs that train here or in Slurm, and leave out those that wait."""
    from workbench.running.control import cancel as cancel_runs

    lines = cancel_runs(results, target)
    if len(lines) > 20:
        words = Counter(line.partition(": ")[2] for line in lines)
        lines = [f"{count} runs: {state}" for state, count in words.items()]
    print("\n".join(lines), file=sys.stderr)
