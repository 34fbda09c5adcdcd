"""What Python code gives to public calls: checked by their annotations, refused in their words.

`public` is the one place for it. A command checks its own options, and its messages name those
(`--at`); the same functions, called from Python, name the parameter (`at`).
"""

import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import is_dataclass
from functools import cache, wraps
from numbers import Real
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    SupportsInt,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from workbench.errors import InputError
from workbench.messages import suggestion

Called = TypeVar("Called")
_IN_A_COMMAND: ContextVar[bool] = ContextVar("_IN_A_COMMAND", default=False)
_FLAG = re.compile(r"`workbench [^`]*`|(?<![\w-])--([a-z][a-z-]*)((?: [\w.@]+=[^\s,;.]+)?)")
_OTHER_NAMES = {"column": "columns", "unit": "units", "label": "labels", "figure": "path"}
"""Options of commands whose parameter is called otherwise."""
_KINDS = {
    bool: "True or False", int: "a whole number", float: "a number", str: "a text", Path: "a Path",
    NoneType: "None", Any: "anything",
}  # fmt: skip


def public(what: Called) -> Called:
    """A function, or a class with its public methods, that refuses wrong types by InputError.

    A whole number may be given as a float, such as 2e5; a number never as a text.
    """
    if not isinstance(what, type):
        return _checked(what)  # type: ignore[arg-type, return-value]
    for name, part in list(vars(what).items()):
        made_here = name == "__init__" and not is_dataclass(what)
        if inspect.isfunction(part) and (made_here or not name.startswith("_")):
            setattr(what, name, _checked(part))
    return what


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command, which has checked its options: public calls inside of it leave messages alone."""

    @wraps(function)
    def run(*given: Any, **named: Any) -> Any:
        before = _IN_A_COMMAND.set(True)
        try:
            return function(*given, **named)
        finally:
            _IN_A_COMMAND.reset(before)

    return run


def check_arguments(
    function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any]
) -> inspect.BoundArguments:
    """The arguments as the function takes them.

    Raises:
        InputError: one has another type than its annotation, or there is no such parameter.
    """
    kinds = _kinds(function)
    for name in named:
        if name not in kinds and "**" not in kinds:
            known = option_names(function)
            raise InputError(
                f"{function.__name__} has no option {name}{suggestion(name, known) or '.'} "
                f"Options: {', '.join(known)}."
            )
    bound = inspect.signature(function).bind(*given, **named)
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            value.update({key: _taken(key, one, kinds.get(key, Any)) for key, one in value.items()})
        elif parameter.kind is parameter.VAR_POSITIONAL:
            bound.arguments[name] = tuple(_taken(name, one, kinds[name]) for one in value)
        else:
            bound.arguments[name] = _taken(name, value, kinds[name])
    return bound


def option_names(function: Callable[..., Any]) -> list[str]:
    """What a call takes, by name."""
    return [name for name in _kinds(function) if name not in ("self", "cls", "**")]


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        if _IN_A_COMMAND.get():
            return function(*given, **named)
        bound = check_arguments(function, given, named)
        try:
            return function(*bound.args, **bound.kwargs)
        except InputError as error:
            error.args = (_in_python(str(error), {*_kinds(function), *named}),)
            raise

    return call


def _in_python(message: str, parameters: Iterable[str]) -> str:
    """A message with the names of parameters in place of a command's options."""
    known = set(parameters)

    def named(match: re.Match[str]) -> str:
        if match[1] is None:  # a command line to type is left as it is
            return match[0]
        name = match[1].replace("-", "_")
        name = name if name in known else _OTHER_NAMES.get(name, name)
        if name not in known:
            return match[0]
        key, equals, value = match[2].strip().partition("=")
        return f"{name} {key!r}: {value}" if equals else name

    return _FLAG.sub(named, message)


class _Names(dict[str, Any]):
    """A module's names, and for what it imports for type checkers alone those of the package."""

    def __missing__(self, name: str) -> Any:
        found = getattr(sys.modules["workbench"], name, None)
        if found is None:
            raise KeyError(name)
        return found


@cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter -> its type, the options of a TypedDict one by one, "**" where any are taken."""
    kinds: dict[str, Any] = {}
    plain = inspect.unwrap(function)
    for name, parameter in inspect.signature(plain).parameters.items():
        kind: Any = parameter.annotation
        if isinstance(kind, str):
            kind = eval(kind, {}, _Names(plain.__globals__))
        if kind is parameter.empty:
            kind = Any
        if parameter.kind is not parameter.VAR_KEYWORD:
            kinds[name] = kind
        elif get_origin(kind) is Unpack:
            kinds |= get_type_hints(get_args(kind)[0])
        else:
            kinds["**"] = kind
    return kinds


def _taken(name: str, value: Any, kind: Any) -> Any:
    """The value, a float as the whole number that it is where one is meant."""
    if not _fits(value, kind):
        near = suggestion(value, _closed(kind)) if isinstance(value, str) else ""
        raise InputError(f"{name}={_shown(value)}: expected {expected(kind)}{near or '.'}")
    whole = int in _parts(kind) and float not in _parts(kind)
    return int(value) if whole and isinstance(value, SupportsInt | float) else value


def _shown(value: Any) -> str:
    """A value as it was written; of a long one its beginning, of other objects their kind."""
    plain = isinstance(value, bool | int | float | str | list | tuple | dict | NoneType)
    text = repr(value) if plain else f"<{type(value).__name__}>"
    return text if len(text) < 80 else f"{text[:76]} ..."


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _closed(kind: Any) -> tuple[Any, ...]:
    """The words of a closed set."""
    return tuple(
        word for part in _parts(kind) if get_origin(part) is Literal for word in get_args(part)
    )


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if kind is None or kind is NoneType:
        return value is None
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in inner)
    if origin is Literal:
        return any(type(value) is type(word) and value == word for word in inner)
    if kind is int or kind is float:
        number = isinstance(value, Real) and not isinstance(value, bool)
        return number and (kind is float or (math.isfinite(value) and value == int(value)))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, inner[0]) and _fits(one, inner[1]) for key, one in value.items()
        )
    if origin is Sequence:
        return _is_list(value) and all(_fits(one, inner[0]) for one in value)
    if origin is Callable:
        return callable(value)
    return isinstance(value, origin or kind)


def _is_list(value: Any) -> bool:
    """Whether it is a list, a tuple, an array, a column of a frame: all but texts and tables."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__"):
        return False
    try:
        iter(value)
    except TypeError:  # an array of no dimensions
        return False
    return True


def expected(kind: Any) -> str:
    """What an annotation takes, in words."""
    closed = _closed(kind)
    words = [repr(word) for word in closed]
    for part in _parts(kind):
        if get_origin(part) is Literal:
            continue
        if get_origin(part) is Sequence:
            inside = expected(get_args(part)[0])
            words.append(f"a list of {inside.removeprefix('a ')}s")
        elif get_origin(part) is Mapping:
            key, one = map(expected, get_args(part))
            words.append(
                "a dictionary" if one == _KINDS[Any] else f"a dictionary, from {key} to {one}"
            )
        elif get_origin(part) is Callable:
            words.append("a function, such as print")
        else:
            name = getattr(part, "__name__", str(part))
            words.append(_KINDS.get(part, "an array" if name == "ndarray" else f"a {name}"))
    words = list(dict.fromkeys(words))
    if {"a number", "a whole number"} <= set(words):
        words.remove("a whole number")
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]
