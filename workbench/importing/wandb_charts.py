"""Charts that W&B exports as CSV: a column for each run and metric, "RUN - METRIC"."""

import re
from functools import partial

import polars as pl

from workbench.errors import InputError
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, RunLog
from workbench.importing.table import ROW, RawTable
from workbench.importing.tags import is_token_count

_BOUND = re.compile(r"__(MIN|MAX)$")
_STEPS = re.compile(r"(?i)(^|[/_ ])(step|steps|iter|iteration)$")


def chart_runs(table: RawTable, request: Request) -> Loaders:
    """The runs of an exported chart; none where the table is of another kind.

    Raises:
        InputError: the chart is over time or another quantity that tells no tokens.
    """
    axis, *rest = table.columns
    parts = {name: _parts(name) for name in rest if not _BOUND.search(name)}
    if not parts or None in parts.values():
        return {}
    if not _STEPS.search(axis) and not is_token_count(axis):
        raise InputError(
            f"{table.path}: a chart over {axis}, which tells neither steps nor tokens. Export it "
            "with steps or tokens on its x axis; if "
            f"{axis} counts steps, rename the column to Step."
        )
    unit = request.units.get("total_tokens", 1.0) if is_token_count(axis) else 1.0
    runs: dict[str, dict[str, str]] = {}
    for column, part in parts.items():
        assert part is not None
        run, metric = part
        if not _STEPS.search(metric):  # the x axis again, of each run
            runs.setdefault(run, {})[metric] = column
    return {run: partial(_read, table, axis, columns, unit) for run, columns in runs.items()}


def _parts(column: str) -> tuple[str, str] | None:
    """Run and metric. Runs may have " - " in their names; metrics do not."""
    run, mark, metric = column.rpartition(" - ")
    return (run, metric) if mark and run and metric else None


def _read(table: RawTable, axis: str, columns: dict[str, str], unit: float) -> RunLog:
    log = RunLog(over_tokens=is_token_count(axis))
    log.files.append({"file": table.path.name, "sha256": table.sha256})
    steps = table.frame[axis].cast(pl.Float64, strict=False)
    wrong = steps.is_null() | (steps != steps.round()) | (steps < 0)
    if wrong.any() and not log.over_tokens:
        place = table.where(table.frame[ROW][int(wrong.arg_true()[0])])
        raise InputError(f"{axis}, {place}: not a whole number, 0 or more.")
    steps = steps * unit
    for metric, column in columns.items():
        cells = table.frame[column]
        numbers = cells.cast(pl.Float64, strict=False)
        unread = numbers.is_null() & cells.is_not_null()
        if unread.any():
            first = int(unread.arg_true()[0])
            place = table.where(table.frame[ROW][first])
            log.notes.append(f"{column} is left out: {place} is {cells[first]!r}.")
            continue
        curve: dict[int, float] = {}
        for step, value in zip(steps, numbers, strict=True):
            if value is None or step is None:
                continue
            if curve.setdefault(round(step), value) != value:
                raise InputError(f"{column}: {axis} {step:g} has two values.")
        log.scalars[metric] = curve
        bounds = [f"{column}__{end}" for end in ("MIN", "MAX")]
        if _differ(table.frame, column, bounds):
            log.notes.append(
                f"{column} is a mean of several values (__MIN and __MAX differ): of a group of "
                "runs, or of neighbouring steps."
            )
    return log


def _differ(frame: pl.DataFrame, column: str, bounds: list[str]) -> bool:
    cells = frame[column].cast(pl.Float64, strict=False)
    return any(
        bool((frame[bound].cast(pl.Float64, strict=False) != cells).any())
        for bound in bounds
        if bound in frame.columns
    )
