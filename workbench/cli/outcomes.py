"""Commands about what a study's configurations reached, and what their texts are like."""

from typing import TYPE_CHECKING

from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
    DataOption,
    FigureOption,
    Format,
    FormatOption,
    MetricOption,
    OverOption,
    SourceOption,
    StudyArgument,
    WhereOption,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.figures import Paper


@app.command("outcomes")
def outcomes_(
    study: StudyArgument,
    metric: MetricOption = "val_loss",
    over: OverOption = "seeds+documents",
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show the best and the last value of each configuration, over its seeds."""
    from workbench.analysis.outcomes import outcome_table, outcome_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say

    answer = Results(results).study(study).outcomes(metric, over=over)  # type: ignore[arg-type]
    rows = answer.document
    if fmt != Format.table:  # programs get the same columns always
        emit([outcome_table_row(row) for row in rows], fmt, document=rows)
        return
    emit(outcome_table(rows), fmt)
    say(answer.notes)


@app.command("text-quality")
@with_paper
def text_quality_(
    study: StudyArgument,
    where: WhereOption = None,
    results: SourceOption = RESULTS,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show how a study's generated texts move with denoising steps and length."""
    from workbench.analysis.text_quality import text_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say

    answer = Results(results).study(study).text_quality(where=where)
    if figure is not None:
        from workbench.figures import text_quality_figure

        write_figure(text_quality_figure(answer.document), figure, with_data=with_data, paper=paper)
    emit([text_table_row(row) for row in answer.document], fmt, document=answer.document)
    say(answer.notes)
