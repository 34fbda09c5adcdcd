"""A study's configurations as the cells of a factorial design."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from workbench.analysis.curves import PROTOCOL, Curve, Seed, StudyCurves
from workbench.analysis.run_keys import (
    SEEDS,
    distinguishing_keys,
    following_keys,
    identity,
    keys_called,
    varying_keys,
)
from workbench.errors import InputError
from workbench.recipe.models import CompareConfig
from workbench.recipe.objectives import foreign_keys
from workbench.recipe.plain_values import PLAIN
from workbench.recipe.sides import Side, criteria, same_value, selects

OBJECTIVE = "training.objective"


@dataclass(frozen=True)
class Factor:
    """A key that differs among configurations, and the value that others are compared with."""

    key: str
    reference: Any
    levels: tuple[Any, ...]
    """Its other values, in order."""
    moves_with: tuple[str, ...] = ()
    """Keys whose values follow from it in all runs: what they change is in its effect."""

    def of(self, keys: dict[str, Any]) -> Any:
        """A configuration's value. One that does not have the key counts as the reference: AR has
        no draws of noise, which is what one draw is compared with."""
        if self.key in foreign_keys(keys.get(OBJECTIVE)):
            return self.reference
        value = keys.get(self.key)
        return PLAIN.get(self.key, self.reference) if value is None else value


@dataclass(frozen=True)
class Cell:
    """One configuration and its runs."""

    levels: tuple[Any, ...]
    """Its value of each factor."""
    keys: dict[str, Any]
    curves: dict[Seed, Curve]
    """By seed."""


@dataclass(frozen=True)
class Design:
    """The cells of a study, and the factors that tell them from each other."""

    factors: tuple[Factor, ...]
    cells: tuple[Cell, ...]

    def pairs(self, factor: Factor, level: Any) -> Iterator[tuple[Cell, Cell]]:
        """The cells with the reference and with the level that agree in every other factor."""
        for cell in self.cells:
            if same_value(factor.of(cell.keys), level):
                other = self.like(cell, {factor.key: factor.reference})
                if other is not None:
                    yield other, cell

    def squares(
        self, one: tuple[Factor, Any], other: tuple[Factor, Any]
    ) -> Iterator[tuple[Cell, Cell, Cell, Cell]]:
        """Cells with both references, the one level, the other level, and both levels, that agree
        in every other factor."""
        (first, level), (second, second_level) = one, other
        for cell in self.cells:
            if not (
                same_value(first.of(cell.keys), level)
                and same_value(second.of(cell.keys), second_level)
            ):
                continue
            corners = [
                self.like(cell, {first.key: a, second.key: b})
                for b, a in product((second.reference, second_level), (first.reference, level))
            ]
            if all(corner is not None for corner in corners):
                yield tuple(corners)  # type: ignore[misc]

    def like(self, cell: Cell, values: dict[str, Any]) -> Cell | None:
        """The cell that agrees with this one but for some factors' values; None without one."""
        return self._by_levels.get(self._with(cell, values))

    @property
    def origin(self) -> Cell | None:
        """The cell that has the reference of every factor."""
        return self._by_levels.get(identity(_plain({f.key: f.reference for f in self.factors})))

    def changed(self, cell: Cell) -> dict[str, Any]:
        """The factors in which a cell is not the origin, with its values."""
        own = zip(self.factors, cell.levels, strict=True)
        return {f.key: value for f, value in own if not same_value(value, f.reference)}

    def _with(self, cell: Cell, values: dict[str, Any]) -> str:
        own = {f.key: value for f, value in zip(self.factors, cell.levels, strict=True)}
        return identity(_plain(own | values))

    @cached_property
    def _by_levels(self) -> dict[str, Cell]:
        return {self._with(cell, {}): cell for cell in self.cells}


