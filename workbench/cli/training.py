"""The command that trains a study, and how it ends."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import (
    RESULTS,
    JobsOption,
    LauncherName,
    RecipeArgument,
    ResultsOption,
    SetOption,
    WaitOption,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.recipe import Recipe
    from workbench.running.run_report import RunReport
    from workbench.running.slurm.submit import Submitted


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
    wait: WaitOption = False,
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
    tell(report)


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
        wait_for(submitted, results)


def wait_for(submitted: "Submitted", results: Path) -> None:
    """Follow submitted runs to their end."""
    from workbench.running.slurm.follow import follow

    tell(follow(submitted, results))


def tell(report: "RunReport") -> None:
    """Say what became of the runs; status 1 where not all are finished."""
    print(report.summary(), file=sys.stderr)
    if not report.ok:
        raise typer.Exit(1)
