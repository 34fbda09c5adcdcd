"""Commands that predict what is not trained yet, and hold predictions against what was measured."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
    Format,
    FormatOption,
    ResultsOption,
    SetOption,
    SourceOption,
)
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.figures import Paper
    from workbench.recipe import Recipe


@app.command()
@with_paper
def backtest(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", help="Studies of the store.")],
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
    metric: Annotated[str, typer.Option("--metric", help="The loss.")] = "val_loss",
    at: Annotated[str, typer.Option("--at", help="Each run's final or best value.")] = "final",
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="CONDITIONS", help="Only runs that meet these."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", metavar="COLUMN", help="Runs that share their noise, as for `fit`."
        ),
    ] = None,
    starts: Annotated[int, typer.Option("--starts", min=1, help="Starts of each search.")] = 32,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of starts and resamples.")] = 0,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Also draw it: .svg, .png, .pdf or .html.")
    ] = None,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Also write the figure's data, as .csv beside it.")
    ] = False,
    paper: "Paper | None" = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Fit laws to the smaller runs of a study, and hold them against the larger ones.

    Without --train, four times: without the largest size, the most unique tokens, the fifth of the
    runs of most epochs and that of most compute. Errors are in percent of the loss; coverage is how
    often a 95 % interval held the measured loss, with its own 95 % interval.
    """
    from workbench.cli.output import emit
    from workbench.laws.backtest import run_backtest, score_row, scores

    found = run_backtest(
        studies, results, train=train, along=along, law=law, metric=metric, at=at, where=where,
        cluster=cluster, starts=starts, seed=seed,
        say=lambda text: print(f"Fitting {text} ...", file=sys.stderr),
    )  # fmt: skip
    rows = scores(found.results)
    _save(results, studies, rows)
    emit([score_row(row) for row in rows], fmt, document={"rows": rows, "notes": found.notes})
    for note in found.notes:
        print(f"Note: {note}.", file=sys.stderr)
    if figure is not None:
        from workbench.figures import backtest_figure

        write_figure(backtest_figure(rows), figure, with_data=with_data, paper=paper)


def _save(results: Path, studies: list[str], rows: list[dict[str, Any]]) -> None:
    from workbench.errors import WorkbenchError
    from workbench.store import keep_backtests

    try:
        keep_backtests(results, ", ".join(dict.fromkeys(studies)), rows)
    except WorkbenchError as error:  # the answer is there all the same
        print(f"Note: not saved in the store: {error}", file=sys.stderr)


@app.command()
def forecast(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="A .toml file, or a shipped recipe's name; a study with --score."
        ),
    ] = None,
    overrides: SetOption = None,
    studies: Annotated[
        list[str] | None,
        typer.Option(
            "--study", help="Fit laws to this study's runs. Default: all runs of the same kind."
        ),
    ] = None,
    law: Annotated[
        str, typer.Option("--law", help="Name of a law. Default: the one that backtests best.")
    ] = "best",
    metric: Annotated[str, typer.Option("--metric", help="The loss.")] = "val_loss",
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
    document = put_on_record(
        load_recipe(recipe, overrides or []), results, studies=studies, law=law, metric=metric
    )
    from workbench.cli.output import emit

    shown = [_shown(row) for kind in ("runs", "crossovers") for row in document[kind]]
    emit(shown, fmt, document=document)


def put_on_record(recipe: "Recipe", results: Path, **options: Any) -> dict[str, Any]:
    """Make and write a study's forecast, and say so on stderr."""
    from workbench.laws.forecast import make_forecast
    from workbench.planning.prepare import prepare_study
    from workbench.runs.files import check_writable
    from workbench.runs.forecasts import read_forecasts, write_forecast
    from workbench.store import ingest

    check_writable(results)
    plan = prepare_study(recipe, results)
    before = read_forecasts(results, plan.study)
    document = make_forecast(
        recipe, plan, results, say=lambda text: print(f"Fitting {text} ...", file=sys.stderr),
        **options,
    )  # fmt: skip
    path = write_forecast(results, plan.study, document)
    ingest(results, run_ids=[])
    print(f"Wrote {path}.", file=sys.stderr)
    late = sum(run["after_the_fact"] for run in document["runs"])
    if late:
        print(
            f"Note: {late} of {len(document['runs'])} runs have records already. They are marked "
            "as after the fact, and never scored.",
            file=sys.stderr,
        )
    for one in before:
        said = one.problem or f"made on {one.document['made']}, is the one that is scored"
        print(
            f"Note: an earlier forecast of {plan.study}, {one.path.name}: {said}.", file=sys.stderr
        )
    for note in document["notes"]:
        print(f"Note: {note}.", file=sys.stderr)
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
