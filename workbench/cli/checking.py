"""The command that reads a recipe's text before anything is trained on it."""

import sys

from workbench.cli.options import (
    RESULTS,
    Format,
    FormatOption,
    RecipeArgument,
    ResultsOption,
    SetOption,
)
from workbench.cli.root import Commands, app

data_app = Commands(help="Text.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")


@data_app.command("check")
def check(
    recipe: RecipeArgument,
    results: ResultsOption = RESULTS,
    overrides: SetOption = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Read a recipe's text and count it, before anything trains: documents, tokens, what is left
    out, duplicates, what the tokenizer loses. The text is prepared in the results folder, where
    `workbench run` finds it."""
    from workbench.cli.output import emit
    from workbench.data.checking import CheckedData, check_data, tables_of
    from workbench.errors import InputError
    from workbench.recipe import load_recipe

    tables = tables_of([run.data for run in load_recipe(recipe, overrides or []).runs])
    checked: list[CheckedData] = []
    problems: list[str] = []
    for data, asked in tables.items():
        print(f"Reading {data.corpus} ...", file=sys.stderr, flush=True)
        try:
            checked.append(check_data(data, asked, results))
            problems += [checked[-1].problem] if checked[-1].problem else []
        except InputError as error:
            problems.append(str(error))
    if checked:
        rows = [one.row() for one in checked]
        emit(rows, fmt, document={"data": [one.document() for one in checked]})
    for note in dict.fromkeys(note for one in checked for note in one.notes()):
        print(f"Note: {note}", file=sys.stderr)
    if problems:
        raise InputError(f"{recipe}: " + "\n".join(dict.fromkeys(problems)))
