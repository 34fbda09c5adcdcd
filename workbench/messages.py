"""Words for people, in messages and tables: values, durations, suggestions, name=value; JSON."""

import difflib
import json
import math
from collections.abc import Iterable
from decimal import Decimal
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
    folded = str(word).casefold()
    close = difflib.get_close_matches(folded, list(by_folded), n=1, cutoff=0.6)
    if not close and len(folded) > 2:  # the beginning of a long name
        close = sorted((name for name in by_folded if name.startswith(folded)), key=len)
    return f", did you mean '{by_folded[close[0]]}'?" if close else ""


def choose(where: str, given: str, known: Iterable[str]) -> str:
    """A word of a closed set, as it was given.

    Args:
        where: the option, to name in the message.

    Raises:
        InputError: it is none of the set; the message has the set, and the word that is near.
    """
    names = list(known)
    if given in names:
        return given
    raise InputError(
        f"{where} {given}{suggestion(given, names) or '.'} Known: {', '.join(map(str, names))}."
    )


def whole_number(text: str) -> int | None:
    """The whole number that a text writes, such as `2e9`, `1.5e3` or `1_000`; None of all else,
    `1.5` and what 64 bits do not hold among it."""
    try:
        value = Decimal(text.strip())
        whole = value.is_finite() and abs(value) < 2**63 and value == value.to_integral_value()
    except ArithmeticError:  # no number, or one of a thousand million digits
        return None
    return int(value) if whole else None


def power_label(number: float) -> str:
    """A number for people, with three digits, large ones as 1.02e15."""
    return f"{number:.3g}".replace("e+", "e")


def size_label(count: float) -> str:
    """A count for people, with three digits: 999, 32k, 1.23M, 8B, and 1.02e15 from there on.
    Nothing is identified by it."""
    if abs(count) >= 1e15:
        return power_label(count)
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(float(f"{count:.3g}")) >= unit:
            return f"{count / unit:.3g}{letter}"
    return f"{count:.3g}"


def place_label(place: float, axis: str) -> str:
    """A place along an axis for people, with three digits: 259k tokens, 20.4 epochs, 4.05e12."""
    return size_label(place) if axis in ("tokens", "unique_tokens") else power_label(place)


def pretty(value: Any) -> str:
    """A cell for people: nothing for a missing value, six digits for a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        if math.isfinite(value) and value == round(value) and 10_000 <= abs(value) < 1e12:
            return f"{value:,.0f}"
        return f"{value:,.2f}" if 10_000 <= abs(value) < 1e9 else f"{value:.5g}"
    return str(plain_value(value))


def plain_value(value: Any) -> Any:
    """A cell for a file: JSON for lists and dictionaries, an empty text for None."""
    if isinstance(value, (dict, list)):
        return json_text(value)
    return "" if value is None else value


def json_text(document: Any, *, indent: int | None = None) -> str:
    """A document as JSON that every parser reads.

    Numbers that are not finite are null, half a surrogate pair is "?", and what JSON has no type
    for is text.
    """
    try:
        text = json.dumps(document, indent=indent, allow_nan=False, default=str)
        if "\\ud" not in text:
            return text
    except ValueError:  # NaN or infinity
        pass
    return json.dumps(_valid(document), indent=indent, allow_nan=False, default=str)


def _valid(value: Any) -> Any:
    if isinstance(value, dict):
        return {_valid(key): _valid(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


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
