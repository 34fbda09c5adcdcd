"""Words and tables that come from data: always text, never markup."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import streamlit as st

from workbench.errors import WorkbenchError
from workbench.messages import pretty

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")  # Markdown knows of no other punctuation

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
        st.info(plain(str(error).replace("--figure: ", "")), icon=":material/info:")


def note(text: str) -> None:
    """A remark below a table or a figure."""
    st.caption(plain(text))


def notes(lines: Iterable[str | None]) -> None:
    """Remarks, each once and on a line of its own."""
    unique_lines = dict.fromkeys(line for line in lines if line)
    if unique_lines:
        st.caption("  \n".join(plain(line) for line in unique_lines))


def table(rows: Sequence[dict[str, Any]], *, key: str | None = None, **options: Any) -> Any:
    """Draw rows as a table: whole numbers with separators, others with five digits, else text."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = {name: _column([row.get(name) for row in rows]) for name in columns}
    numbers = {
        name: st.column_config.NumberColumn(format=_format(series))
        for name, series in data.items()
        if series.dtype.is_numeric()
    }
    config = {**numbers, **options.pop("column_config", {})}
    options.setdefault("height", "content" if len(rows) <= _WHOLE else 420)
    return st.dataframe(
        pl.DataFrame(data),
        key=key,
        hide_index=True,
        column_config=config,
        placeholder="",
        **options,
    )


def _column(values: list[Any]) -> pl.Series:
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
        texts = [None if v is None else f"{v:.3E}".replace("E+", "E") for v in values]
        return pl.Series(texts, dtype=pl.String)
    return pl.Series([None if v is None else pretty(v) for v in values], dtype=pl.String)


def _format(series: pl.Series) -> str:
    largest = float(series.abs().max() or 0)  # type: ignore[arg-type]
    if largest >= 1e12:
        return "scientific"
    whole = series.dtype.is_integer() or bool((series.drop_nulls() % 1 == 0).all())
    return "localized" if whole or largest >= 1e4 else "%.5g"
