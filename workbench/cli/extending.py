"""The command that trains finished runs further."""

import sys
from typing import Annotated

import typer

from workbench.cli.options import RESULTS, JobsOption, ResultsOption
from workbench.cli.root import app


@app.command()
def extend(
    target: Annotated[
        str, typer.Argument(metavar="STUDY|RUN", help="A study or a run id, finished.")
    ],
    total_tokens: Annotated[
        int, typer.Option("--total-tokens", min=1, help="The new budget, repeats counted.")
    ],
    results: ResultsOption = RESULTS,
    jobs: JobsOption = None,
) -> None:
    """Train finished runs to more tokens, from their checkpoint before the rate's decay."""
    from workbench.running.extend import extend as extend_runs

    report = extend_runs(results, target, total_tokens, jobs=jobs)
    print(report.summary(), file=sys.stderr)
    if not report.ok:
        raise typer.Exit(1)
