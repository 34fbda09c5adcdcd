"""The command that gives a study's curves, point by point."""

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import completing
from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
    Axis,
    AxisOption,
    DataOption,
    FigureOption,
    Format,
    FormatOption,
    SourceOption,
    StudyArgument,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.figures import Paper


@app.command()
@with_paper
def curves(
    study: StudyArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="Which metric; several times for several. Default: val_loss.",
            autocompletion=completing.metrics,
        ),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option("--estimator", help="Only points of estimators named so."),
    ] = None,
    axis: AxisOption = Axis.tokens,
    results: SourceOption = RESULTS,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show every measurement of a study's runs, one row each, with every key that differs.

    Losses are in nats a token, accuracies fractions; tokens count repeats. --axis is the figure's.
    """
    from workbench.api.results import Results
    from workbench.cli.output import emit

    asked = Results(results).study(study)
    rows = asked.curves(*(metric or ()), estimator=estimator).to_dicts()
    if figure is not None:
        from workbench.figures import curves_figure

        drawn = curves_figure(results, study, metric or ["val_loss"], axis.value)
        write_figure(drawn, figure, with_data=with_data, paper=paper)
    emit(rows, fmt)
