"""Commands about what is stored, and the formats of files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import (
    RESULTS,
    ColumnOption,
    Format,
    FormatOption,
    ResultsOption,
    SourceOption,
    UnitOption,
)
from workbench.cli.root import Commands, app
from workbench.messages import pairs

tokenizer_app = Commands(help="Tokenizers.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokenizer_app, name="tokenizer")


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


@app.command("import")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|reference",
            help="A table, a log or a folder of logs (docs/formats.md), or the shipped curves.",
        ),
    ],
    study: Annotated[str | None, typer.Option("--study", help="The study to add them to.")] = None,
    column: ColumnOption = None,
    unit: UnitOption = None,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", help="A table of runs: run, objective, n_params, unique_tokens."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="A column that distinguishes runs; run: their names."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="A metric or tag to read, such as 'val*'; others are not."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="A metric, tag or column to leave out.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern", help="For text: a regular expression with groups such as (?P<step>\\d+)."
        ),
    ] = None,
    estimate_flops: Annotated[
        bool, typer.Option("--estimate-flops", help="Where none are given, take 6 N D.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be read, and write nothing.")
    ] = False,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Import curves that were not made here, marked as such."""
    from workbench.cli.output import emit
    from workbench.importing.importer import import_runs, preview
    from workbench.importing.request import Request
    from workbench.importing.units import parse_units

    request = Request(
        columns=pairs("--column", column), units=parse_units(pairs("--unit", unit)), runs=runs,
        labels=tuple(label or ()), only=tuple(only or ()), without=tuple(without or ()),
        pattern=pattern,
    )  # fmt: skip
    if dry_run:
        rows, notes = preview(source, request)
    else:
        report = import_runs(source, study, results, request=request, estimate_flops=estimate_flops)
        notes = report.notes
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    if dry_run:
        emit(rows, fmt)
        return
    print(
        f"Study {report.study}: {report.runs} runs with {report.records:,} records imported.",
        file=sys.stderr,
    )


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; - reads standard input.")] = None,
    results: SourceOption = RESULTS,
    schema: Annotated[bool, typer.Option("--schema", help="Show tables and columns.")] = False,
    fmt: FormatOption = Format.table,
) -> None:
    """Ask the store, read-only."""
    from workbench.api.results import Results
    from workbench.cli.output import emit
    from workbench.errors import InputError
    from workbench.store import schema_rows

    if schema:
        emit(schema_rows(), fmt)
        return
    if query is None:
        raise InputError(
            "give a query, such as \"SELECT * FROM best WHERE metric = 'val_loss'\", or --schema."
        )
    frame = Results(results).sql(sys.stdin.read() if query == "-" else query)
    emit(frame.to_dicts(), fmt, columns=frame.columns)


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    import json

    from workbench.recipe.json_schema import plugin_problems, recipe_schema

    print(json.dumps(recipe_schema(), indent=2))
    for problem in plugin_problems():
        print(f"Note: not in the schema: {problem}", file=sys.stderr)


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
    count = train_bpe((piece.text for piece in texts), vocab_size, out)
    print(f"{out}: {count:,} tokens.", file=sys.stderr)
