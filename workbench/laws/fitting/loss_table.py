"""Tables of losses to fit: one row a run, from a file or from a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.conditions import Conditions, matching
from workbench.errors import InputError
from workbench.laws.law import Floats, Rows
from workbench.messages import suggestion
from workbench.runs.tables import read_csv, read_parquet

REQUIRED = ("n_params", "total_tokens", "loss")
_OPTIONAL = ("unique_tokens", "objective", "name", "compute")
_KIND = {".csv": "csv", ".parquet": "parquet"}
_LOWEST, _HIGHEST = 1e-30, 1e40  # beyond any count, loss or FLOPs; products stay finite


@dataclass(frozen=True)
class LossTable:
    """Runs with their losses. Arrays have one element a row.

    `compute` is training FLOPs: the table's own, or 6 N D. `objective` is None where the table
    has no column of objectives, `unique_tokens` where it has no such column.
    """

    source: str
    name: NDArray[np.str_]
    n_params: Floats
    total_tokens: Floats
    unique_tokens: Floats | None
    loss: Floats
    compute: Floats
    objective: NDArray[np.str_] | None = None
    estimators: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = field(default=())
    columns: dict[str, NDArray[np.object_]] = field(default_factory=dict, repr=False)
    """What else is known of the rows, by name: the file's columns, or the store's columns of
    their runs and the keys in which these differ. None where a row has nothing there."""

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def rows(self) -> Rows:
        unique = self.total_tokens if self.unique_tokens is None else self.unique_tokens
        return Rows.of(self.n_params, self.total_tokens, unique)

    @property
    def objectives(self) -> list[str | None]:
        """Objectives in the table, sorted; [None] where it has no such column."""
        return [None] if self.objective is None else sorted(set(self.objective.tolist()))

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "LossTable":
        def part(values):  # type: ignore[no-untyped-def]
            return None if values is None else values[rows]

        ids = tuple(np.array(self.run_ids)[rows].tolist()) if self.run_ids else ()
        return replace(
            self,
            name=self.name[rows],
            n_params=self.n_params[rows],
            total_tokens=self.total_tokens[rows],
            unique_tokens=part(self.unique_tokens),
            loss=self.loss[rows],
            compute=self.compute[rows],
            objective=part(self.objective),
            run_ids=ids,
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def where(self, conditions: Conditions, absent: Mapping[str, Any] | None = None) -> "LossTable":
        """The rows that meet the conditions, with a note on them.

        Args:
            absent: by column, the value that none stands for.

        Raises:
            InputError: there is no such column, or no row meets the conditions.
        """
        if not conditions:
            return self
        rows = [
            dict(zip(self.columns, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]
        found = np.array(matching(rows, conditions, self.source, absent=absent))
        note = f"only rows with {' and '.join(map(str, conditions))}"
        return replace(self.take(found), notes=(*self.notes, note))

    def of(self, objective: str | None) -> "LossTable":
        """The rows of one objective."""
        if objective is None or self.objective is None:
            return self
        return self.take(self.objective == objective)


def read_table(path: Path, columns: dict[str, str] | None = None) -> LossTable:
    """Read a .csv or .parquet of losses.

    Args:
        columns: the column's name in the file for each name of ours that differs.

    Raises:
        InputError: there is no such file, a column is missing, or a cell is not a positive number.
            The message names the file, the row (from 1, without the header) and the column.
    """
    frame, renamed = _renamed(path, _read(path), columns or {})
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        near = suggestion(missing[0], [c for c in frame.columns if c not in REQUIRED])
        raise InputError(
            f"{path}: no column {', '.join(missing)}{near or '.'} Columns here: "
            f"{', '.join(frame.columns)}. A column of another name is given with "
            f"--column {missing[0]}=theirs."
        )
    if frame.is_empty():
        raise InputError(f"{path}: no rows.")
    numbers = {
        name: _positive(path, frame, name, renamed.get(name, name))
        for name in (*REQUIRED, "unique_tokens", "compute")
        if name in frame.columns
    }
    n = frame.height
    names = frame["name"].cast(pl.String).fill_null("") if "name" in frame.columns else None
    return LossTable(
        source=str(path),
        name=np.array([f"row {i + 1}" for i in range(n)] if names is None else names.to_list()),
        n_params=numbers["n_params"],
        total_tokens=numbers["total_tokens"],
        unique_tokens=numbers.get("unique_tokens"),
        loss=numbers["loss"],
        compute=numbers.get("compute", 6.0 * numbers["n_params"] * numbers["total_tokens"]),
        objective=_objectives(path, frame),
        notes=tuple(f"{ours} is the column {theirs}" for ours, theirs in renamed.items()),
        columns=_columns(frame, renamed),
    )


def _columns(frame: pl.DataFrame, renamed: dict[str, str]) -> dict[str, NDArray[np.object_]]:
    """A file's columns as numbers where all of their cells are; renamed ones by both names."""
    columns = {}
    for name in frame.columns:
        values = frame[name]
        if values.dtype == pl.String:
            text = values.str.strip_chars().replace("", None)
            numbers = (text.cast(kind, strict=False) for kind in (pl.Int64, pl.Float64))
            values = next((n for n in numbers if n.null_count() == text.null_count()), text)
        columns[name] = np.array(values.to_list(), dtype=object)
    return columns | {theirs: columns[ours] for ours, theirs in renamed.items()}


