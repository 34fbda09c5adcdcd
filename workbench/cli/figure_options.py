"""How figures are made for print: options that every command that draws has."""

import functools
import inspect
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workbench.figures import Figure, Paper

PAPER = "paper"
"""The parameter of a command that these options become."""


class FigureLabels(StrEnum):
    """How lines are named."""

    direct = "direct"
    legend = "legend"


_OPTIONS: dict[str, Any] = {
    "width": Annotated[
        str | None,
        typer.Option(
            "--width", metavar="column|page|INCHES",
            help="Make figures for print, so wide: a column is 3.25 inches, a page 6.75.",
        ),
    ],
    "font_size": Annotated[
        float | None,
        typer.Option("--font-size", help="In print: points of axis titles. Default: 8."),
    ],
    "font": Annotated[
        str | None,
        typer.Option(
            "--font", metavar="sans|serif|NAME", help="In print: the font family. Default: sans."
        ),
    ],
    "title": Annotated[
        bool | None,
        typer.Option(
            "--title/--no-title",
            help="In print: whether the figure has its title. Default: no, for the caption has it.",
        ),
    ],
    "labels": Annotated[
        FigureLabels | None,
        typer.Option(
            "--labels",
            help="In print: names at the ends of lines where they fit, or a legend. "
            "Default: direct.",
        ),
    ],
}  # fmt: skip


def with_paper(command: Callable[..., None]) -> Callable[..., None]:
    """A command with options for print in place of its parameter `paper`, which becomes a `Paper`,
    or None where none of them is given."""
    signature = inspect.signature(command)
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name != PAPER:
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(name, parameter.kind, default=None, annotation=option)
            for name, option in _OPTIONS.items()
        ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = {name: given.pop(name) for name in _OPTIONS}
        command(**given, paper=_paper(options))

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _paper(options: dict[str, Any]) -> "Paper | None":
    if all(value is None for value in options.values()):
        return None
    from workbench.errors import InputError
    from workbench.figures import Paper

    if options["labels"] is not None:
        options["labels"] = options["labels"].value
    try:
        return Paper.of(**options)
    except InputError as error:
        raise InputError(f"--{error}") from None


def write_figure(
    figure: "Figure", path: Path, *, with_data: bool = False, paper: "Paper | None" = None
) -> None:
    """Write a figure, and to stderr what it leaves to its caption.

    Raises:
        InputError: as `figures.save`.
    """
    from workbench.figures import save

    written = save(figure, path, save_data=with_data, paper=paper)
    for line in written.caption:
        print(f"Caption: {line}", file=sys.stderr)
