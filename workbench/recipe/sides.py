"""Sides of a comparison: the runs that an objective's name, or keys and their values, stand for."""

import difflib
import json
import math
from collections.abc import Iterable
from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.plain_values import PLAIN
from workbench.recipe.sweep import dotted, sweepable_keys

Side = str | dict[str, Any]
"""An objective's name, or dotted keys and their values. A list stands for any of its values."""
Keys = dict[str, Any]
"""A run's configuration with dotted keys."""

_EPOCHS, _TOTAL, _UNIQUE = "training.epochs", "training.total_tokens", "data.unique_tokens"
_SHOWN = 8


def criteria(side: Side) -> dict[str, Any]:
    """A side's dotted keys and values, nested tables flattened."""
    return {"training.objective": side} if isinstance(side, str) else dotted(side)


def selects(side: Side, keys: Keys) -> bool:
    """Whether a run is of a side: it has each of the side's values, or one of a list of them.

    Where the run's own value is a list, as `training.betas`, a list is one value, and a list of
    lists is several. A value that resolves to none (`PLAIN`) is that of runs without the key.
    """
    return all(
        any(_same(key, _value(keys, key), one) for one in (value, *_alternatives(value)))
        for key, value in criteria(side).items()
    )


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of a key are one: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-12)
    return bool(one == other)


def require_key(key: str, where: str, runs: list[Keys]) -> None:
    """Check that a key is a recipe's, or some run's.

    Args:
        where: what names the key, for the message.

    Raises:
        InputError: it is not; the message has the nearest one, and the values that runs have.
    """
    known = {name for keys in runs for name in keys} | set(sweepable_keys())
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1)
    there = f" Values of {near[0]} here: {_values_text(near[0], runs)}." if near else ""
    raise InputError(f"{where}: unknown key {key}{suggestion(key, known) or '.'}{there}")


def require_runs(side: Side, where: str, runs: list[Keys], *, no_run: str = "no run") -> None:
    """Check that a side stands for some of the runs, and each of its alternatives for some too.

    Args:
        where: what names the side, for the message.
        runs: the configurations of the runs there are.
        no_run: "no run", or more of whose runs they are.

    Raises:
        InputError: an unknown key, a value that none of them has, or values that none has together.
            The message lists the values that they have.
    """
    for key, value in criteria(side).items():
        require_key(key, where, runs)
        own = [_value(keys, key) for keys in runs]
        if any(_same(key, one, value) for one in own):
            continue
        for wanted in _alternatives(value) or [value]:
            if not any(_same(key, one, wanted) for one in own):
                raise InputError(
                    f"{where}: {no_run} has {key} = {_text(wanted)}. "
                    f"Values here: {_values_text(key, runs)}."
                )
    if not any(selects(side, keys) for keys in runs):
        together = ", ".join(f"{key} = {_text(value)}" for key, value in criteria(side).items())
        raise InputError(f"{where}: {no_run} has all of these together: {together or 'nothing'}.")


def _value(keys: Keys, key: str) -> Any:
    value = keys.get(key)
    if key == _EPOCHS and value is None and keys.get(_TOTAL) and keys.get(_UNIQUE):
        return keys[_TOTAL] / keys[_UNIQUE]  # a run's epochs are resolved to tokens
    return value


def _same(key: str, own: Any, wanted: Any) -> bool:
    return same_value(_resolved(key, own), _resolved(key, wanted))


def _resolved(key: str, value: Any) -> Any:
    return None if key in PLAIN and same_value(value, PLAIN[key]) else value


def _alternatives(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _values_text(key: str, runs: list[Keys]) -> str:
    """The runs' values of a key, as a recipe would have them."""
    values = {_text(PLAIN.get(key) if v is None else v) for v in (_value(k, key) for k in runs)}
    ordered = sorted(values, key=lambda text: (len(text), text))
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more


def _text(value: Any) -> str:
    return "none" if value is None else json.dumps(value, default=str)
