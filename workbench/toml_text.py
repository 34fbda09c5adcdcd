"""Values as people write them: TOML with bounds, and texts cut where no quote or bracket is open.

A recipe may come from anyone. What takes `tomllib` minutes, or what nothing after it could hold, is
refused before.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import InputError

MOST_BYTES = 1 << 20
"""Of a recipe; the largest that ship have 3 kB."""
_MOST_DEEP = 32
_INTEGER = 1 << 63  # TOML's integers have 64 bits
_LONG_KEY = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}"""
)
_LONG = f"{{}}: more than {MOST_BYTES >> 20} MiB. A recipe is a short text."
_DEEP = f"{{}}: tables or lists lie more than {_MOST_DEEP} deep in each other."
_WIDE = "{}: a number has more digits than any key can hold: integers are below 2^63."
_CLOSING = {"(": ")", "[": "]"}


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """The document of a TOML file, and its text. What is longer than any recipe is never read.

    Raises:
        InputError: it cannot be read, or as `parse_toml`.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 4).decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start > MOST_BYTES:  # the bound is inside a letter
            raise InputError(_LONG.format(path)) from None
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    return parse_toml(text, str(path)), text


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """The document of a TOML text.

    Raises:
        InputError: not TOML, too long, nested too deeply, or with integers of more than 64 bits.
    """
    try:
        return _parse(text, origin)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{origin}: not valid TOML: {error}.") from None


def toml_value(text: str, origin: str) -> Any:
    """A value as TOML has it; a bare word is a string.

    Raises:
        InputError: as `parse_toml`, but for what is not TOML.
    """
    try:
        return _parse(f"value = {text.strip()}", origin)["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _parse(text: str, origin: str) -> dict[str, Any]:
    if len(text) > MOST_BYTES:
        raise InputError(_LONG.format(origin))
    if _LONG_KEY.search(text):
        raise InputError(_DEEP.format(origin))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise InputError(_DEEP.format(origin)) from None
    except ValueError:  # Python converts at most 4,300 digits
        raise InputError(_WIDE.format(origin)) from None
    check_bounds(document, origin)
    return document


def toml_document(document: Mapping[str, Any]) -> str:
    """A document as the TOML text that `parse_toml` reads it from: what is None is left out.

    Raises:
        InputError: a value of a kind that TOML does not have.
    """
    plain = {key: value for key, value in document.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in document.items() if isinstance(value, Mapping)}
    text = "".join(_lines(plain))
    for name, table in tables.items():
        text += ("\n" if text else "") + f"[{_key(name)}]\n" + "".join(_lines(table))
    return text


def toml_literal(value: Any, origin: str) -> str:
    """A value as TOML writes it, on one line.

    Raises:
        InputError: TOML has no such kind of value.
    """
    if hasattr(value, "item") and not isinstance(value, str):  # one of NumPy's or of Polars'
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | os.PathLike):
        # JSON's escapes are TOML's, but for DEL.
        return json.dumps(os.fspath(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inner = {key: one for key, one in value.items() if one is not None}
        return (
            "{"
            + ", ".join(f"{_key(k)} = {toml_literal(v, origin)}" for k, v in inner.items())
            + "}"
        )
    if isinstance(value, Iterable):
        return "[" + ", ".join(toml_literal(one, origin) for one in value) + "]"
    raise InputError(f"{origin}: a recipe has no values of the kind {type(value).__name__}.")


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if value is not None:
            yield f"{_key(key)} = {toml_literal(value, str(key))}\n"


def _key(name: object) -> str:
    return str(name) if re.fullmatch(r"[A-Za-z0-9_-]+", str(name)) else json.dumps(str(name))


def check_bounds(document: Any, origin: str) -> None:
    """Check that a document is one that the rest of the workbench can hold.

    Raises:
        InputError: nested too deeply, or with integers of more than 64 bits.
    """
    level = [document]
    for _ in range(_MOST_DEEP + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, int) and not -_INTEGER <= value < _INTEGER:
                raise InputError(_WIDE.format(origin))
        level = inner
    if level:
        raise InputError(_DEEP.format(origin))


def split_outside(text: str, joint: str, *, quotes: bool = True) -> list[str]:
    """The pieces between joints that are outside quotes and brackets; what is never closed is text.

    Args:
        joint: a pattern. It is tried at each place: one that looks far makes this slow.
        quotes: whether " and ' quote. Brackets are ( and [.
    """
    whole, pattern = _wholes(text, quotes), re.compile(joint, re.IGNORECASE)
    parts, begin, place = [], 0, 0
    while place < len(text):
        if place in whole:
            place = whole[place]
            continue
        match = pattern.match(text, place)
        if match is None:
            place += 1
            continue
        parts.append(text[begin:place])
        begin = place = match.end()
    return [part.strip() for part in [*parts, text[begin:]]]


def _wholes(text: str, quotes: bool) -> dict[int, int]:
    """Where quotes and brackets begin, and behind which character each is closed."""
    whole: dict[int, int] = {}
    opened: dict[str, list[int]] = {")": [], "]": []}
    place, unclosed = 0, set()
    while place < len(text):
        sign = text[place]
        if quotes and sign in "\"'" and sign not in unclosed:
            end = _end_of_quote(text, place)
            if end is None:
                unclosed.add(sign)
            else:
                whole[place] = end
                place = end - 1
        elif sign in _CLOSING:
            opened[_CLOSING[sign]].append(place)
        elif opened.get(sign):
            whole[opened[sign].pop()] = place + 1
        place += 1
    return whole


def _end_of_quote(text: str, begin: int) -> int | None:
    sign, place = text[begin], begin + 1
    while place < len(text):
        if text[place] == sign:
            return place + 1
        place += 2 if sign == '"' and text[place] == "\\" else 1
    return None
