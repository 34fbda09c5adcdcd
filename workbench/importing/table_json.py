"""Tables of JSON objects: one a line, or a list of them in one file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.importing.table_text import ROW, decode

_INTEGERS = range(-(2**63), 2**63)


def read_json(
    path: Path, content: bytes
) -> tuple[pl.DataFrame, Callable[[int], int] | None, list[str]]:
    """Rows with their positions, which line a position is on (None of one list), and notes.

    Objects within objects become columns such as `metrics/loss`; lists are left out.

    Raises:
        InputError: a line or the list holds no objects.
    """
    text = decode(path, content)
    objects: list[Any] = []
    lines: list[int] = []
    if text.lstrip().startswith("["):
        try:
            objects = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not JSON ({error}).") from None
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    objects.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"{path}, line {number}: not a JSON object ({error})."
                    ) from None
                lines.append(number)
    for position, one in enumerate(objects):
        if not isinstance(one, dict):
            place = f"line {lines[position]}" if lines else f"row {position + 1}"
            raise InputError(f"{path}, {place}: expected an object with the columns of a row.")
    cells: dict[str, list[Any]] = {}
    lists: dict[str, None] = {}
    for position, one in enumerate(objects):
        for name, value in _flat(one):
            if isinstance(value, list):
                lists[name] = None
            else:
                cells.setdefault(name, [None] * len(objects))[position] = value
    columns = [_series(name, values) for name, values in cells.items() if name not in lists]
    frame = pl.DataFrame(columns).with_row_index(ROW)
    frame = frame.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
    notes = [f"{path.name}: the column {name} holds lists and is left out." for name in lists]
    return frame, (lines.__getitem__ if lines else None), notes


def _flat(one: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in one.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}/")
        else:
            yield f"{before}{name}", value


def _series(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and all(v is None or v in _INTEGERS for v in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds and kinds <= {int, float}:
        floats = [None if v is None else float(v) for v in values]
        return pl.Series(name, floats, dtype=pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    texts = [None if v is None else str(v).strip() or None for v in values]
    return pl.Series(name, texts, dtype=pl.String)
