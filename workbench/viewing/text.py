"""Words and tables that come from data: always text, never markup."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from workbench.errors import WorkbenchError
from workbench.messages import pretty
from workbench.report.html import cell

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")  # Markdown knows of no other punctuation

_CODE = re.compile(r"(`[^`\n]+`)")
_NAMES = {
    "run_id": "run", "n_params": "parameters", "n_params_active": "active parameters",
    "n_params_non_embedding": "parameters without embedding", "seq_len": "window (tokens)",
    "train_flops": "training FLOPs", "train_flops_per_token": "training FLOPs a token",
    "over_6N": "in multiples of 6 N", "ar_flops": "FLOPs of AR",
    "diffusion_flops": "FLOPs of diffusion",
}  # fmt: skip
_WORDS = ("_tokens", "_hours", "_seconds", "_steps", "_fingerprint")
"""Ends of columns' names that are words but for the underscore."""
_EXACT = 2**53
_WHOLE = 16  # rows that are shown without scrolling


def plain(text: object) -> str:
    """Text escaped so that Markdown shows it unchanged."""
    return _MARKUP.sub(r"\\\1", str(text))


@contextmanager
def refusals() -> Iterator[None]:
    """Show an error of the block as a message, and go on with the page."""
    try:
        yield
    except WorkbenchError as error:
        text = str(error).replace("--figure: ", "")
        # A command stays a command; all else is text, and never markup.
        parts = [part if _CODE.fullmatch(part) else plain(part) for part in _CODE.split(text)]
        st.info("".join(parts), icon=":material/info:")


def note(text: str) -> None:
    """A remark below a table or a figure."""
    st.caption(plain(text))


def notes(lines: Iterable[str | None]) -> None:
    """Remarks, each once and on a line of its own."""
    unique_lines = dict.fromkeys(line for line in lines if line)
    if unique_lines:
        st.caption("  \n".join(plain(line) for line in unique_lines))


def table(rows: Sequence[dict[str, Any]], *, key: str | None = None, **options: Any) -> Any:
    """Draw rows as a table, its cells as those of a report and its columns named in words. What is
    behind a cell stays a number, by which a click on the column's name sorts."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = {name: _column([row.get(name) for row in rows], name) for name in columns}
    given = options.pop("column_config", {})
    shown = {
        name: partial(shown_cell, name)
        for name, series in data.items()
        if name not in given and series.dtype != pl.Boolean
    }
    config = {name: st.column_config.Column(column_name(name)) for name in columns} | given
    options.setdefault("height", "content" if len(rows) <= _WHOLE else 420)
    return st.dataframe(
        pl.DataFrame(data).to_pandas().style.format(shown, na_rep=""),
        key=key,
        hide_index=True,
        column_config=config,
        placeholder="",
        **options,
    )


def column_name(name: str) -> str:
    """A column in words; a key of the configuration by its own name, as conditions have it."""
    if name in _NAMES:
        return _NAMES[name]
    return name.replace("_", " ") if name.endswith(_WORDS) else name


def shown_cell(column: str, value: Any) -> str:
    """A cell as it is read."""
    text = cell(value, column).replace("e+", "e")
    return text.replace("_", " ") if column == "status" else text


def _column(values: list[Any], name: str) -> pl.Series:
    """Numbers as numbers, so that they sort; a mixture as text."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(v, bool) for v in known):
        return pl.Series(values, dtype=pl.Boolean)
    if known and all(isinstance(v, int) and not isinstance(v, bool) for v in known):
        return pl.Series(values, dtype=pl.Int64)
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        if max(abs(v) for v in known) < _EXACT:
            series = pl.Series(values, dtype=pl.Float64)
            # Tokens between two evaluations: nobody asks for a fraction of them.
            return series.round(0) if min(abs(v) for v in known) >= 1000 else series
        # A browser's table refuses numbers that it cannot represent to the last digit.
        return pl.Series([None if v is None else cell(v, name) for v in values], dtype=pl.String)
    return pl.Series([None if v is None else pretty(v) for v in values], dtype=pl.String)
