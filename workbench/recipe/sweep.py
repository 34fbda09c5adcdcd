"""Sweeps: a Cartesian product, zipped groups, exclusions."""

import copy
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.explain import table_in
from workbench.recipe.models import RunTables

SEED = "seed"
"""Sets `SEEDS` together: a replicate with text, weights, order and noise of its own."""
SEEDS = ("data.seed", "training.seed")
MOST_RUNS = 100_000


@dataclass(frozen=True)
class Combination:
    """One run's document, and the choices of the sweep that made it."""

    document: dict[str, Any]
    choices: dict[str, Any]


def sweepable_keys(model: type[BaseModel] = RunTables, prefix: str = "") -> list[str]:
    """Every dotted key that a sweep can set."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += sweepable_keys(inner, f"{prefix}{name}.")
            continue
        keys.append(prefix + name)
        table = table_in(inner)
        if table is not None and table in get_args(
            inner
        ):  # a table that may be absent; one in a list is not reached
            keys += sweepable_keys(table, f"{prefix}{name}.")
    return keys


def set_dotted(document: dict[str, Any], key: str, value: Any) -> None:
    """Set `a.b` in nested tables."""
    *tables, name = key.split(".")
    for table in tables:
        inner = document.setdefault(table, {})
        if not isinstance(inner, dict):
            raise InputError(f"{key}: {table} is not a table.")
        document = inner
    document[name] = value


def set_key(document: dict[str, Any], key: str, value: Any) -> None:
    """Set `a.b`, or with `seed` both seeds."""
    for one in SEEDS if key == SEED else (key,):
        set_dotted(document, one, value)


def dotted(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, its keys as `a.b`."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            flat.update(dotted(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def unsweep(document: dict[str, Any], key: str) -> None:
    """Take a key out of the sweep: a value set on the command line holds for every run."""

    if key in SEEDS and SEED in _swept(document):
        raise InputError(
            f"--set {key}: the recipe sweeps {SEED}, which sets {' and '.join(SEEDS)} together. "
            f"Give --set {SEED}=NUMBER for a single value of both."
        )

    def drop(table: Any) -> None:
        if not isinstance(table, dict):
            return
        table.pop(key, None)
        *tables, name = key.split(".")
        for part in tables:
            table = table.get(part)
            if not isinstance(table, dict):
                return
        table.pop(name, None)

    sweep = document.get("sweep", {})
    drop(sweep)
    if isinstance(sweep, dict) and isinstance(sweep.get("zip"), list):
        for group in sweep["zip"]:
            drop(group)
        sweep["zip"] = [group for group in sweep["zip"] if group]
    drop_exclusions(document, key, [])


def _swept(document: dict[str, Any]) -> set[str]:
    """Keys of the sweep's first level, and of its zipped groups."""
    sweep = document.get("sweep", {})
    groups = [sweep, *(sweep.get("zip", []) if isinstance(sweep, dict) else [])]
    return {key for group in groups if isinstance(group, dict) for key in group}


def expand(sweep: Any, base: dict[str, Any], origin: str) -> Iterator[Combination]:
    """All combinations, the last key running fastest.

    Args:
        sweep: the `[sweep]` table: dotted keys with lists, `zip` and `exclude`.
        base: the recipe's other tables, which each combination overrides.
    """
    if not isinstance(sweep, dict):
        raise InputError(f"{origin}: sweep: expected a table of keys and lists.")
    axes = [[{key: value} for value in values] for key, values in _flat(sweep, origin).items()]
    axes += [_zipped(group, origin) for group in _tables(sweep, "zip", origin)]
    swept = _values(axes)
    excluded = [_exclusion(rule, swept, origin) for rule in _tables(sweep, "exclude", origin)]
    if SEED in swept and (single := [key for key in swept if key in SEEDS]):
        raise InputError(
            f"{origin}: sweep: {SEED} sets {' and '.join(SEEDS)} together, and {single[0]} is "
            "swept beside it. Leave one of them out."
        )
    count = math.prod(map(len, axes))
    if count > MOST_RUNS:
        lengths = ", ".join(f"{next(iter(axis[0]))} has {len(axis):,}" for axis in axes)
        raise InputError(
            f"{origin}: sweep: {count:,} combinations, and a study has at most {MOST_RUNS:,}. "
            f"Shorten a list: {lengths}."
        )
    found = False
    for parts in itertools.product(*axes):
        choices = {key: value for part in parts for key, value in part.items()}
        if any(_matches(rule, choices) for rule in excluded):
            continue
        found = True
        document = copy.deepcopy(base)
        for key, value in choices.items():
            set_key(document, key, value)
        yield Combination(document, choices)
    if not found:
        raise InputError(f"{origin}: sweep.exclude leaves no run.")


