"""Commands that turn curves into answers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import (
    RESULTS,
    Axis,
    ColumnOption,
    Format,
    FormatOption,
    ResultsOption,
    pairs,
)
from workbench.cli.root import app


@app.command()
def crossover(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    metric: Annotated[str, typer.Option("--metric", help="Metric to compare.")] = "val_loss",
    axis: Annotated[Axis, typer.Option("--axis", help="What to measure it along.")] = Axis.tokens,
    results: ResultsOption = RESULTS,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Also draw it: .svg, .png or .html.")
    ] = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Tell where the challenger overtakes the baseline, and stays ahead."""
    from workbench.analysis.crossover import bound_note, crossovers, table_row
    from workbench.errors import WorkbenchError
    from workbench.output import emit
    from workbench.store import keep_crossovers

    found = crossovers(results, study, metric, str(axis))
    try:
        keep_crossovers(results, found)
    except WorkbenchError as error:  # the answer is there all the same
        print(f"Note: not kept in the store: {error}", file=sys.stderr)
    if figure is not None:
        from workbench.analysis.figures import crossover_figure, save

        save(crossover_figure(results, study, metric, str(axis), found), figure)
    emit([table_row(one) for one in found], fmt, document=found)
    note = bound_note(found) if "loss" in metric or "bpb" in metric else None
    if note:
        print(f"Note: {note}", file=sys.stderr)


@app.command()
def fit(
    table: Annotated[
        Path | None, typer.Option("--table", help="A .csv or .parquet of runs and losses.")
    ] = None,
    study: Annotated[str | None, typer.Option("--study", help="Or a study of the store.")] = None,
    law: Annotated[
        str, typer.Option("--law", help="Name of the law, or all for a tournament.")
    ] = "data_constrained",
    fixed: Annotated[
        list[str] | None,
        typer.Option("--fixed", metavar="K=V,...", help="Hold parameters at values."),
    ] = None,
    tie: Annotated[
        list[str] | None, typer.Option("--tie", metavar="A=B", help="Make two parameters equal.")
    ] = None,
    share: Annotated[
        str | None, typer.Option("--share", help="Parameters that all objectives have in common.")
    ] = None,
    joint: Annotated[bool, typer.Option("--joint", help="Fit all objectives as one.")] = False,
    two_stage: Annotated[
        bool, typer.Option("--two-stage", help="Fit runs of one epoch first, then the repeats.")
    ] = False,
    metric: Annotated[str, typer.Option("--metric", help="Of a study: the loss.")] = "val_loss",
    at: Annotated[
        str, typer.Option("--at", help="Of a study: each run's final or best value.")
    ] = "final",
    starts: Annotated[int, typer.Option("--starts", min=1, help="Starts of the search.")] = 64,
    resamples: Annotated[
        int, typer.Option("--resamples", min=0, help="Bootstrap resamples of the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of starts and resamples.")] = 0,
    column: ColumnOption = None,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Fit a scaling law, and tell how far the fit can be trusted."""
    from workbench.analysis.fitting.commands import fit_options, get_law, get_table
    from workbench.analysis.fitting.fit import fit_law
    from workbench.analysis.fitting.result import parameter_rows, summary
    from workbench.analysis.fitting.tournament import standings, tournament
    from workbench.analysis.laws import LAWS
    from workbench.output import emit

    options = fit_options(
        pairs("--fixed", fixed), pairs("--tie", tie), share, joint=joint, two_stage=two_stage,
        starts=starts, resamples=resamples, seed=seed,
    )  # fmt: skip
    chosen = None if law == "all" else get_law(law)
    losses = get_table(table, study, results, metric, at, pairs("--column", column), law)
    if chosen is None:
        fits, missing = tournament(LAWS, losses, options)
        rows = standings(fits)
        lines = [f"Not fitted: {reason}" for reason in missing]
    else:
        fits = fit_law(chosen, losses, options)
        rows = parameter_rows(fits)
        lines = [line for one in fits for line in summary(one)]
    document = [one.row() for one in fits]
    if study is not None:
        _keep(results, study, document)
    emit(rows, fmt, document=document)
    for line in dict.fromkeys(lines):
        print(line, file=sys.stderr)


def _keep(results: Path, study: str, fits: list[dict[str, object]]) -> None:
    from workbench.errors import WorkbenchError
    from workbench.store import keep_fits

    try:
        keep_fits(results, study, fits)
    except WorkbenchError as error:  # the answer is there all the same
        print(f"Note: not kept in the store: {error}", file=sys.stderr)
