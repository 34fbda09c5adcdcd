"""Rows to stdout: a table for people, JSON and CSV for programs.

CSV has what JSON has, one column a number: ends of an interval are two columns, and a bound is a
number in a column of its own. Signs such as "> 3" stand in tables alone.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from workbench.analysis.table_rows import flat_rows
from workbench.messages import csv_cell, json_text, pretty
from workbench.terminal import console, shown


def emit(
    rows: Sequence[dict[str, Any]],
    fmt: str,
    *,
    document: Any = None,
    plain: Sequence[dict[str, Any]] | None = None,
    title: str | None = None,
    columns: Sequence[str] | None = None,
) -> None:
    """Write rows to stdout.

    Args:
        fmt: "table", "json" or "csv".
        document: what JSON shows instead of the rows, where the contract has more; CSV too, where
            it is a list of rows or has one: "rows", "runs" or "options".
        plain: what CSV shows instead of either.
        columns: which keys, in which order; all of the first row's by default.
    """
    if fmt == "json":
        print(json_text(rows if document is None else document, indent=2))
        return
    if fmt == "csv":
        if columns is None:
            rows = flat_rows(_rows_of(document) or rows if plain is None else plain)
        names = list(columns or dict.fromkeys(name for row in rows for name in row))
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(map(csv_cell, names))
        writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
        return
    _table(rows, list(columns or (rows[0] if rows else ())), title)


def _rows_of(document: Any) -> list[dict[str, Any]] | None:
    """The rows of a document: the document itself, or what it names so."""
    if isinstance(document, dict):
        named = (document[key] for key in ("rows", "runs", "options") if key in document)
        document = next(named, None)
    return document if isinstance(document, list) else None


def _table(rows: Sequence[dict[str, Any]], names: Sequence[str], title: str | None) -> None:
    if not rows:
        print("(no rows)")
        return
    table = table_of(rows, names, title)
    screen = console()
    width = screen.measure(table, options=screen.options.update(width=10_000)).maximum
    if not screen.is_terminal:
        screen = console(width=max(width, 40))  # a pipe has no width: nothing is cut there
    elif width > screen.width:
        _records(rows, names)
        return
    screen.print(table)


def table_of(
    rows: Sequence[dict[str, Any]], names: Sequence[str] | None = None, title: str | None = None
) -> Any:
    """Rows as a table of Rich's, numbers to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    names = list(rows[0] if rows else ()) if names is None else names
    for name in names:
        numeric = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        table.add_column(
            Text(shown(name)),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric,
        )
    for row in rows:
        table.add_row(*(Text(shown(pretty(row.get(name)))) for name in names))
    return table


def _records(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Print rows as lists of keys and values, for a terminal too narrow for a table."""
    margin = max(len(name) for name in names)
    for row in rows:
        print()
        for name in names:
            value = pretty(row.get(name))
            if value:
                print(f"{name:>{margin}}  {value}")


def say(lines: Iterable[str | None]) -> None:
    """Write remarks to stderr, each once and on a line of its own."""
    for line in dict.fromkeys(line for line in lines if line):
        print(line, file=sys.stderr)
