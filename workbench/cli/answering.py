"""Commands that say in sentences what studies have found, and what people wrote of them."""

from typing import Annotated

import typer

from workbench.cli import completing
from workbench.cli.options import (
    RESULTS,
    Format,
    FormatOption,
    SomeStudiesArgument,
    SourceOption,
)
from workbench.cli.root import app


@app.command()
def answer(
    study: SomeStudiesArgument = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="By what; default: the held-out loss, or what was evaluated first.",
            autocompletion=completing.metrics,
        ),
    ] = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Say in a sentence what each study has found, the newest first, and with which caveats."""
    from workbench.cli.output import emit
    from workbench.report.answers import newest_first, study_answer
    from workbench.terminal import shown

    names = list(dict.fromkeys(study or ())) or newest_first(results)
    if fmt != Format.table:
        rows = [study_answer(results, name, metric).document() for name in names]
        emit(rows, fmt, plain=[row | {"caveats": " ".join(row["caveats"])} for row in rows])
        return
    for number, name in enumerate(names):
        found = study_answer(results, name, metric)
        lines = [f"{found.study}: {found.sentence}", *(f"  {line}" for line in found.caveats)]
        print(*([""] if number else []), *map(shown, lines), sep="\n", flush=True)


@app.command("notes")
def notes_(
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Only what has this tag; may be repeated.")
    ] = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """List the notes, named views and reports that were written in the app."""
    from workbench.cli.output import emit
    from workbench.runs.notes import read_notes

    wanted = set(tag or ())
    entries = [one for one in read_notes(results).values() if wanted <= set(one.tags)]
    rows = [
        {
            "kind": one.kind, "name": one.name, "text": one.text, "tags": ", ".join(one.tags),
            "address": one.address, "figures": len(one.figures) or None, "changed": one.changed,
        }
        for one in entries
    ]  # fmt: skip
    columns = [name for name in rows[0] if any(row[name] for row in rows)] if rows else None
    document = [one.document() for one in entries]
    emit(rows, fmt, document=document, plain=rows, columns=columns if fmt == Format.table else None)
