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
)
from workbench.cli.root import app
from workbench.messages import pairs

tokenizer_app = typer.Typer(help="Tokenizers.", no_args_is_help=True, rich_markup_mode=None)
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
            help="A long .csv or .parquet, TensorBoard events, or the shipped curves.",
        ),
    ],
    study: Annotated[str | None, typer.Option("--study", help="The study to add them to.")] = None,
    column: ColumnOption = None,
    estimate_flops: Annotated[
        bool, typer.Option("--estimate-flops", help="Where none are given, take 6 N D.")
    ] = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Import curves that were not made here, marked as such."""
    from workbench.importing.importer import import_runs

    report = import_runs(
        source, study, results, columns=pairs("--column", column), estimate_flops=estimate_flops
    )
    for note in report.notes:
        print(f"Note: {note}", file=sys.stderr)
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
    from workbench.cli.output import emit
    from workbench.errors import InputError
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
