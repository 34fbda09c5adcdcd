"""Any figure of a study, by its name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import RESULTS, DataOption, SourceOption, StudiesArgument
from workbench.cli.root import app

if TYPE_CHECKING:
    from workbench.figures import Paper


@app.command()
@with_paper
def figure(
    kind: Annotated[
        str,
        typer.Argument(
            help="map, key, parallel, law_compute, forecasts, studies, curves, crossover, ...: "
            "another word lists them all."
        ),
    ],
    study: StudiesArgument,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="An option of the figure, such as metric=val_bpb; a wrong one lists them.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--figure", help="The .svg, .png, .pdf or .html to write. Default: STUDY-KIND.svg."
        ),
    ] = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    results: SourceOption = RESULTS,
) -> None:
    """Draw any figure of a study; with `studies`, curves of several in one.

    \b
    workbench figure map cpu-scaling-law --option show=winner
    workbench figure key cpu-strongest-ar --option key=training.weight_decay
    workbench figure studies quickstart unique-budget --option axis=epochs
    """
    from workbench.api.results import Results
    from workbench.errors import InputError

    options = _options(option or [])
    if len(study) > 1:
        if kind != "studies":
            raise InputError(f"figure {kind}: it is of one study; only `studies` is of several.")
        options["others"] = study[1:]
    drawn = Results(results).study(study[0]).figure(kind, **options)
    path = out or Path(f"{'-'.join(study)}-{kind.replace('_', '-')}.svg")
    write_figure(drawn.drawn, path, with_data=with_data, paper=paper)
    print(path)


def _options(given: list[str]) -> dict[str, Any]:
    """By name, values as TOML has them; bare words are texts.

    Raises:
        InputError: a piece is not NAME=VALUE.
    """
    from workbench.errors import InputError
    from workbench.toml_text import toml_value

    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise InputError(f"--option {text}: expected NAME=VALUE, such as metric=val_loss.")
        found[name.strip()] = toml_value(value, f"--option {name.strip()}")
    return found
