"""The command that answers which value of a tuned key is best."""

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
    AtOption,
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


@app.command("best-value")
@with_paper
def best_value(
    study: StudyArgument,
    key: Annotated[
        str, typer.Option("--key", help="The key that was tuned, such as training.lr.")
    ] = "training.lr",
    along: Annotated[
        list[str] | None,
        typer.Option(
            "--along", metavar="KEY", help="A key tuned too: at each value, its best is taken."
        ),
    ] = None,
    metric: MetricOption = "val_loss",
    at: AtOption = "last",
    over: OverOption = "seeds+documents",
    where: WhereOption = None,
    law: Annotated[
        bool, typer.Option("--law", help="How the best value moves with parameters and tokens.")
    ] = False,
    predict: Annotated[
        list[str] | None,
        typer.Option(
            "--predict",
            metavar="N=V,...",
            help="By the law, at n_params=1e9,total_tokens=2e10; several times for several.",
        ),
    ] = None,
    results: SourceOption = RESULTS,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Show which value of a key is best for each objective, what others cost, and its law."""
    from workbench.analysis.table_rows import best_value_table_row
    from workbench.api.results import Results
    from workbench.cli.output import emit, say
    from workbench.laws.best_value_rows import law_table
    from workbench.laws.request import numbers
    from workbench.messages import pairs

    sizes = [numbers(pairs("--predict", [text]), "--predict") for text in predict or ()]
    asked = Results(results).study(study)
    answer = asked.best_values(
        key,
        metric,
        at,  # type: ignore[arg-type]
        along=along or (),
        over=over,  # type: ignore[arg-type]
        where=where,
    )
    rows = answer.document
    if figure is not None:
        from workbench.figures import best_value_figure

        write_figure(best_value_figure(rows), figure, with_data=with_data, paper=paper)
    if law or sizes:
        laws = answer.laws(predict=sizes)
        emit(law_table(laws.document), fmt, document=laws.document)
        say(laws.notes)
        return
    emit([best_value_table_row(row) for row in rows], fmt, document=rows)
    say(answer.notes)
