"""Figures on a page, each with its downloads."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from workbench.api.chosen import Chosen
from workbench.figures import Figure, Paper, save
from workbench.figures.dark import darkened
from workbench.figures.figure import file_name
from workbench.figures.interaction import interactive
from workbench.figures.panel_width import fitted
from workbench.figures.theme import csv_frame
from workbench.viewing.cached_store import Source, cached
from workbench.viewing.notes import add_to_report
from workbench.viewing.page_width import page_width
from workbench.viewing.text import refusals

_TYPES = {
    "SVG": "image/svg+xml", "PNG": "image/png", "PDF": "application/pdf", "HTML": "text/html",
    "CSV": "text/csv",
}  # fmt: skip
# A tooltip names its curves in full.
_STYLE = "<style>#vg-tooltip-element table tr td.key {max-width: 400px;}</style>"
_HELP = {
    "CSV": "The data that the figure draws",
    "HTML": "One page, interactive, that loads nothing from outside: to open, or for a frame",
}
_WIDTHS = {"for the screen": None, "for a column": "column", "for a page": "page"}


def draw(
    where: Source, make: Callable[[], Figure], *key: Any, chosen: Chosen | None = None
) -> None:
    """Draw a figure, made once for each key and state of the store, or the reason why not.

    Args:
        chosen: the same figure as data, for a report of chosen figures.
    """
    with refusals():
        figure = cached(where, make, "figure", *key)
        width, dark = page_width(), is_dark()
        spec = cached(where, lambda: shown(figure, width, dark), "spec", width, dark, *key)
        name = "-".join(str(part) for part in key)
        with st.container(horizontal=False, gap="xxsmall"):
            st.html(_STYLE)
            st.vega_lite_chart(spec, theme=None, width="content", key=f"figure {name}")
            _downloads(figure, name)
            if chosen is not None:
                add_to_report(where, chosen, name)


def shown(figure: Figure, width: int, dark: bool) -> dict[str, Any]:
    """A figure's specification for the page: its width, its font, its background, and what
    answers the mouse."""
    spec = fitted(figure.to_dict(), width)
    look = {"font": '"Source Sans", sans-serif', "background": "transparent"}
    spec["config"] = {**spec.get("config", {}), **look}
    spec["autosize"] = {"type": "pad"}  # sizes are those of panels, without axes and titles
    frames = {name: _compact(rows) for name, rows in spec["datasets"].items()}
    spec, frames = interactive(spec, frames)
    spec["datasets"] = {name: _categories(frame) for name, frame in frames.items()}
    return darkened(spec) if dark else spec


def _compact(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


def _categories(frame: pl.DataFrame) -> pl.DataFrame:
    """A data set whose words are categories, which Streamlit sends in fewer bytes."""
    return frame.with_columns(pl.col(pl.String).cast(pl.Categorical))


def is_dark() -> bool:
    return st.context.theme.type == "dark"


def _downloads(figure: Figure, name: str) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        width = st.selectbox(
            "Size of files",
            _WIDTHS,
            key=f"width of {name}",
            label_visibility="collapsed",
            width=150,
            help="As on the screen, or for print: with small text, names at the lines' ends and no "
            "title.",
        )
        paper = None if _WIDTHS[width] is None else Paper.of(_WIDTHS[width])
        for kind, mime in _TYPES.items():
            st.download_button(
                kind,
                data=lambda kind=kind: file_of(figure, kind, paper),  # type: ignore[misc]
                file_name=f"{file_name(figure.title)}.{kind.lower()}",
                mime=mime,
                key=f"{kind} of {name}",
                type="tertiary",
                icon=":material/download:",
                on_click="ignore",
                help=_HELP.get(kind),
            )


def file_of(figure: Figure, kind: str, paper: Paper | None = None) -> bytes:
    """A figure, or its data, as a file of a kind: SVG, PNG, PDF, HTML (one page that loads nothing)
    or CSV."""
    if kind == "CSV":
        buffer = io.BytesIO()
        csv_frame(figure.data).write_csv(buffer)
        return buffer.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"figure.{kind.lower()}"
        save(figure, path, paper=paper)
        return path.read_bytes()
