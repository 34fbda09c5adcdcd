"""Tables with a column for each metric as logs: histories, and tables with one row a run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.importing.attempts import Row, add_rows
from workbench.importing.columns import RUN_LEVEL
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, RunLog
from workbench.importing.schedules import NAMES
from workbench.importing.table import ROW, RawTable
from workbench.importing.tags import is_token_count, metric_name
from workbench.importing.units import check_headers
from workbench.importing.wandb_charts import chart_runs
from workbench.metrics import METRICS
from workbench.metrics import unit as unit_of

STEPS = (
    "_step", "step", "global_step", "trainer/global_step", "train/global_step", "iter", "iteration",
    "iter_num", "iterations",
)  # fmt: skip
_TOKENS_A_STEP = ("tokens_per_step", "tokens_per_sample")
_FACTS = (*RUN_LEVEL, *_TOKENS_A_STEP)
_SCHEDULED = ("lr", "weight_decay")
_NEVER = ("_runtime", "_timestamp", "_wandb", "_wandb.runtime", "epoch", "wall time", "wall_time")
"""Of each point, but no measurement."""
_OF_RUN_TABLES = ("state", "created", "runtime", "sweep", "user", "tags", "notes")


def table_runs(table: RawTable, request: Request) -> tuple[Loaders, Request]:
    """The runs of a table that has a column for each metric, and the rest of the request; no runs
    where it is a table with a row for each number.

    Raises:
        InputError: an exported chart whose columns cannot be taken.
    """
    if {"metric", "value"} & {*table.columns, *request.columns}:
        return {}, request
    charts = chart_runs(table, request)
    if charts:
        return charts, request
    table, request = _renamed(table, request)
    axis, one_row = _axis(table.columns), _is_run_table(table.columns)
    if axis is None and not one_row:
        return {}, request
    by = _identity(table, request)
    by += _settings(table, by, axis)
    loaders: dict[str, Any] = {}
    for key, rows in table.frame.group_by(by, maintain_order=True) if by else [((), table.frame)]:
        known = {name: value for name, value in zip(by, key, strict=True) if value is not None}
        name = _name(table, known, loaders)
        loaders[name] = partial(_read, table, rows, known, axis, one_row, by, request)
    return loaders, request


def _renamed(table: RawTable, request: Request) -> tuple[RawTable, Request]:
    """The table with its columns of what distinguishes runs and of steps under our names."""
    ours = {
        theirs: name
        for name, theirs in request.columns.items()
        if name in (*_FACTS, "total_tokens", "step", "run") and theirs in table.columns
    }
    check_headers(str(table.path), {name: theirs for theirs, name in ours.items()}, request.units)
    clash = [name for theirs, name in ours.items() if name in table.columns and name != theirs]
    frame = table.frame.drop(clash).rename(ours)
    columns = [name for name in frame.columns if name != ROW]
    rest = {name: theirs for name, theirs in request.columns.items() if theirs not in ours}
    return replace(table, frame=frame, columns=columns), replace(request, columns=rest)


def _axis(columns: list[str]) -> str | None:
    """The column along which curves run: steps, else tokens."""
    plain = {name.lower(): name for name in reversed(columns)}
    for name in STEPS:
        if name in plain:
            return plain[name]
    return next((name for name in columns if is_token_count(name)), None)


def _is_run_table(columns: list[str]) -> bool:
    """Whether it is W&B's table of runs: one row a run."""
    plain = {name.lower() for name in columns}
    return "name" in plain and len(plain & set(_OF_RUN_TABLES)) > 1


def _identity(table: RawTable, request: Request) -> list[str]:
    """The columns that distinguish runs."""
    names = [name for name in table.columns if name.lower() in NAMES]
    facts = [name for name in table.columns if name in _FACTS and name not in _SCHEDULED]
    kept = [name for name in table.columns if name in request.labels]
    by = list(dict.fromkeys([*names[:1], *facts, *kept]))
    # A rate that is the same in all rows of a run is one of its facts, else a schedule.
    rates = [name for name in _SCHEDULED if name in table.columns and name not in by]
    return [*by, *(name for name in rates if _constant(table.frame, by, name))]


def _settings(table: RawTable, by: list[str], axis: str | None) -> list[str]:
    """The columns besides that are no metrics, stay as they are within runs, and differ between
    them, such as a batch size: they label runs."""
    if not by or (table.frame.group_by(by).len()["len"] == 1).any():
        return []
    return [
        name
        for name in table.columns
        if name not in by
        and name != axis
        and name.lower() not in (*_NEVER, *STEPS)
        and not _is_known(metric_name(name))
        and table.frame[name].n_unique() > 1
        and _constant(table.frame, by, name)
    ]


