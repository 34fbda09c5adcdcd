"""Conditions on rows, whatever the rows are: `COLUMN OP VALUE`, joined by `and`.

    OP     =  !=  <  <=  >  >=  in
    VALUE  a TOML value, a bare word, none, or of `in` several in parentheses

They are parsed here and checked row by row in Python: no text of a user's reaches a database.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.toml_text import split_outside, toml_value

_EXAMPLE = (
    "expected COLUMN OP VALUE, such as n_params >= 1e6 or model.dropout in (0, 0.1), joined by "
    "and; OP is =, !=, <, <=, >, >= or in"
)
# A comma joins like `and`, as it does in KEY=VALUE,KEY=VALUE.
_JOINT = r"\sand(?=\s|$)|,"
_OP = re.compile(r"<=|>=|!=|=|<|>|\sin\s*(?=\()", re.IGNORECASE)
_NOT_BARE = r"[=<>!()]|^$"  # in a bare word they would be a condition gone wrong
_NONE = ("none", "null")
_SHOWN = 12  # values or columns that a message lists


@dataclass(frozen=True)
class Condition:
    """What a column's value must be. The value of `in` is a tuple of values."""

    column: str
    op: str
    value: Any

    def __str__(self) -> str:
        if self.op == "in":
            return f"{self.column} in ({', '.join(map(_text, self.value))})"
        return f"{self.column} {self.op} {_text(self.value)}"

    def holds(self, found: Any, absent: Any = None) -> bool:
        """Whether a value meets the condition.

        Args:
            absent: the value that none stands for, such as 0 of a dropout that is not used.
        """
        found = absent if found is None else found
        if self.op in ("=", "!=", "in"):
            values = self.value if self.op == "in" else (self.value,)
            values = [absent if value is None else value for value in values]
            return any(_equal(found, value) for value in values) != (self.op == "!=")
        ordered = all(map(_is_number, (found, self.value))) or (
            isinstance(found, str) and isinstance(self.value, str)
        )
        if not ordered:
            return False
        less, more = bool(found < self.value), bool(found > self.value)
        return {"<": less, "<=": not more, ">": more, ">=": not less}[self.op]


Conditions = tuple[Condition, ...]


def parse_conditions(texts: Iterable[str] | None, option: str) -> Conditions:
    """The conditions of one text or several; all of them must hold.

    Raises:
        InputError: a piece is no condition; the message names the option and the piece.
    """
    pieces = [piece for text in texts or () for piece in split_outside(text, _JOINT)]
    return tuple(_condition(piece, option) for piece in pieces)


def one_of(column: str, values: Iterable[Any]) -> Condition:
    """The condition that a column has one of the values."""
    several = tuple(values)
    return (
        Condition(column, "=", *several) if len(several) == 1 else Condition(column, "in", several)
    )


def matching(
    rows: Sequence[Mapping[str, Any]],
    conditions: Conditions,
    source: str,
    *,
    columns: Iterable[str] = (),
    absent: Mapping[str, Any] | None = None,
) -> list[bool]:
    """Whether each row meets all conditions.

    Args:
        source: where the rows are from, for messages.
        columns: columns that may be named though no row has them.
        absent: by column, the value that none stands for.

    Raises:
        InputError: there is no such column, or no row meets the conditions. The message names near
            columns, or the values that exist.
    """
    known = {name for row in rows for name in row} | set(columns)
    for condition in conditions:
        if condition.column not in known:
            raise InputError(
                f"{source}: no column {condition.column}"
                f"{suggestion(condition.column, known) or '.'} {_differing(rows)}"
            )
    defaults = absent or {}
    met = [[c.holds(row.get(c.column), defaults.get(c.column)) for row in rows] for c in conditions]
    every = [all(of_row) for of_row in zip(*met, strict=True)] if met else [True] * len(rows)
    if any(every):
        return every
    wanted = " and ".join(map(str, conditions))
    raise InputError(f"{source}: no row with {wanted}. {_existing(rows, conditions, met)}")


def _condition(piece: str, option: str) -> Condition:
    match = _OP.search(piece, 1)  # a column has a letter at least
    if match is None or not piece[match.end() :].strip():
        raise InputError(f"{option} {piece}: {_EXAMPLE}.")
    column, op = piece[: match.start()].strip(), match[0].strip().lower()
    text = piece[match.end() :].strip()
    if column[0] in "'\"" and column[-1] == column[0]:
        column = column[1:-1]
    if op == "in" and text.endswith(")"):
        texts = split_outside(text[1:-1], ",")
        return Condition(column, op, tuple(_value(part, piece, option) for part in texts))
    return Condition(column, op, _value(text, piece, option))


def _value(text: str, piece: str, option: str) -> Any:
    if text.lower() in _NONE:
        return None
    value = toml_value(text, f"{option} {piece}")
    if isinstance(value, str) and text[:1] not in "'\"" and re.search(_NOT_BARE, text):
        raise InputError(f"{option} {piece}: {_EXAMPLE}. Values with such signs stand in quotes.")
    return value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A value as a condition has it: what is read from it is the same value."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.15g}"
    if not isinstance(value, str):
        return json.dumps(list(value) if isinstance(value, tuple) else value, default=str)
    plain = _reads_as(value) and not re.search(_NOT_BARE + rf"|{_JOINT}", value)
    return value if plain and value.lower() not in _NONE else json.dumps(value)


def _reads_as(text: str) -> bool:
    """Whether a text, written bare, is read as itself."""
    try:
        return bool(toml_value(text, "") == text)
    except InputError:
        return False


def _distinct(rows: Iterable[Mapping[str, Any]], column: str) -> list[Any]:
    """The values that exist, numbers in order and before texts, none last."""
    values = {_text(row.get(column)): row.get(column) for row in rows}
    return sorted(
        values.values(),
        key=lambda v: (v is None, not _is_number(v), v if _is_number(v) else 0, str(v)),
    )


def _existing(
    rows: Sequence[Mapping[str, Any]], conditions: Conditions, met: list[list[bool]]
) -> str:
    """The values of each column among the rows that meet the other conditions."""
    sentences = []
    for place, condition in enumerate(conditions):
        others = [
            row
            for number, row in enumerate(rows)
            if all(holds[number] for i, holds in enumerate(met) if i != place)
        ]
        values = _distinct(others, condition.column)
        if not values:
            continue
        shown = ", ".join(map(_text, values[:_SHOWN]))
        if len(values) > _SHOWN:
            shown += f" and {len(values) - _SHOWN} more, up to {_text(values[-1])}"
        rest = " where the other conditions hold" if len(conditions) > 1 else ""
        sentences.append(f"{condition.column} is {shown}{rest}.")
    return " ".join(sentences) or "No row meets all but one of them either."


def _differing(rows: Sequence[Mapping[str, Any]]) -> str:
    """The columns by which rows can be chosen: those whose values differ."""
    names = [n for n in sorted({n for row in rows for n in row}) if len(_distinct(rows, n)) > 1]
    shown = ", ".join(names[: 3 * _SHOWN]) + (" and more" if len(names) > 3 * _SHOWN else "")
    return f"Columns whose values differ: {shown or 'none'}."
