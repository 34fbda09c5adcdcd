"""The command that says what each factor of a study changes."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
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
    WhereOption,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.figures import Paper


class Show(StrEnum):
    effects = "effects"
    variants = "variants"
    crossovers = "crossovers"


@app.command("effects")
@with_paper
def effects_(
    context: typer.Context,
    study: StudyArgument,
    metric: MetricOption = "val_loss",
    show: Annotated[
        Show,
        typer.Option(
            help="Each factor's effect and those of two together; each configuration against the "
            "reference; or how each factor moves the crossover.",
        ),
    ] = Show.effects,
    at: AtOption = "best",
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="KEY=VALUE and ...",
            help="What other values are compared with. Default: the baseline's values, then those "
            "of a run without the key, then the lowest.",
        ),
    ] = None,
    axis: AxisOption = Axis.tokens,
    baseline: SideOption = None,
    challenger: SideOption = None,
    over: OverOption = "seeds+documents",
    where: WhereOption = None,
    results: SourceOption = RESULTS,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show what each factor of a study changes with all else equal.

    --figure draws effects without those of two factors together, or variants.

    --axis, --baseline and --challenger are those of --show crossovers; --at and --over those of
    the others.
    """
    from workbench.analysis.crossover_effects import crossover_effect_row
    from workbench.analysis.table_rows import effect_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say
    from workbench.errors import InputError

    _refuse_unread(context, show)
    asked = Results(results).study(study)
    if show == Show.crossovers:
        if figure is not None:
            raise InputError(
                "--figure: there is none of --show crossovers. Draw crossovers by `workbench "
                "crossover STUDY --figure`."
            )
        moved = asked.crossover_effects(
            metric, axis.value, baseline=baseline, challenger=challenger, reference=reference,
            where=where,
        )  # fmt: skip
        emit([crossover_effect_row(row) for row in moved.document], fmt, document=moved.document)
        say(moved.notes)
        return
    ask = asked.effects if show == Show.effects else asked.variants
    answer = ask(metric, at, reference=reference, over=over, where=where)  # type: ignore[arg-type]
    if figure is not None:
        from workbench.figures import effects_figure

        drawn = effects_figure([row for row in answer.document if row["kind"] != "interaction"])
        write_figure(drawn, figure, with_data=with_data, paper=paper)
    emit([effect_table_row(row) for row in answer.document], fmt, document=answer.document)
    say(answer.notes)


def _refuse_unread(context: typer.Context, show: Show) -> None:
    """Refuse an option that was given, and that what is shown does not read.

    Raises:
        InputError: there is one.
    """
    from workbench.errors import InputError

    crossovers = show == Show.crossovers
    for name in ("at", "over") if crossovers else ("axis", "baseline", "challenger"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            other = "effects or --show variants" if crossovers else "crossovers"
            raise InputError(
                f"--{name}: --show {show.value} does not read it. Leave it out, or take "
                f"--show {other}."
            )
