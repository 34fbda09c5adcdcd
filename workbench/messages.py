"""Words for people, in messages and tables: values, durations, suggestions, name=value."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from workbench.errors import InputError
from workbench.toml_text import split_outside

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet computes, or runs."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """ ", did you mean 'x'?" where a known name is close, else nothing."""
    if len(str(word)) > 100:
        return ""
    by_folded = {str(name).casefold(): name for name in known}
    close = difflib.get_close_matches(str(word).casefold(), list(by_folded), n=1, cutoff=0.6)
    return f", did you mean '{by_folded[close[0]]}'?" if close else ""


def pretty(value: Any) -> str:
    """A cell for people: nothing for a missing value, six digits for a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        if value == round(value) and 10_000 <= abs(value) < 1e12:
            return f"{value:,.0f}"
        return f"{value:,.2f}" if 10_000 <= abs(value) < 1e9 else f"{value:.5g}"
    return str(plain_value(value))


def plain_value(value: Any) -> Any:
    """A cell for a file: JSON for lists and dictionaries, an empty text for None."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=str)
    return "" if value is None else value


def csv_cell(value: Any) -> Any:
    """A cell of a CSV file: text that a spreadsheet would take for a formula stands after a '.

    Numbers stay as they are, also those that are text, such as "-0.5".
    """
    plain = plain_value(value)
    if isinstance(plain, str) and plain.startswith(FORMULA) and not _is_number(plain):
        return f"'{plain}"
    return plain


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """`["a=1,b=[2,3]", "c=3"]` as a dictionary.

    Raises:
        InputError: a piece without a name or a value.
    """
    values: dict[str, str] = {}
    pieces = (part for text in given or [] for part in split_outside(text, ",", quotes=False))
    for piece in pieces:
        name, equals, value = (part.strip() for part in piece.partition("="))
        if not (name and equals and value):
            raise InputError(f"{option} {piece}: expected name=value.")
        if name in values:
            raise InputError(f"{option} {piece}: {name} is given twice.")
        values[name] = value
    return values
