"""The command line. Each command is a thin function; what it needs is imported when it runs."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    name="workbench",
    help="Scaling studies of autoregressive against diffusion language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
tokenizer_app = typer.Typer(help="Tokenizers.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokenizer_app, name="tokenizer")


class Format(StrEnum):
    """How rows are written to stdout."""

    table = "table"
    json = "json"
    csv = "csv"


class Axis(StrEnum):
    """What a crossover is measured along."""

    tokens = "tokens"
    epochs = "epochs"
    flops = "flops"


RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A .toml file, or a shipped recipe's name.")
]
ResultsOption = Annotated[
    Path, typer.Option("--results", envvar="WORKBENCH_RESULTS", help="Folder of runs and store.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to write the answer.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.seed=1."),
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Ranks at once. Default: GPUs, or CPU cores.")
]
RESULTS = Path("results")


def _version(show: bool) -> None:
    if show:
        from workbench import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"


@app.command()
def plan(
    recipe: RecipeArgument,
    results: ResultsOption = RESULTS,
    overrides: SetOption = None,
    jobs: JobsOption = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure this machine's speed first (seconds).")
    ] = False,
    fmt: FormatOption = Format.table,
) -> None:
    """Show a study's runs and what they cost, before anything starts."""
    from workbench.output import emit
    from workbench.plan import estimate_time, plan_study
    from workbench.progress import duration
    from workbench.recipe import load_recipe
    from workbench.slots import make_slots

    loaded = load_recipe(recipe, overrides or [])
    planned = plan_study(loaded, results)
    if calibrate:
        from workbench.calibration import calibrate as measure

        measure(planned, results)
    concurrent = len(make_slots(loaded.runs, jobs).free)
    estimate = estimate_time(planned, results, concurrent)
    rows = [run.row() for run in planned.runs]
    document = {
        "study": planned.study,
        "runs": rows,
        "total_tokens": planned.total_tokens,
        "total_train_flops": planned.total_train_flops,
        "deferred": planned.deferred,
        "estimated_seconds": estimate.seconds if estimate else None,
        "estimate_from": estimate.source if estimate else None,
    }
    emit(rows, fmt, document=document)
    for note in planned.deferred:
        print(f"Note: {note}", file=sys.stderr)
    said = (
        f"{len(rows)} runs, {planned.total_tokens:,} tokens, "
        f"{planned.total_train_flops:.3g} training FLOPs"
    )
    if estimate:
        said += f", about {duration(estimate.seconds)} of training (from {estimate.source})"
    else:
        said += "; no speed is known yet: --calibrate measures it"
    print(said + ".", file=sys.stderr)


@app.command()
def run(
    recipe: RecipeArgument,
    results: ResultsOption = RESULTS,
    overrides: SetOption = None,
    jobs: JobsOption = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="Whether to go on after a failed run.")
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed and diverged runs again.")
    ] = False,
) -> None:
    """Train a study: what is finished is skipped, what was interrupted goes on."""
    from workbench.recipe import load_recipe
    from workbench.runner import run_study

    report = run_study(
        load_recipe(recipe, overrides or []),
        results,
        jobs=jobs,
        keep_going=keep_going,
        retry_failed=retry_failed,
    )
    print(report.summary(), file=sys.stderr)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def status(
    study: Annotated[str | None, typer.Argument(help="Only this study's runs.")] = None,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show how far each run is."""
    from workbench.control import status_rows
    from workbench.output import emit

    emit(status_rows(results, study), fmt)


@app.command()
def retry(
    target: Annotated[str, typer.Argument(metavar="STUDY|RUN", help="A study or a run id.")],
    results: ResultsOption = RESULTS,
    jobs: JobsOption = None,
) -> None:
    """Start failed, diverged and cancelled runs again, from their last checkpoint."""
    from workbench.control import retry as retry_runs

    report = retry_runs(results, target, jobs=jobs)
    print(report.summary(), file=sys.stderr)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def cancel(
    target: Annotated[str, typer.Argument(metavar="STUDY|RUN", help="A study or a run id.")],
    results: ResultsOption = RESULTS,
) -> None:
    """Stop runs that train here, and leave out those that wait."""
    from workbench.control import cancel as cancel_runs

    for line in cancel_runs(results, target):
        print(line, file=sys.stderr)


@app.command()
def ingest(
    results: ResultsOption = RESULTS,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the store anew from the run folders.")
    ] = False,
) -> None:
    """Bring the store up to date with the run folders."""
    from workbench.store import ingest as ingest_runs

    report = ingest_runs(results, rebuild=rebuild)
    for problem in report.problems:
        print(f"Warning: {problem}", file=sys.stderr)
    print(f"{report.records:,} records of {report.runs} runs read.", file=sys.stderr)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; - reads standard input.")] = None,
    results: ResultsOption = RESULTS,
    schema: Annotated[bool, typer.Option("--schema", help="Show tables and columns.")] = False,
    fmt: FormatOption = Format.table,
) -> None:
    """Ask the store, read-only."""
    from workbench.errors import InputError
    from workbench.output import emit
    from workbench.store import query as ask
    from workbench.store import schema_rows

    if schema:
        emit(schema_rows(), fmt)
        return
    if query is None:
        raise InputError(
            "give a query, such as \"SELECT * FROM best WHERE metric = 'val_loss'\", or --schema."
        )
    frame = ask(results, sys.stdin.read() if query == "-" else query)
    emit(frame.to_dicts(), fmt, columns=frame.columns)


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
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    import json

    from workbench.recipe.schema import recipe_schema

    print(json.dumps(recipe_schema(), indent=2))


@tokenizer_app.command("train")
def tokenizer_train(
    corpus: Annotated[str, typer.Argument(help="A corpus, as data.corpus names it.")],
    out: Annotated[Path, typer.Option("--out", help="The tokenizer.json to write.")],
    vocab_size: Annotated[int, typer.Option("--vocab-size", help="Tokens to end with.")] = 8192,
    text_key: Annotated[str, typer.Option("--text-key", help="Field of the text.")] = "text",
) -> None:
    """Train a byte-level BPE tokenizer."""
    from workbench.data.corpora import open_corpus
    from workbench.data.tokenizers import train_bpe

    texts = open_corpus(corpus, document="file", text_key=text_key).pieces()
    count = train_bpe((text for text, _ in texts), vocab_size, out)
    print(f"{out}: {count:,} tokens.", file=sys.stderr)


def main() -> NoReturn:
    """Entry point: every outcome becomes an exit status, and wrong input never a traceback."""
    from workbench.errors import InputError, WorkbenchError

    try:
        app()
        sys.stdout.flush()
    except InputError as error:
        _fail(error, 2)
    except WorkbenchError as error:
        _fail(error, 1)
    except BrokenPipeError:
        # The reader of our output has left; nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        _debug_traceback()
        print(
            f"Internal error: {type(error).__name__}: {error}\n"
            "Run again as `workbench --debug ...` for the traceback.",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(0)


def _fail(error: Exception, code: int) -> NoReturn:
    _debug_traceback()
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(code)


def _debug_traceback() -> None:
    if os.environ.get("WORKBENCH_DEBUG"):
        import traceback

        traceback.print_exc()


if __name__ == "__main__":
    main()
