"""What a page of a board is made of, and the page as HTML: without a script, escaped as a whole."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from workbench.figures import Figure
from workbench.figures.dark import on_dark
from workbench.figures.figure import own_ids
from workbench.figures.panel_width import fitted
from workbench.terminal import shown

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
"""What a browser lets a page do: nothing runs, nothing is loaded from anywhere."""
_COLOUR = re.compile(r'(?<=\s)(fill|stroke)="(#[0-9a-fA-F]{6}|#[0-9a-fA-F]{3}|white|black)"')
_NAMED = {"white": "#ffffff", "black": "#000000"}
_WIDTHS = {"wide": 1040, "narrow": 350}
"""Pixels of the figures of a page on a screen and on a phone."""


@dataclass(frozen=True)
class Cell:
    """A piece of text, which may lead somewhere on the site."""

    text: str
    link: str = ""
    strip: Markup | None = None
    """A drawing in the place of the text."""
    parts: tuple["Cell", ...] = ()
    """Pieces in the place of the text."""


Cells = dict[str, Cell | str | None]
"""A row of a table by its columns."""


@dataclass(frozen=True)
class Row:
    """A row of a table, which others can link to."""

    cells: tuple[Cell, ...]
    anchor: str = ""


@dataclass(frozen=True)
class Block:
    """A heading with what stands below it."""

    title: str = ""
    level: int = 2
    anchor: str = ""
    text: tuple[str | tuple[Cell, ...], ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    pre: str = ""
    figures: tuple[tuple[str, Markup], ...] = ()
    """Drawings of one figure with the class of screens that each is for."""
    folded: bool = False
    """Whether the reader has to open it."""


@dataclass(frozen=True)
class Page:
    """One file of the site."""

    file: str
    title: str
    blocks: tuple[Block, ...] = ()
    lead: tuple[str | tuple[Cell, ...], ...] = field(default=())


def table(
    rows: Sequence[Mapping[str, "Cell | str | None"]], anchors: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """Columns and rows of a table, without the columns that are empty in every row."""
    names = [
        name for name in (rows[0] if rows else ())
        if not all(is_empty(cell(row[name])) for row in rows)
    ]  # fmt: skip
    marks = list(anchors) or [""] * len(rows)
    made = (
        Row(tuple(cell(row[name]) for name in names), mark)
        for row, mark in zip(rows, marks, strict=True)
    )
    return tuple(names), tuple(made)


def cell(value: Cell | str | None) -> Cell:
    """A text as a cell, an empty one for None."""
    return value if isinstance(value, Cell) else Cell(value or "")


def joined(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Cells in a line, with commas between them."""
    return tuple(part for one in cells for part in (Cell(", "), one))[1:]


def is_empty(value: Cell) -> bool:
    return not (value.text or value.strip or value.parts)


def strip(
    value: float, interval: Sequence[float | None] | None, span: tuple[float, float]
) -> Markup:
    """A value as a dot with its interval as a line, on a scale that the rows of a table share.

    Args:
        span: the scale's ends; an end of the interval that is not known is drawn to there.
    """
    low, high = span
    room = (high - low) or 1.0

    def place(x: float) -> float:
        return 4 + 112 * min(max((x - low) / room, 0.0), 1.0)

    ends = interval or (value, value)
    left, right = (place(o if end is None else end) for end, o in zip(ends, span, strict=True))
    return Markup(
        '<svg class="strip" viewBox="0 0 120 14" aria-hidden="true">'
        '<line class="scale" x1="4" x2="116" y1="7" y2="7"/>'
        '<line x1="{:.2f}" x2="{:.2f}" y1="7" y2="7"/><circle cx="{:.2f}" cy="7" r="3.5"/></svg>'
    ).format(left, right, place(value))


def drawings(figure: Figure, place: int) -> tuple[tuple[str, Markup], ...]:
    """A figure for wide and for narrow screens, each in the colours of the reader's theme.

    Args:
        place: its number on the page, which keeps the names inside the drawings unlike.
    """
    import vl_convert as vlc

    spec = figure.to_dict()
    made = []
    for size, width in _WIDTHS.items():
        svg = own_ids(str(vlc.vegalite_to_svg(fitted(spec, width))), f"f{place}{size[0]}-")
        made.append((size, Markup(_in_both_themes(shown(svg)))))
    return tuple(made)


def _in_both_themes(svg: str) -> str:
    """A drawing whose colours are variables of the page, with their values in light and dark."""
    colours: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        colour = _NAMED.get(found[2], found[2])
        if len(colour) == 4:
            colour = "#" + "".join(2 * digit for digit in colour[1:])
        colours[f"--c{colour[1:].lower()}"] = colour
        return f'{found[1]}="var(--c{colour[1:].lower()})"'

    drawn = _COLOUR.sub(named, svg)
    light, dark = (
        "".join(f"{name}:{of(colour)};" for name, colour in colours.items())
        for of in (str, on_dark)
    )
    themes = f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"
    return f"<style>{themes}</style>{drawn}"


def render(page: Page, pages: Sequence[Page], made: str) -> str:
    """A page as HTML.

    Args:
        pages: those that the bar at its top leads to.
        made: when and by what.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("workbench.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests |= {"empty": is_empty, "long": _is_long}
    return environment.get_template("board.html.jinja").render(
        page=page, pages=pages, policy=POLICY, made=made
    )


def _is_long(value: Cell) -> bool:
    return len(value.text) + sum(len(part.text) for part in value.parts) > 60


def _shown(value: Any) -> Any:
    """Text of others without what would turn a line around (`terminal.shown`)."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
