"""Answers as frames: what is nested in a row of an answer stands in columns of its own."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from workbench.analysis.pairing import side_name
from workbench.analysis.tidy import column_names

_SIDES = ("baseline", "challenger")


def answer_frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """One row for each row of an answer.

    The keys of a "group" are columns by their names; both ends of an interval are `..._low` and
    `..._high`, null where an end is not known; what else is nested is `outer_inner`.
    """
    flat = [flat_row(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    return pl.DataFrame(
        {name: pl.Series(name, [row.get(name) for row in flat], strict=False) for name in names}
    )


def flat_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of an answer without anything nested but lists: see `answer_frame`."""
    flat: dict[str, Any] = {}
    groups = column_names(list(row.get("group") or ()), reserved=[n for n in row if n != "group"])
    for name, value in row.items():
        if name == "group":
            flat |= {groups[key]: one for key, one in (value or {}).items()}
        elif name in _SIDES and isinstance(value, dict) and "name" not in value:
            flat[name] = side_name(value)
        elif name.endswith("ci95"):
            low, high = value or (None, None)
            flat |= {f"{name}_low": low, f"{name}_high": high}
        elif isinstance(value, dict):
            flat |= {f"{name}_{inner}": one for inner, one in flat_row(value).items()}
        else:
            flat[name] = value
    return flat
