"""Commands about crossovers and what surrounds them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import completing
from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
    AgainstOption,
    AtOption,
    Axis,
    AxisOption,
    DataOption,
    FigureOption,
    Format,
    FormatOption,
    MetricOption,
    OverOption,
    SideOption,
    SourceOption,
    StudyArgument,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.figures import Paper


@app.command()
@with_paper
def crossover(
    study: StudyArgument,
    metric: MetricOption = "val_loss",
    axis: AxisOption = Axis.tokens,
    definition: Annotated[
        str | None,
        typer.Option(
            "--definition",
            help="band: the smoothed lead and its uncertainty; point: point by point; best_so_far: "
            "AR as if stopped in time. Default: band, and point for imported curves.",
        ),
    ] = None,
    over: OverOption = "seeds+documents",
    against: AgainstOption = None,
    baseline: SideOption = None,
    challenger: SideOption = None,
    results: SourceOption = RESULTS,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show where the challenger overtakes the baseline, and stays ahead."""
    from workbench.analysis.crossover import table_row
    from workbench.analysis.table_rows import trend_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say

    asked = Results(results).study(study)
    answer = asked.crossovers(
        metric,
        axis.value,
        definition=definition,  # type: ignore[arg-type]
        over=over,  # type: ignore[arg-type]
        baseline=baseline,
        challenger=challenger,
        save=True,
    )
    rows = answer.document
    moved = answer.trends(against) if against else None
    trends = moved.document if moved else []
    if figure is not None:
        from workbench import figures

        drawn = (
            figures.crossover_trend_figure(rows, trends)
            if against
            else figures.crossover_figure(results, study, metric, str(axis), rows)
        )
        write_figure(drawn, figure, with_data=with_data, paper=paper)
    if against:
        emit([trend_table_row(trend) for trend in trends], fmt, document=trends)
    else:
        emit([table_row(row) for row in rows], fmt, document=rows)
    say((moved or answer).notes)


@app.command("difference")
def difference_(
    study: StudyArgument,
    metric: MetricOption = "val_loss",
    at: AtOption = "last",
    estimator: Annotated[
        str | None,
        typer.Option(
            "--estimator", help="Only values of estimators named so, such as questions=2000."
        ),
    ] = None,
    baseline: SideOption = None,
    challenger: SideOption = None,
    over: OverOption = "seeds+documents",
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show how far the challenger is ahead, with the interval of that over seeds and documents."""
    from workbench.analysis.difference import difference_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say

    asked = Results(results).study(study)
    answer = asked.difference(
        metric,
        at,  # type: ignore[arg-type]
        estimator=estimator,
        baseline=baseline,
        challenger=challenger,
        over=over,  # type: ignore[arg-type]
    )
    rows = answer.document
    emit([difference_table_row(row) for row in rows], fmt, document=rows)
    say(answer.notes)


@app.command("effective-data")
@with_paper
def effective(
    study: StudyArgument,
    metric: MetricOption = "val_loss",
    at: AtOption = "best",
    over: OverOption = "seeds+documents",
    results: SourceOption = RESULTS,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show how many unique tokens AR would need to match diffusion."""
    from workbench.analysis.table_rows import effective_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say

    asked = Results(results).study(study)
    answer = asked.effective_data(metric, at, over=over)  # type: ignore[arg-type]
    rows = answer.document
    if figure is not None:
        from workbench.figures import effective_data_figure

        write_figure(effective_data_figure(rows), figure, with_data=with_data, paper=paper)
    emit([effective_table_row(row) for row in rows], fmt, document=rows)
    say(answer.notes)


@app.command()
@with_paper
def overfitting(
    study: StudyArgument,
    metric: MetricOption = "val_loss",
    against: AgainstOption = None,
    results: SourceOption = RESULTS,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show at which epoch each configuration starts to overfit."""
    from workbench.analysis.interval_notes import notes_of
    from workbench.analysis.table_rows import onset_table_row, trend_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say

    answer = Results(results).study(study).overfitting(metric)
    rows = answer.document
    if figure is not None:
        from workbench.figures import onset_figure

        write_figure(onset_figure(rows), figure, with_data=with_data, paper=paper)
    if against:
        trends = answer.trends(against).document
        emit([trend_table_row(trend) for trend in trends], fmt, document=trends)
        say(notes_of(trends))
    else:
        emit([onset_table_row(row) for row in rows], fmt, document=rows)


class Aim(StrEnum):
    """What the next run should make surer."""

    crossover = "crossover"
    law = "law"


@app.command("next")
def next_(
    study: StudyArgument,
    metric: MetricOption = "val_loss",
    axis: AxisOption = Axis.tokens,
    aim: Annotated[
        Aim, typer.Option("--for", help="A sharper crossover, or a surer scaling law.")
    ] = Aim.crossover,
    budget: Annotated[
        float | None,
        typer.Option("--budget", min=1, metavar="FLOPS", help="With --for law: of all of them."),
    ] = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show which run would sharpen the crossover, or a scaling law, most for its FLOPs."""
    from workbench.api.results import Results
    from workbench.cli.output import emit, say
    from workbench.laws.next_run import next_row

    asked = Results(results).study(study)
    if aim == Aim.law:
        for_law = asked.next_runs_for_law(metric, budget)
        emit(for_law.document["runs"], fmt, document=for_law.document)
        say(for_law.notes)
        return
    answer = asked.next_runs(metric, axis.value)
    emit([next_row(row) for row in answer.document], fmt, document=answer.document)
    say(answer.notes)


@app.command()
@with_paper
def report(
    study: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDY...", help="Names of studies.", autocompletion=completing.studies
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The .html or .md to write. Default: STUDY.html."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Metrics to report. Default: all.")
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option("--notes", help="What the studies mean, for .md: a TOML table a study."),
    ] = None,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew", help="Renew these studies in the .md that is there, and keep its others."
        ),
    ] = False,
    chosen: Annotated[
        str | None,
        typer.Option(
            "--chosen",
            metavar="NAME",
            help="Instead of studies: the figures that were chosen for the report NAME in the app.",
        ),
    ] = None,
    paper: "Paper | None" = None,
    results: SourceOption = RESULTS,
) -> None:
    """Write a study, or figures that were chosen, as one HTML file that opens without a network,
    or several studies as Markdown."""
    from workbench.errors import InputError
    from workbench.report.markdown import write_markdown
    from workbench.report.write import write_report

    if chosen is not None:
        from workbench.api.chosen import write_chosen
        from workbench.figures.figure import file_name

        if study or metric or notes is not None or renew:
            raise InputError("--chosen has its own figures: leave studies and their options out.")
        path = out or Path(f"{file_name(chosen)}.html")
        print(write_chosen(results, chosen, path, paper=paper))
        return
    if not study:
        raise InputError("give a study, or --chosen NAME.")
    if out is not None and out.suffix == ".md":
        written = write_markdown(
            results, study, out, metrics=metric, notes=notes, renew=renew, paper=paper
        )
        print(written)
        return
    if len(study) > 1 or notes is not None or renew:
        raise InputError(
            "several studies, --notes and --renew are for Markdown: give --out FILE.md."
        )
    out = out or Path(f"{study[0]}.html")
    print(write_report(results, study[0], out, metrics=metric, paper=paper))
