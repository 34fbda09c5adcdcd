"""Commands on runs that there are: retry, cancel, extend."""

import sys
from collections import Counter
from typing import Annotated

import typer

from workbench.cli.options import (
    RESULTS,
    JobsOption,
    LauncherName,
    ResultsOption,
    TargetsArgument,
    WaitOption,
)
from workbench.cli.root import app
from workbench.cli.training import tell, wait_for


@app.command()
def retry(
    target: TargetsArgument,
    results: ResultsOption = RESULTS,
    jobs: JobsOption = None,
    launcher: Annotated[
        LauncherName | None,
        typer.Option("--launcher", help="Default: what started the runs last."),
    ] = None,
    wait: WaitOption = False,
) -> None:
    """Start failed, diverged and cancelled runs again, from their last checkpoint."""
    from workbench.running.control import retry as retry_runs
    from workbench.running.run_report import RunReport

    done = retry_runs(results, *target, jobs=jobs, launcher=launcher)
    if isinstance(done, RunReport):
        tell(done)
        return
    print(done.summary(), file=sys.stderr)
    if wait:
        wait_for(done, results)


@app.command()
def cancel(
    target: TargetsArgument,
    results: ResultsOption = RESULTS,
) -> None:
    """Stop runs that train here or in Slurm, and leave out those that wait."""
    from workbench.running.control import cancel as cancel_runs

    lines = cancel_runs(results, *target)
    if len(lines) > 20:
        words = Counter(line.partition(": ")[2] for line in lines)
        lines = [f"{count} runs: {state}" for state, count in words.items()]
    print("\n".join(lines), file=sys.stderr)


@app.command()
def extend(
    target: TargetsArgument,
    total_tokens: Annotated[
        int, typer.Option("--total-tokens", min=1, help="The new budget, repeats counted.")
    ],
    results: ResultsOption = RESULTS,
    jobs: JobsOption = None,
) -> None:
    """Train finished runs to more tokens, from their checkpoint before the rate's decay."""
    from workbench.running.extend import extend as extend_runs

    tell(extend_runs(results, target, total_tokens, jobs=jobs))
