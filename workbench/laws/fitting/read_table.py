"""Tables of losses from files, by the reader that `import` has."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.importing import table as files
from workbench.importing.columns import literal
from workbench.importing.units import check_headers, check_sizes
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.law import Floats
from workbench.messages import suggestion

REQUIRED = ("n_params", "total_tokens", "loss")
_NUMBERS = (*REQUIRED, "unique_tokens", "compute")
_KNOWN = (*_NUMBERS, "objective", "name")
_LOWEST, _HIGHEST = 1e-30, 1e40  # beyond any count, loss or FLOPs; products stay finite


def read_table(
    path: Path,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, float] | None = None,
) -> LossTable:
    """Losses from a table of any kind that `import` reads, one row a run.

    Of `n_params`, `total_tokens` and `compute`, one may be missing: C = 6 N D gives it, with a
    note.

    Args:
        columns: our column -> the file's where it has another name, or what stands for every row.
        units: our column -> what one of its unit is.

    Raises:
        InputError: there is no such file, a column is missing, a cell is not a positive number, or
            numbers look like another unit. The message names the file, the row and the column.
    """
    table, units = files.read_table(path), units or {}
    frame, theirs, constants = _renamed(path, table, columns or {})
    _check_units(path, theirs, units)
    table = files.RawTable(path, table.sha256, frame, frame.columns, table.line)
    numbers = {
        name: _positive(table, name, theirs.get(name, name)) * units.get(name, 1.0)
        for name in _NUMBERS
        if name in frame.columns
    }
    notes = [f"{ours} is the column {column}" for ours, column in theirs.items()]
    notes += [f"{ours} is {text} in every row" for ours, text in constants.items()]
    notes += [f"one of {name} is {factor:g}" for name, factor in units.items()]
    notes += _complete(path, frame.columns, numbers)
    given = numbers.get("compute")
    check_sizes(
        str(path),
        units,
        n_params=numbers["n_params"],
        total_tokens=numbers["total_tokens"],
        unique_tokens=numbers.get("unique_tokens"),
        compute=given,
    )
    n = frame.height
    names = frame["name"].cast(pl.String).fill_null("") if "name" in frame.columns else None
    return LossTable(
        source=str(path),
        name=np.array([f"row {i + 1}" for i in range(n)] if names is None else names.to_list()),
        n_params=numbers["n_params"],
        total_tokens=numbers["total_tokens"],
        unique_tokens=numbers.get("unique_tokens"),
        loss=numbers["loss"],
        compute=6.0 * numbers["n_params"] * numbers["total_tokens"] if given is None else given,
        objective=_objectives(table),
        notes=tuple(notes),
        columns=_columns(frame.drop(files.ROW), theirs, numbers),
    )


def _complete(path: Path, columns: list[str], numbers: dict[str, Floats]) -> list[str]:
    """Adds the one of parameters, tokens and compute that is missing, and says so.

    Raises:
        InputError: a column is missing that the others do not tell.
    """
    notes = []
    n, d, c = (numbers.get(name) for name in ("n_params", "total_tokens", "compute"))
    if d is None and n is not None and c is not None:
        numbers["total_tokens"] = c / (6.0 * n)
        notes.append("total_tokens is compute / (6 n_params), since the table has no such column")
    if n is None and d is not None and c is not None:
        numbers["n_params"] = c / (6.0 * d)
        notes.append("n_params is compute / (6 total_tokens), since the table has no such column")
    missing = [name for name in REQUIRED if name not in numbers]
    if missing:
        here = [name for name in columns if name != files.ROW]
        near = suggestion(missing[0], [name for name in here if name not in REQUIRED])
        compute = (
            " Where the table has training FLOPs, --column compute=theirs gives the tokens."
            if missing == ["total_tokens"]
            else ""
        )
        raise InputError(
            f"{path}: no column {', '.join(missing)}{near or '.'} Columns here: "
            f"{', '.join(here)}. A column of another name is given with "
            f"--column {missing[0]}=theirs.{compute}"
        )
    return notes


def _check_units(path: Path, theirs: Mapping[str, str], units: Mapping[str, float]) -> None:
    for name, factor in units.items():
        if name not in _NUMBERS:
            raise InputError(
                f"--unit {name}={factor:g}: no number of ours{suggestion(name, _NUMBERS) or '.'} "
                f"Allowed: {', '.join(_NUMBERS)}."
            )
    check_headers(str(path), theirs, units)


def _columns(
    frame: pl.DataFrame, theirs: Mapping[str, str], numbers: Mapping[str, Floats]
) -> dict[str, NDArray[np.object_]]:
    """A file's columns as numbers where all of their cells are; renamed ones by both names."""
    columns = {}
    for name in frame.columns:
        values = frame[name]
        if values.dtype == pl.String:
            text = values.str.strip_chars().replace("", None)
            parsed = (text.cast(kind, strict=False) for kind in (pl.Int64, pl.Float64))
            values = next((p for p in parsed if p.null_count() == text.null_count()), text)
        columns[name] = np.array(values.to_list(), dtype=object)
    columns |= {
        name: np.array(v, dtype=object) for name, v in numbers.items() if name not in columns
    }
    return columns | {column: columns[ours] for ours, column in theirs.items()}