def _flat(table: dict[str, Any], origin: str, *, lists: bool = True) -> dict[str, Any]:
    """Quoted and nested keys alike, as dotted keys, each of them known."""
    known = sweepable_keys()
    flat: dict[str, Any] = {}

    def walk(inner: dict[str, Any], prefix: str) -> None:
        for name, value in inner.items():
            key = prefix + name
            if not prefix and name in ("zip", "exclude"):
                continue
            if isinstance(value, dict):
                walk(value, key + ".")
            elif key not in known and key != SEED:
                near = suggestion(key, known)
                raise InputError(f"{origin}: sweep: unknown key {key}{near or '.'}")
            else:
                flat[key] = value

    walk(table, "")
    for key, value in flat.items():
        # A key that is a list itself (tasks, betas) is swept over a list of lists.
        if lists and (not isinstance(value, list) or not value):
            raise InputError(f"{origin}: sweep.{key} = {value!r}: expected a list of values.")
    return flat


def _tables(sweep: dict[str, Any], name: str, origin: str) -> list[dict[str, Any]]:
    tables = sweep.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{origin}: sweep.{name}: expected tables, written [[sweep.{name}]].")
    return tables


def _zipped(group: dict[str, Any], origin: str) -> list[dict[str, Any]]:
    columns = _flat(group, origin)
    lengths = {key: len(values) for key, values in columns.items()}
    if not columns:
        raise InputError(f"{origin}: [[sweep.zip]] is empty.")
    if len(set(lengths.values())) > 1:
        each_length = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise InputError(f"{origin}: [[sweep.zip]] pairs lists of one length: {each_length}.")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(axes: list[list[dict[str, Any]]]) -> dict[str, list[Any]]:
    """What each key of the axes takes in turn."""
    return {key: [row[key] for row in axis] for axis in axes for key in axis[0]}


def _exclusion(
    rule: dict[str, Any], swept: dict[str, list[Any]], origin: str
) -> dict[str, list[Any]]:
    """What combinations a rule leaves out: those with one of these values of each key.

    Raises:
        InputError: the rule is empty, or names a key or a value that is not swept: it would leave
            out nothing, and nobody would notice.
    """
    flat = _flat(rule, origin, lists=False)
    if not flat:
        raise InputError(f"{origin}: [[sweep.exclude]] is empty. Give a swept key and a value.")
    left_out = {}
    for key, value in flat.items():
        if key not in swept:
            raise InputError(
                f"{origin}: sweep.exclude: {key} is not swept{suggestion(key, swept) or '.'} "
                f"Swept are {', '.join(swept) or 'no keys'}."
            )
        left_out[key] = _alternatives(value, swept[key])
        for one in left_out[key]:
            if not _among(one, swept[key]):
                raise InputError(
                    f"{origin}: sweep.exclude: {key} = {json.dumps(one, default=str)} is not "
                    f"swept. Its values are {json.dumps(swept[key], default=str)}."
                )
    return left_out


def _alternatives(value: Any, swept: list[Any]) -> list[Any]:
    """The values that a rule names: those of a list, unless the list itself is one value."""
    if isinstance(value, list) and not _among(value, swept):
        return value
    return [value]


def _among(value: Any, values: list[Any]) -> bool:
    """Whether a value is one of these; true is not 1, as it is to Python."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values)


def _matches(rule: dict[str, list[Any]], choices: dict[str, Any]) -> bool:
    return all(_among(choices[key], values) for key, values in rule.items())


def drop_exclusions(document: dict[str, Any], key: str, values: list[Any]) -> None:
    """Take out of a recipe's exclusions what no run has any more, since the command line says
    which values of a key there are.

    Args:
        values: what is swept now; nothing where the key is not.
    """
    sweep = document.get("sweep")
    if not isinstance(sweep, dict) or not isinstance(sweep.get("exclude"), list):
        return
    left = []
    for rule in sweep["exclude"]:
        flat = dotted(rule) if isinstance(rule, dict) else {}
        if key not in flat:
            left.append(rule)
        elif some := [one for one in _alternatives(flat[key], values) if _among(one, values)]:
            left.append(flat | {key: some})
    sweep["exclude"] = left
