"""Validation errors in the words of a recipe."""

import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from workbench.messages import suggestion
from workbench.recipe.types import PATTERN_WORDS

_NAME = "letters, digits, '.', '_' and '-', without a leading dot"


def table_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a key holds: itself, or one that may be absent or stand in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (table_in(part) for part in get_args(annotation))
    return next((table for table in found if table is not None), None)


def fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that a location points into."""
    for part in location:
        if isinstance(part, int):
            continue  # a place in a list of tables
        field = model.model_fields.get(part)
        inner = table_in(field.annotation) if field else None
        if inner is None:
            break
        model = inner
    return list(model.model_fields)


def explain(error: ValidationError, model: type[BaseModel], where: str, *, prefix: str = "") -> str:
    """One line a problem: file, dotted key, what was read, what is allowed."""
    lines = []
    for problem in error.errors(include_url=False):
        location = tuple(part for part in problem["loc"] if not str(part).startswith("function-"))
        key = ".".join(str(part) for part in ((prefix, *location) if prefix else location))
        lines.append(f"{where}: {_explain_one(problem, key, model, location)}")
    return "\n".join(dict.fromkeys(lines))


def _explain_one(
    problem: Any, key: str, model: type[BaseModel], location: tuple[int | str, ...]
) -> str:
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        known = fields_at(model, location[:-1])
        near = suggestion(str(location[-1]), known)
        return f"unknown key {key}{near or '.'} Keys here are {', '.join(known)}."
    if kind == "missing":
        return f"{key} is missing."
    read = json.dumps(value, default=str)
    if kind == "literal_error":
        # As TOML spells them.
        expected = context["expected"].replace("True", "true").replace("False", "false")
        near = suggestion(value, expected.replace("'", "").replace(" or ", ", ").split(", "))
        return f"{key} = {read}{near or ':'} expected {expected}."
    if kind == "string_pattern_mismatch":
        return f"{key} = {read}: expected {PATTERN_WORDS.get(context['pattern'], _NAME)}."
    if kind.startswith("model_") or kind == "dict_type":
        return f"{key} = {read}: expected a table."
    message = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{key} = {read}: expected {message}."