def _renamed(
    path: Path, table: files.RawTable, columns: Mapping[str, str]
) -> tuple[pl.DataFrame, dict[str, str], dict[str, str]]:
    """The cells under our names; which column is which; what stands for every row."""
    theirs, constants = {}, {}
    for ours, name in columns.items():
        if ours not in _KNOWN:
            raise InputError(
                f"--column {ours}={name}: no such column of ours{suggestion(ours, _KNOWN) or '.'} "
                f"Allowed: {', '.join(_KNOWN)}."
            )
        near = suggestion(name, table.columns)
        if name in table.columns:
            theirs[ours] = name
        elif ours != "loss" and (literal(name) is not None if ours in _NUMBERS else not near):
            constants[ours] = name
        else:
            raise InputError(
                f"{path}: no column {name}{near or '.'} Columns here: {', '.join(table.columns)}."
            )
    if "loss" not in theirs and "loss" not in table.columns and "val_loss" in table.columns:
        theirs["loss"] = "val_loss"
    replaced = [c for c in (*theirs, *constants) if c in table.columns and theirs.get(c) != c]
    frame = table.frame.drop(replaced).rename({name: ours for ours, name in theirs.items()})
    frame = frame.with_columns(pl.lit(text).alias(ours) for ours, text in constants.items())
    return frame, theirs, constants


def _positive(table: files.RawTable, name: str, theirs: str) -> Floats:
    column = table.frame[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    numbers = column.cast(pl.Float64, strict=False)
    bad = numbers.is_null() | ~numbers.is_finite() | (numbers <= 0)

    def cell(found: pl.Series) -> tuple[str, object]:
        first = int(found.arg_true()[0])
        return table.where(table.frame[files.ROW][first]), table.frame[name][first]

    if bad.any():
        place, read = cell(bad)
        shown = "nothing" if read is None else f'"{read}"' if isinstance(read, str) else read
        count = f" ({bad.sum():,} such rows)" if bad.sum() > 1 else ""
        raise InputError(
            f"{table.path}, {place}, column {theirs}: {shown} is not a positive number{count}."
        )
    far = (numbers < _LOWEST) | (numbers > _HIGHEST)
    if far.any():
        place, read = cell(far)
        raise InputError(
            f"{table.path}, {place}, column {theirs}: {read} is outside "
            f"{_LOWEST:g} to {_HIGHEST:g}: another unit?"
        )
    return numbers.to_numpy().astype(np.float64)


def _objectives(table: files.RawTable) -> NDArray[np.str_] | None:
    if "objective" not in table.frame.columns:
        return None
    column = table.frame["objective"].cast(pl.String)
    empty = column.is_null() | (column.str.strip_chars() == "")
    if empty.any():
        place = table.where(table.frame[files.ROW][int(empty.arg_true()[0])])
        raise InputError(f"{table.path}, {place}, column objective: nothing there.")
    return np.array(column.to_list())
