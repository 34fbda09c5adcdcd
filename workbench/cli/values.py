"""How what is typed becomes a value: whole numbers and closed sets, alike in every command."""

import inspect
from collections.abc import Callable
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from typer.models import ParameterInfo

from workbench.errors import InputError
from workbench.messages import choose, whole_number


def with_parsers(command: Callable[..., Any]) -> None:
    """Give a command's parameters the parsers of their types: whole numbers may be written `2e9`,
    and a word that is none of a closed set is answered with the one that is near."""
    for name, parameter in inspect.signature(command).parameters.items():
        if get_origin(parameter.annotation) is not Annotated:
            continue
        kind, info, *_ = get_args(parameter.annotation)
        if not isinstance(info, ParameterInfo) or info.parser is not None:
            continue
        # Inside Annotated, typer has the first spelling as the default.
        spellings = [info.default, *(info.param_decls or ())]
        options = [one for one in spellings if isinstance(one, str) and one.startswith("--")]
        where = options[0].partition("/")[0] if options else info.metavar or name.upper()
        info.parser = _parser(where, _of_value(kind), info)


def _of_value(kind: Any) -> Any:
    """The type of one value: of `list[int] | None` it is int."""
    while get_origin(kind) in (Union, UnionType, list):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind


def _parser(where: str, kind: Any, info: ParameterInfo) -> Callable[[Any], Any] | None:
    if kind is int:
        return lambda given: _whole(where, given, info.min, info.max)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda given: kind(_chosen(where, given, [str(one.value) for one in kind]))
    if get_origin(kind) is Literal:
        return lambda given: _chosen(where, given, get_args(kind))
    return None


def _whole(where: str, given: Any, least: float | None, most: float | None) -> int:
    """A whole number within its limits. A default is one already."""
    value = given if isinstance(given, int) else whole_number(str(given))
    low, high = least is None or f"{least:g} or more", most is None or f"{most:,.0f} or less"
    if (
        value is None
        or (least is not None and value < least)
        or (most is not None and value > most)
    ):
        limits = " and ".join(limit for limit in (low, high) if limit is not True)
        raise InputError(
            f"{where} {given}: expected a whole number{limits and f', {limits}'}; "
            "2e9 and 1_000 are whole numbers too."
        )
    return value


def _chosen(where: str, given: Any, known: Any) -> str:
    return choose(where, str(getattr(given, "value", given)), known)
