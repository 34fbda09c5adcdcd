"""Commands that predict what is not trained yet, and hold predictions against what was measured."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from workbench.cli import completing
from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
    AtOption,
    DataOption,
    FigureOption,
    Format,
    FormatOption,
    MetricOption,
    OldStudiesOption,
    ResultsOption,
    SetOption,
    SourceOption,
    StudiesArgument,
    WhereOption,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.figures import Paper
    from workbench.recipe import Recipe


@app.command()
@with_paper
def backtest(
    studies: StudiesArgument,
    train: Annotated[
        list[str] | None,
        typer.Option(
            "--train",
            metavar="CONDITIONS",
            help="Fit these runs, predict all others: n_params < 1e6.",
        ),
    ] = None,
    along: Annotated[
        str, typer.Option("--along", help="size, unique_tokens, epochs, compute, or all.")
    ] = "all",
    law: Annotated[str, typer.Option("--law", help="Name of a law, or all.")] = "all",
    metric: MetricOption = "val_loss",
    at: AtOption = "last",
    where: WhereOption = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", metavar="COLUMN", help="Runs that share their noise, as for `fit`."
        ),
    ] = None,
    starts: Annotated[int, typer.Option("--starts", min=1, help="Starts of each search.")] = 32,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of starts and resamples.")] = 0,
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Fit laws to the smaller runs of a study, and compare them with the larger ones.

    Without --train, four times: without the largest size, the most unique tokens, the fifth of the
    runs of most epochs and that of most compute. Errors are in percent of the loss; coverage is how
    often a 95 % interval has the measured loss, with its own 95 % interval.
    """
    from workbench.api.results import Results
    from workbench.cli.output import emit
    from workbench.laws.backtest import score_row

    answer = Results(results).backtest(
        studies, law, train=train, along=along, metric=metric, at=cast("Any", at),
        where=where, cluster=cluster,
        starts=starts, seed=seed, progress=_say_what_is_fitted, save=True,
    )  # fmt: skip
    rows = answer.document["rows"]
    emit([score_row(row) for row in rows], fmt, document=answer.document)
    for note in answer.notes:
        print(note, file=sys.stderr)
    if figure is not None:
        from workbench.figures import backtest_figure

        write_figure(backtest_figure(rows), figure, with_data=with_data, paper=paper)


def _say_what_is_fitted(text: str) -> None:
    print(f"Fitting {text} ...", file=sys.stderr)


@app.command()
def forecast(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="A .toml file, or a shipped recipe's name; a study with --score.",
            autocompletion=completing.recipes,
        ),
    ] = None,
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY...]",
            help="Fit laws to these studies' runs. Default: all runs of the same kind.",
            autocompletion=completing.studies,
        ),
    ] = None,
    overrides: SetOption = None,
    old_studies: OldStudiesOption = None,
    law: Annotated[
        str, typer.Option("--law", help="Name of a law. Default: the one that backtests best.")
    ] = "best",
    metric: MetricOption = "val_loss",
    score: Annotated[
        bool, typer.Option("--score", help="Compare all forecasts with what came true.")
    ] = False,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Write down what is expected of a study before it is trained, or score what was written.

    A forecast goes into the results folder (forecasts/) and the store, with its time and a digest.
    Runs that have records already are marked and never scored.
    """
    from workbench.errors import InputError
    from workbench.recipe import load_recipe

    if score:
        _score(results, recipe, fmt)
        return
    if recipe is None:
        raise InputError("give a RECIPE to forecast, or --score to compare forecasts with runs.")
    studies = [*(studies or ()), *(old_studies or ())] or None
    document = put_on_record(
        load_recipe(recipe, overrides or []), results, studies=studies, law=law, metric=metric
    )
    from workbench.cli.output import emit

    shown = [_shown(row) for kind in ("runs", "crossovers") for row in document[kind]]
    emit(shown, fmt, document=document, plain=[*document["runs"], *document["crossovers"]])


def put_on_record(recipe: "Recipe", results: Path, **options: Any) -> dict[str, Any]:
    """Make and write a study's forecast, and say so on stderr."""
    from workbench.api.planning import forecast

    made = forecast(recipe, results, record=True, progress=_say_what_is_fitted, **options)
    print(f"Wrote {made.path}.", file=sys.stderr)
    for note in made.notes:
        print(note, file=sys.stderr)
    document: dict[str, Any] = made.document
    return document


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    kind = "run" if "run_id" in row else "crossover"
    return {
        "forecast of": kind,
        "run_id": row.get("run_id"),
        "objective": row["objective"],
        "n_params": row["n_params"],
        "unique_tokens": row["unique_tokens"],
        "total_tokens": row["total_tokens"],
        "expected": row["expected"],
        "95 % interval": None
        if row["low"] is None and row["high"] is None
        else f"{_end(row['low'])} to {_end(row['high'])}",
        "after the fact": row["after_the_fact"],
    }


def _end(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _score(results: Path, study: str | None, fmt: str) -> None:
    from workbench.analysis.forecast_scores import (
        calibration,
        calibration_text,
        score_forecasts,
    )
    from workbench.cli.output import emit

    scores = score_forecasts(results, study)
    summary = calibration(scores.rows)
    document = {"rows": scores.rows, "calibration": summary, "left_out": dict(scores.left_out)}
    emit(scores.rows, fmt, document=document)
    for row in summary:
        print(calibration_text(row), file=sys.stderr)
    for reason, count in scores.left_out.items():
        print(f"Not scored: {count}: {reason}.", file=sys.stderr)
