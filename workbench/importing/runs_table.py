"""A table of runs: what their curves do not tell of them."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from workbench.errors import InputError
from workbench.importing.table import ROW, RawTable, read_table
from workbench.messages import suggestion

NAMES = ("run", "folder", "name")
"""What the column of a run's name is called."""


def runs_table(path: Path) -> dict[str, dict[str, str]]:
    """The table of runs: run -> column -> cell, without empty cells.

    Raises:
        InputError: it has no column of runs, or two rows of one.
    """
    table = read_table(path)
    named = _named(table)
    if named is None:
        raise InputError(
            f"--runs {path}: the column run is missing{suggestion('run', table.columns) or '.'} It "
            f"has {', '.join(table.columns)}. It says which run each row is about."
        )
    rows: dict[str, dict[str, str]] = {}
    for position, row in zip(table.frame[ROW], table.frame.drop(ROW).to_dicts(), strict=True):
        name = row.pop(named)
        if name is None:
            raise InputError(f"--runs {path}: {table.where(position)} names no run.")
        key = str(name).strip("/")
        if key in rows:
            raise InputError(f"--runs {path}: {key} has two rows.")
        rows[key] = {column: str(cell) for column, cell in row.items() if cell is not None}
    return rows


def with_runs(table: RawTable, path: Path | None) -> RawTable:
    """A table of points with what a table of runs says of each, for the runs that it has.

    Raises:
        InputError: the points have no column of runs, or none of these runs.
    """
    if path is None:
        return table
    rows = runs_table(path)
    named = _named(table)
    if named is None:
        raise InputError(
            f"{table.path}: no column {', '.join(NAMES)}, by which --runs {path} would tell of it."
        )
    runs = table.frame[named].cast(pl.String)
    there = runs.is_in(list(rows))
    if not there.any():
        raise InputError(f"--runs {path} names none of the runs in {table.path}.")
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    new = [
        runs.replace_strict({r: v.get(key) for r, v in rows.items()}, default=None,
                            return_dtype=pl.String).alias(key)
        for key in keys
    ]  # fmt: skip
    frame = table.frame.with_columns(new).filter(there)
    notes = list(table.notes)
    if not there.all():
        missing = runs.filter(~there).unique().len()
        notes.append(f"{missing} runs are left out, not in {path}.")
    columns = [name for name in frame.columns if name != ROW]
    return replace(table, frame=frame, columns=columns, notes=notes)


def _named(table: RawTable) -> str | None:
    plain = {column.lower(): column for column in reversed(table.columns)}
    return next((plain[name] for name in NAMES if name in plain), None)
