"""Answers as frames: what is nested in a row of an answer stands in columns of its own."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from workbench.analysis.pairing import side_name
from workbench.analysis.table_rows import flat_rows
from workbench.analysis.tidy import column_names


def answer_frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """One row for each row of an answer.

    The columns are those of the commands' CSV, without dots, which plotting libraries take for
    paths: a group's keys stand by their names, `..._low` and `..._high` are both ends of an
    interval, null where an end is not known, and what else is nested is `outer_inner`.
    """
    flat = flat_rows(_with_plain_keys(row) for row in rows)
    names = list(dict.fromkeys(name for row in flat for name in row))
    return pl.DataFrame(
        {
            name.replace(".", "_"): pl.Series([row.get(name) for row in flat], strict=False)
            for name in names
        }
    )


def _with_plain_keys(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose sides are texts and whose group has names without dots."""
    sides = {
        name: side_name(row[name])
        for name in ("baseline", "challenger")
        if isinstance(row.get(name), dict)
    }
    group = row.get("group")
    if not isinstance(group, dict):
        return row | sides
    names = column_names(list(group), reserved=[name for name in row if name != "group"])
    return row | sides | {"group": {names[key]: value for key, value in group.items()}}