def design_of(loaded: StudyCurves, reference: dict[str, Any] | None = None) -> Design:
    """The factorial design of a study's finished runs, or of all runs where none has finished.

    A factor's reference is what was asked for, else the value that the study's baseline names, else
    what a run without the key has, else its lowest value.

    Raises:
        InputError: nothing differs, the reference names a key or a value that the runs do not
            have, or the runs were evaluated by several protocols.
    """
    curves = [curve for curve in loaded.curves if curve.finished] or loaded.curves
    if any(PROTOCOL in curve.keys for curve in curves):
        raise InputError(
            f"study {loaded.study}: its runs were evaluated by several protocols, whose numbers "
            "are not comparable. Choose one by --where, or run the recipe again."
        )
    configurations = [curve.keys for curve in curves]
    keys = distinguishing_keys(configurations)
    varying = varying_keys(configurations)
    if len({keys.get(OBJECTIVE) for keys in configurations}) > 1:
        keys = [OBJECTIVE, *keys]
    keys = [key for key in keys if key not in SEEDS]
    if not keys:
        raise InputError(f"study {loaded.study}: nothing differs between its runs but seeds.")
    baseline = CompareConfig.model_validate(loaded.compare).baseline
    wanted = _checked(reference or {}, keys, loaded.study)
    factors = tuple(
        replace(
            _factor(key, configurations, wanted, criteria(baseline), loaded.study),
            moves_with=_moves_with(key, varying, keys, configurations),
        )
        for key in keys
    )
    cells: dict[str, Cell] = {}
    for curve in curves:
        levels = tuple(factor.of(curve.keys) for factor in factors)
        name = identity(_plain(dict(zip(keys, levels, strict=True))))
        cell = cells.setdefault(name, Cell(levels, curve.keys, {}))
        cell.curves[curve.seed] = curve
    return Design(factors, tuple(cells.values()))


def _moves_with(
    key: str, varying: list[str], factors: list[str], configurations: list[dict[str, Any]]
) -> tuple[str, ...]:
    """The keys that follow from a factor, but for the shape that a number of parameters has."""
    following = set(following_keys(configurations, key)) & set(varying)
    parts = "model." if key == "n_params" else None
    return tuple(
        one
        for one in sorted(following - {*factors, *SEEDS, "model.size"})
        if parts is None or not one.startswith(parts)
    )


def _checked(wanted: dict[str, Any], keys: list[str], study: str) -> dict[str, Any]:
    """The references by whole keys, which may be asked for by their last part."""
    found = {}
    for asked, value in wanted.items():
        names = keys_called(asked, keys)
        if len(names) != 1:
            why = "has no factor of that name" if not names else f"has {' and '.join(names)}"
            raise InputError(
                f"--reference {asked}: study {study} {why}. Its factors: {', '.join(keys)}."
            )
        found[names[0]] = value
    return found


def _factor(
    key: str,
    configurations: list[dict[str, Any]],
    wanted: dict[str, Any],
    baseline: dict[str, Any],
    study: str,
) -> Factor:
    values = _values(key, configurations)
    for given in (wanted, baseline):
        found = [value for value in values if key in given and same_value(value, given[key])]
        if found:
            break
        if key in wanted:
            raise InputError(
                f"--reference {key} = {wanted[key]}: study {study} has no run with that value. "
                f"It has {', '.join(map(str, values))}."
            )
    else:
        found = [value for value in values if key in PLAIN and same_value(value, PLAIN[key])]
    reference = found[0] if found else values[0]
    others = tuple(value for value in values if not same_value(value, reference))
    return Factor(key, reference, others)


def _values(key: str, configurations: list[dict[str, Any]]) -> list[Any]:
    """The values of those that have the key, numbers in order and before texts."""
    values: dict[str, Any] = {}
    for keys in configurations:
        if key not in foreign_keys(keys.get(OBJECTIVE)):
            value = keys.get(key)
            value = PLAIN.get(key) if value is None else value
            values.setdefault(identity(_plain({key: value})), value)
    known = [value for value in values.values() if value is not None]
    return sorted(known, key=_order)


def _order(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    return 1, 0.0, str(value)


def _plain(levels: dict[str, Any]) -> dict[str, Any]:
    """Values by which cells are found: 1 and 1.0 are one."""
    return {
        key: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for key, value in levels.items()
    }


def of_side(design: Design, side: Side) -> list[Cell]:
    """The cells of one side of a comparison."""
    return [cell for cell in design.cells if selects(side, cell.keys)]