def _read(path: Path) -> pl.DataFrame:
    kind = _KIND.get(path.suffix)
    if kind is None:
        raise InputError(f"{path}: expected a .csv or .parquet file.")
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        if kind == "parquet":
            return read_parquet(path)
        frame = read_csv(path, infer_schema=False)  # text: messages can quote a bad cell
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable {kind} table ({_first_line(error)}).") from None
    twice = [name for name in frame.columns if "_duplicated_" in name]
    if twice:
        raise InputError(
            f"{path}: the column {twice[0].partition('_duplicated_')[0]} occurs twice."
        )
    return frame


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _renamed(
    path: Path, frame: pl.DataFrame, columns: dict[str, str]
) -> tuple[pl.DataFrame, dict[str, str]]:
    known = (*REQUIRED, *_OPTIONAL)
    wanted = dict(columns)
    for ours, theirs in wanted.items():
        if ours not in known:
            raise InputError(
                f"--column {ours}={theirs}: no such column of ours{suggestion(ours, known) or '.'} "
                f"Allowed: {', '.join(known)}."
            )
        if theirs not in frame.columns:
            raise InputError(
                f"{path}: no column {theirs}{suggestion(theirs, frame.columns) or '.'} "
                f"Columns here: {', '.join(frame.columns)}."
            )
    if "loss" not in wanted and "loss" not in frame.columns and "val_loss" in frame.columns:
        wanted["loss"] = "val_loss"
    frame = frame.drop([c for c in wanted if c in frame.columns and wanted[c] != c])
    return frame.rename({theirs: ours for ours, theirs in wanted.items()}), wanted


def _positive(path: Path, frame: pl.DataFrame, name: str, theirs: str) -> Floats:
    column = frame[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    numbers = column.cast(pl.Float64, strict=False)
    bad = numbers.is_null() | ~numbers.is_finite() | (numbers <= 0)
    if bad.any():
        row = int(bad.arg_true()[0])
        read = frame[name][row]
        shown = "nothing" if read is None else f'"{read}"' if isinstance(read, str) else read
        count = f" ({bad.sum():,} such rows)" if bad.sum() > 1 else ""
        raise InputError(
            f"{path}, row {row + 1}, column {theirs}: {shown} is not a positive number{count}."
        )
    far = (numbers < _LOWEST) | (numbers > _HIGHEST)
    if far.any():
        row = int(far.arg_true()[0])
        raise InputError(
            f"{path}, row {row + 1}, column {theirs}: {frame[name][row]} is outside "
            f"{_LOWEST:g} to {_HIGHEST:g}: another unit?"
        )
    return numbers.to_numpy().astype(np.float64)


def _objectives(path: Path, frame: pl.DataFrame) -> NDArray[np.str_] | None:
    if "objective" not in frame.columns:
        return None
    column = frame["objective"].cast(pl.String)
    empty = column.is_null() | (column.str.strip_chars() == "")
    if empty.any():
        raise InputError(
            f"{path}, row {int(empty.arg_true()[0]) + 1}, column objective: nothing there."
        )
    return np.array(column.to_list())
