"""Rows to stdout: a table for people, JSON and CSV for programs."""

import csv
import sys
from collections.abc import Sequence
from typing import Any

from workbench.messages import csv_cell, json_text, pretty
from workbench.terminal import console, shown


def emit(
    rows: Sequence[dict[str, Any]],
    fmt: str,
    *,
    document: Any = None,
    title: str | None = None,
    columns: Sequence[str] | None = None,
) -> None:
    """Write rows to stdout.

    Args:
        fmt: "table", "json" or "csv".
        document: what JSON shows instead of the rows, where the contract has more.
        columns: which keys, in which order; all of the first row's by default.
    """
    if fmt == "json":
        print(json_text(rows if document is None else document, indent=2))
        return
    names = list(columns or (rows[0] if rows else ()))
    if fmt == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(map(csv_cell, names))
        writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
        return
    _table(rows, names, title)


def _table(rows: Sequence[dict[str, Any]], names: Sequence[str], title: str | None) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print("(no rows)")
        return
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
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
    screen = console()
    width = screen.measure(table, options=screen.options.update(width=10_000)).maximum
    if not screen.is_terminal:
        screen = console(width=max(width, 40))  # a pipe has no width: nothing is cut there
    elif width > screen.width:
        _records(rows, names)
        return
    screen.print(table)


def _records(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Print rows as lists of keys and values, for a terminal too narrow for a table."""
    margin = max(len(name) for name in names)
    for row in rows:
        print()
        for name in names:
            value = pretty(row.get(name))
            if value:
                print(f"{name:>{margin}}  {value}")