def _constant(frame: pl.DataFrame, by: list[str], name: str) -> bool:
    groups = frame.group_by(by) if by else frame.group_by(pl.lit(0))
    return bool((groups.agg(pl.col(name).drop_nulls().n_unique())[name] <= 1).all())


def _name(table: RawTable, known: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
    named = next((str(known[name]) for name in known if name.lower() in NAMES), None)
    name = named or "_".join(str(v) for v in known.values()) or table.path.name.split(".")[0]
    number, base = 2, name
    while name in taken:
        name, number = f"{base} ({number})", number + 1
    return name


def _read(
    table: RawTable,
    rows: pl.DataFrame,
    known: Mapping[str, Any],
    axis: str | None,
    one_row: bool,
    by: list[str],
    request: Request,
) -> RunLog:
    # A name is no label, since it would keep runs of two objectives from making a pair.
    facts = {k: v for k, v in known.items() if k.lower() not in NAMES or k in request.labels}
    log = RunLog(facts=facts)
    log.files.append({"file": table.path.name, "sha256": table.sha256})
    tags = [n for n in table.columns if n not in by and n != axis and n.lower() not in _NEVER]
    passed = [name for name in table.columns if name.lower() in _NEVER]
    chosen = {*request.columns.values()}
    curves: dict[str, pl.Series] = {}
    for tag in tags:
        cells = rows[tag]
        if cells.is_null().all():
            continue
        numbers = cells.cast(pl.Float64, strict=False)
        unread = numbers.is_null() & cells.is_not_null()
        known_metric = _is_known(metric_name(tag)) or is_token_count(tag)
        if unread.all() or (one_row and not known_metric and not _asked(tag, chosen, request)):
            passed.append(tag)
            continue
        if unread.any():
            place = table.where(rows[ROW][int(unread.arg_true()[0])])
            log.notes.append(f"{tag} is left out: {place} is {cells[int(unread.arg_true()[0])]!r}.")
            continue
        curves[tag] = numbers
    if one_row:
        _check_one_row(table, rows)
    if axis is None:
        log.last = {tag: cells[0] for tag, cells in curves.items() if cells[0] is not None}
    else:
        unit = request.units.get("total_tokens", 1.0) if is_token_count(axis) else None
        add_rows(log, _rows(table, rows, axis, curves, unit), table.where)
    log.over_tokens = axis is not None and is_token_count(axis)
    if passed:
        log.notes.append(
            f"columns that are no metrics are left out: {', '.join(passed[:8])}"
            f"{f' and {len(passed) - 8} more' if len(passed) > 8 else ''}. --label NAME takes one "
            "as what distinguishes runs."
        )
    return log


def _is_known(metric: str) -> bool:
    """Whether a name is that of a metric, rather than of a setting."""
    return metric in METRICS or bool(unit_of(metric))


def _asked(tag: str, chosen: set[str], request: Request) -> bool:
    return tag in chosen or bool(request.only and request.takes(tag, metric_name(tag)))


def _check_one_row(table: RawTable, rows: pl.DataFrame) -> None:
    if rows.height > 1:
        places = " and ".join(table.where(position) for position in rows[ROW][:2])
        raise InputError(
            f"{places} are of one run. --label COLUMN takes a column that distinguishes them."
        )


def _rows(
    table: RawTable,
    rows: pl.DataFrame,
    axis: str,
    curves: Mapping[str, pl.Series],
    unit: float | None,
) -> Iterator[Row]:
    """The rows that have values, in the file's order.

    Args:
        unit: where the axis is of tokens, how many one of it is.

    Raises:
        InputError: a step is no whole number.
    """
    steps = rows[axis].cast(pl.Float64, strict=False)
    wrong = steps.is_null() | (steps < 0) | ~steps.is_finite()
    if unit is None:
        wrong = wrong | (steps != steps.round())
    else:
        steps = steps * unit
    if curves and wrong.any():
        first = int(wrong.fill_null(True).arg_true()[0])
        raise InputError(
            f"{axis}, {table.where(rows[ROW][first])}: {rows[axis][first]!r} is not a whole "
            "number, 0 or more."
        )
    for position, step, *values in zip(rows[ROW], steps, *curves.values(), strict=True):
        given = {t: v for t, v in zip(curves, values, strict=True) if v is not None}
        if given:
            yield position, round(step), given
