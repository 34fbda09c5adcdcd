"""Columns that change from point to point within a run, such as a scheduled learning rate or the
time: they distinguish no runs."""

import polars as pl

from workbench.errors import InputError
from workbench.importing.columns import RUN_LEVEL
from workbench.importing.table_text import ROW

# Of our own columns, those that schedules change while a run goes on.
_SCHEDULED = ("lr", "weight_decay", "dropout", "input_mask")
NAMES = ("run", "name", "run_name", "run_id", "run id", "id", "folder")
"""What columns are called that name runs, in lower case."""
_TIME = r"^\d{4}-\d\d-\d\d|^\d\d?:\d\d|^(?:\d+(?:\.\d+)?\s*[dhms]\w*\s*)+$"
_FEW = 3


def without_schedules(
    origin: str, frame: pl.DataFrame, labels: list[str], keep: tuple[str, ...]
) -> tuple[pl.DataFrame, list[str], list[str]]:
    """The points without the columns that change within runs, the labels left, and notes.

    Which columns those are: as few columns are taken to distinguish runs as it takes to give no
    point two values. Of the others, one that changes along a run's tokens is a schedule, unless its
    values alternate, as those of several runs between each other do.

    Args:
        labels: columns besides our own that would distinguish runs.
        keep: columns that do, whatever they look like.

    Raises:
        InputError: text changes from point to point; or runs differ in nothing but a schedule.
    """
    doubtful = [
        name
        for name in (*_SCHEDULED, *labels)
        if name not in keep and name.lower() not in NAMES and frame[name].n_unique() > 1
    ]
    if not doubtful:
        return frame, labels, []
    rows = frame
    frame = frame.unique(pl.exclude(ROW), keep="first", maintain_order=True)
    doubtful.sort(key=lambda name: frame[name].n_unique())
    runs = [name for name in (*RUN_LEVEL, *labels) if name not in doubtful]
    clashes = _clashes(frame, runs)
    for name in doubtful:
        left = _clashes(frame, [*runs, name]) if clashes else 0
        if left < clashes:
            _check_no_schedule(origin, frame, runs, name)
            runs.append(name)
            clashes = left
    leave = []
    for name in doubtful:
        if name in runs or not _changes(frame, runs, name):
            continue
        numbers = _is_number_or_time(frame[name])
        if not numbers:
            raise InputError(
                f"{origin}: the column {name} changes within what looks like one run. --label "
                f"{name} has each of its values be a run, --without {name} leaves it out."
            )
        leave.append(name)
    frame = rows.drop(name for name in leave if name in labels)
    frame = frame.with_columns(
        pl.lit(None, frame.schema[name]).alias(name) for name in leave if name in frame.columns
    )
    notes = []
    if leave:
        notes.append(
            f"left out, since they change from point to point within runs and do not distinguish "
            f"them: {', '.join(leave)}. --label {leave[0]} has each value be a run."
        )
    return frame, [name for name in labels if name not in leave], notes


def _clashes(frame: pl.DataFrame, runs: list[str]) -> int:
    """How many rows are of a point that another row has given already."""
    point = [*runs, "metric", "total_tokens", "estimator"]
    return frame.height - frame.select(point).n_unique()


def _changes(frame: pl.DataFrame, runs: list[str], name: str) -> bool:
    """Whether a column changes along the tokens of some run."""
    curves = frame.sort("total_tokens", maintain_order=True).group_by([*runs, "metric"])
    counts = curves.agg(
        values=pl.col(name).n_unique(),
        changes=(pl.col(name).ne_missing(pl.col(name).shift())).sum(),
    )
    varying = counts.filter(pl.col("values") > 1)
    if varying.is_empty():
        return False
    # A schedule rises and falls; two runs whose points lie between each other's alternate.
    return not (varying["changes"] > 2 * varying["values"]).any()


def _check_no_schedule(origin: str, frame: pl.DataFrame, runs: list[str], name: str) -> None:
    """Refuse to distinguish runs by a number that is nearly everywhere another one."""
    points = frame.select(*runs, "total_tokens").n_unique()
    if points <= _FEW or not _is_number_or_time(frame[name]):
        return
    if frame[name].n_unique() > points / 2 and frame[name].n_unique() > _FEW:
        raise InputError(
            f"{origin}: rows give one point different values, and differ in {name} alone, which "
            "changes from point to point. Add a column that names the run, such as run or seed; "
            f"--label {name} has each value of {name} be a run."
        )


def _is_number_or_time(cells: pl.Series) -> bool:
    if cells.dtype != pl.String:
        return True
    given = cells.drop_nulls()
    numbers = given.cast(pl.Float64, strict=False)
    return bool((numbers.is_not_null() | given.str.contains(_TIME)).all())
