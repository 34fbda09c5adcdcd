"""What stands behind the marks of a figure, in its data: exact keys, run ids and seeds."""

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from workbench.messages import plain_value


def with_keys(
    data: pl.DataFrame,
    groups: Sequence[dict[str, Any]],
    run_ids: Sequence[Iterable[str]],
    seeds: Sequence[Iterable[Any]],
) -> pl.DataFrame:
    """Data with a column for each key of the groups, "run_ids" and "seeds" (with spaces between).

    Args:
        groups, run_ids, seeds: one for each row of the data. A column that the data has stays.
    """
    names = [key for key in dict.fromkeys(k for group in groups for k in group) if key not in data]
    columns = {name: [group.get(name) for group in groups] for name in names}
    columns["run_ids"] = [" ".join(ids) for ids in run_ids]
    columns["seeds"] = [" ".join(map(str, dict.fromkeys(own))) for own in seeds]
    return data.with_columns(pl.Series(name, _column(values)) for name, values in columns.items())


def _column(values: list[Any]) -> list[Any]:
    """Values of one kind as they are, all others as text: lists, and what is a number in one group
    and a word in another."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {bool} or kinds <= {str}:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(plain_value(value)) for value in values]


def with_rows(
    data: pl.DataFrame, rows: Sequence[dict[str, Any]], sides: Sequence[str] | None = None
) -> pl.DataFrame:
    """`with_keys` of answers, one for each row of the data.

    Args:
        sides: whose runs a row of the data is of; those of both sides by default.
    """
    chosen: Sequence[str | None] = sides or [None] * len(rows)
    behind = [_behind(row, side) for row, side in zip(rows, chosen, strict=True)]
    return with_keys(
        data,
        [row["group"] for row in rows],
        [[run_id for run_id, _ in runs] for runs in behind],
        [[seed for _, seed in runs] for runs in behind],
    )


def _behind(row: dict[str, Any], side: str | None) -> list[tuple[str, Any]]:
    """Ids and seeds of an answer's runs: of its sides, or of runs with answers of their own."""
    runs, seeds = row.get("runs", {}), row.get("run_seeds", {})
    if isinstance(runs, list):
        return [(run["run_id"], run["seed"]) for run in runs]
    named = [name for name in runs if side in (None, name)]
    return [both for name in named for both in zip(runs[name], seeds[name], strict=True)]
