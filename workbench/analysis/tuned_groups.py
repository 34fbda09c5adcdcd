"""The runs of a study in which keys are tuned: groups of equal other keys, and their grids."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.analysis.curves import Curve, Floats, run_values
from workbench.analysis.run_keys import CHANGE_NOTHING, SEEDS, identity
from workbench.recipe.plain_values import PLAIN

_BOOKKEEPING = (
    "training.warmup_steps", "training.micro_batch_size", "training.checkpoint_every",
    "training.log_every", "evaluation.points",
)  # fmt: skip
"""Keys in steps, which follow from a batch size: where they do, they separate no groups."""


@dataclass(frozen=True)
class Tuned:
    """The curves of one group at one value of the key."""

    value: Any
    along: dict[str, Any]
    """The values of the other tuned keys at which it is best."""
    curves: list[Curve]

    @property
    def seeds(self) -> set[Any]:
        return {curve.seed for curve in self.curves}


def key_value(curve: Curve, key: str) -> Any:
    value = run_values(curve).get(key)
    return PLAIN.get(key) if value is None else value


def tuned_groups(
    curves: list[Curve], key: str, others: list[str]
) -> list[tuple[dict[str, Any], list[Curve]]]:
    """Runs that differ in the tuned keys and seeds alone."""
    tuned = {key, *others}
    # A size is a name for a shape, epochs for a number of tokens: both stand beside them.
    free = {*SEEDS, *CHANGE_NOTHING, *tuned, "model.size", "training.epochs"}
    books = {name for name in _BOOKKEEPING if name not in tuned}
    wide = _grouped(curves, free | books)
    follow = all(
        len({identity({n: c.keys.get(n) for n in books}) for c in alike}) == 1
        for _, members in wide
        for alike in by_value(members, [key, *others]).values()
    )
    return wide if follow else _grouped(curves, free)


def _grouped(curves: list[Curve], without: set[str]) -> list[tuple[dict[str, Any], list[Curve]]]:
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for curve in curves:
        keys = {name: value for name, value in curve.keys.items() if name not in without}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    return list(groups.values())


def by_value(curves: list[Curve], keys: list[str]) -> dict[str, list[Curve]]:
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(identity({key: key_value(curve, key) for key in keys}), []).append(curve)
    return found


def in_order(tuned: list[Tuned]) -> list[Tuned]:
    def place(one: Tuned) -> tuple[int, float, str]:
        number = isinstance(one.value, int | float) and not isinstance(one.value, bool)
        return (0, float(one.value), "") if number else (1, 0.0, str(one.value))

    return sorted(tuned, key=place)


def common_seeds(tuned: list[Tuned]) -> set[Any]:
    """The seeds that values are compared by: as many as three values have, or as all have."""

    def worth(seeds: set[Any]) -> tuple[int, int, int]:
        having = sum(seeds <= one.seeds for one in tuned)
        return min(having, 3), len(seeds), having

    sets = [one.seeds & other.seeds for one in tuned for other in tuned]
    return max((one for one in sets if one), key=worth, default=set())


def log_places(values: list[Any]) -> Floats | None:
    """The values' logarithms; None where they are not numbers above zero."""
    numbers = [
        v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and v > 0
    ]
    return np.log(np.array(numbers, dtype=float)) if len(numbers) == len(values) else None
