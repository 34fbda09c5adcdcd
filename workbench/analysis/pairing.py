"""Which runs of a study are compared with each other."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.analysis.curves import PROTOCOL, Curve, Floats, StudyCurves
from workbench.analysis.run_keys import (
    CHANGE_NOTHING,
    SEEDS,
    UNIQUE,
    differing_keys,
    following_keys,
    identity,
    named_group,
    of_plugin_objective,
    order_of,
)
from workbench.conditions import parse_conditions
from workbench.errors import InputError
from workbench.recipe.check import check_side
from workbench.recipe.models import CompareConfig
from workbench.recipe.objectives import keys_of_some_objectives
from workbench.recipe.sides import Side, criteria, require_runs, selects


@dataclass(frozen=True)
class Pair:
    """The runs to compare under one configuration: one curve a seed on each side."""

    group: dict[str, Any]
    baseline: list[Curve]
    challenger: list[Curve]


@dataclass(frozen=True)
class Shared:
    """Runs that agree in all keys but those compared. Either side may be empty."""

    keys: dict[str, Any]
    baseline: list[Curve]
    challenger: list[Curve]


def make_pairs(
    loaded: StudyCurves,
    baseline: Side,
    challenger: Side,
    match: tuple[str, ...] | None = None,
) -> list[Pair]:
    """Group a study's curves into pairs that share every key but what they compare."""
    groups = shared_groups(loaded.curves, baseline, challenger, match)
    complete = [group for group in groups if group.baseline and group.challenger]
    keys = [group.keys for group in complete]
    # A label that follows the unique tokens, such as a setting's name, adds no information.
    implied = {key for key in following_keys(keys, UNIQUE) if key.startswith("labels.")}
    differing = [key for key in differing_keys(keys) if key not in implied]
    pairs = [
        Pair(
            named_group(group.keys, differing, group.baseline[0]), group.baseline, group.challenger
        )
        for group in complete
    ]
    return sorted(pairs, key=lambda pair: order_of(pair.group))


def compared_pairs(
    loaded: StudyCurves, baseline: Side | None = None, challenger: Side | None = None
) -> tuple[tuple[Side, Side], list[Pair]]:
    """What a study compares, or what is asked for in its place, and the pairs of it.

    Raises:
        InputError: no two runs make a pair.
    """
    sides, match = sides_of(loaded, baseline, challenger)
    pairs = make_pairs(loaded, *sides, match)
    if not pairs:
        refuse_across_protocols(loaded, sides, match)
        names = " and ".join(map(side_name, sides))
        raise InputError(
            f"study {loaded.study}: no runs of {names} share all other keys. [compare] match in "
            "the recipe says which keys a pair shares."
        )
    return sides, pairs


def refuse_across_protocols(
    loaded: StudyCurves,
    sides: tuple[Side, Side],
    match: tuple[str, ...] | None,
    ignored: Iterable[str] = (),
) -> None:
    """Refuse a comparison whose runs share all keys but the protocol of their evaluation.

    Raises:
        InputError: they do.
    """
    if not any(PROTOCOL in curve.keys for curve in loaded.curves):
        return
    alike = [
        replace(c, keys={key: value for key, value in c.keys.items() if key != PROTOCOL})
        for c in loaded.curves
    ]
    for group in shared_groups(alike, *sides, match, ignored):
        if group.baseline and group.challenger:
            numbers = (
                " and ".join(map(str, sorted({c.protocol for c in side if c.protocol})))
                for side in (group.baseline, group.challenger)
            )
            measured = (f"{side_name(s)} by {n}" for s, n in zip(sides, numbers, strict=True))
            raise InputError(
                f"study {loaded.study}: its runs were evaluated by different protocols "
                f"({', '.join(measured)}), whose numbers are not comparable. Run the recipe again, "
                "with `workbench run`: all runs are then measured by one protocol, and those of an "
                "older one leave the study."
            )


def sides_of(
    loaded: StudyCurves, baseline: Side | None, challenger: Side | None
) -> tuple[tuple[Side, Side], tuple[str, ...] | None]:
    """Both sides of a comparison, and the keys that a pair shares: as asked, else as the study's.

    Raises:
        InputError: a side names a key or a value that no run with this metric has.
    """
    compare = CompareConfig.model_validate(loaded.compare)
    runs = [curve.keys for curve in loaded.curves]

    def checked(name: str, asked: Side | None, stored: Side) -> Side:
        where = f"study {loaded.study}: [compare] {name}" if asked is None else f"--{name}"
        side = stored if asked is None else asked
        no_run = f"no run of {loaded.study} with {loaded.metric}"
        require_runs(side, where, runs, no_run=no_run)
        return side

    sides = (
        checked("baseline", baseline, compare.baseline),
        checked("challenger", challenger, compare.challenger),
    )
    if sides[0] == sides[1]:
        raise InputError(
            f"study {loaded.study}: baseline and challenger are both {side_name(sides[0])}. "
            "Give two different sides."
        )
    return sides, compare.match


def shared_groups(
    curves: list[Curve],
    baseline: Side,
    challenger: Side,
    match: tuple[str, ...] | None = None,
    ignored: Iterable[str] = (),
) -> list[Shared]:
    """Group curves by the keys that both sides share, and by what else differs on one side.

    The curves of a side differ in nothing but their seeds: AR at several input masks gives as many
    groups, each compared with the same challenger. Runs of different evaluation protocols share no
    group, whatever `match` says; imported runs, which have no protocol, are compared with those of
    each.

    Args:
        match: the only keys to share; None for all but the compared ones.
        ignored: keys that are not shared whatever `match` says.
    """
    named = {*criteria(baseline), *criteria(challenger)}
    compared = named | {*SEEDS, "training.objective", "model.size"} | keys_of_some_objectives()
    compared |= CHANGE_NOTHING
    if "training.epochs" in named:
        compared.add("training.total_tokens")  # what epochs are resolved to
    left_out = set(ignored)

    def is_shared(key: str) -> bool:
        if match is not None:
            return key in match and key not in left_out
        return key not in compared and key not in left_out and not of_plugin_objective(key)

    shared_names = set(filter(is_shared, {key for curve in curves for key in curve.keys}))
    protocols = sorted({curve.keys[PROTOCOL] for curve in curves if PROTOCOL in curve.keys})
    groups: dict[str, Shared] = {}
    for curve in curves:
        shared = {key: value for key, value in curve.keys.items() if key in shared_names}
        for protocol in [curve.keys[PROTOCOL]] if PROTOCOL in curve.keys else protocols or [None]:
            keys = shared if protocol is None else shared | {PROTOCOL: protocol}
            group = groups.setdefault(identity(keys), Shared(keys, [], []))
            if selects(baseline, curve.keys):
                group.baseline.append(curve)
            if selects(challenger, curve.keys):
                group.challenger.append(curve)
    asked = (set(criteria(baseline)), set(criteria(challenger)))
    variants = [
        variant for group in groups.values() for variant in _by_variant(group, left_out, asked)
    ]
    return _each_once(variants) if protocols else variants


def _each_once(groups: list[Shared]) -> list[Shared]:
    """The groups, those of imported runs alone once, not once for each protocol."""
    once: dict[tuple[tuple[str, ...], ...], Shared] = {}
    for group in groups:
        runs = tuple(tuple(c.run_id for c in side) for side in (group.baseline, group.challenger))
        if runs in once:
            keys = {key: value for key, value in group.keys.items() if key != PROTOCOL}
            group = replace(group, keys=keys)
        once[runs] = group
    return list(once.values())


def _by_variant(group: Shared, ignored: set[str], asked: tuple[set[str], set[str]]) -> list[Shared]:
    """A group for each pair of configurations of its two sides; none of a configuration with
    itself."""
    baselines = _variants(group.baseline, ignored, asked[0])
    challengers = _variants(group.challenger, ignored, asked[1])
    if not (baselines and challengers):
        return [group]
    both = set(baselines[0][0]) & set(challengers[0][0])

    def prefixed(keys: dict[str, Any], side: str) -> dict[str, Any]:
        return {f"{side}.{key}" if key in both else key: value for key, value in keys.items()}

    return [
        Shared(
            group.keys | prefixed(ours, "baseline") | prefixed(theirs, "challenger"), left, right
        )
        for ours, left in baselines
        for theirs, right in challengers
        if not {curve.run_id for curve in left} & {curve.run_id for curve in right}
    ]


def _variants(
    curves: list[Curve], ignored: set[str], asked: set[str]
) -> list[tuple[dict[str, Any], list[Curve]]]:
    """Curves by the keys that differ among them, other than seeds and names of shapes; by those
    of `asked` alone, which name the side, where no other key is needed to distinguish them."""
    free = {*SEEDS, "model.size", "n_params", PROTOCOL, *CHANGE_NOTHING, *ignored}
    every = [{key: v for key, v in curve.keys.items() if key not in free} for curve in curves]
    differing = [
        key
        for key in sorted({key for keys in every for key in keys})
        if _differ([keys.get(key) for keys in every])
    ]
    variants: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for keys, curve in zip(every, curves, strict=True):
        own_keys = {key: keys.get(key) for key in differing}
        variants.setdefault(identity(own_keys), (own_keys, []))[1].append(curve)
    found = list(variants.values())
    named = [{key: keys[key] for key in differing if key in asked} for keys, _ in found]
    if len({identity(keys) for keys in named}) == len(found):
        return [(keys, own) for keys, (_, own) in zip(named, found, strict=True)]
    return found


def _differ(values: list[Any]) -> bool:
    """Whether values are not all equal; 1 and True are not."""
    try:
        return len({(type(value), value) for value in values}) > 1
    except TypeError:  # lists
        return len({identity({"": value}) for value in values}) > 1


def parse_side(option: str, given: str | dict[str, Any] | None) -> Side | None:
    """A side of a comparison, as it was given: an objective, or values, lists for several, of its
    runs' keys, as a text of conditions too. None stands for what the recipe compares.

    Raises:
        InputError: no such objective, or conditions that are not of the form KEY = VALUE or
            KEY in (VALUE, ...).
    """
    if not isinstance(given, str):
        return given
    if not re.search(r"[=<>]|\bin\b", given):
        check_side(given, option)
        return given
    conditions = parse_conditions([given], option)
    for condition in conditions:
        if condition.op not in ("=", "in"):
            raise InputError(
                f"{option} {condition}: a side is KEY = VALUE or KEY in (VALUE, ...), "
                "joined by and."
            )
    return {c.column: list(c.value) if c.op == "in" else c.value for c in conditions}


def side_name(side: Side) -> str:
    """A side for messages, and for answers as data."""
    return side if isinstance(side, str) else json.dumps(side)


def side_words(side: Side) -> str:
    """A side for people: `ar`, or `noise_schedule cosine`."""
    if isinstance(side, str):
        return side
    values = {key: value if isinstance(value, list) else [value] for key, value in side.items()}
    return ", ".join(
        f"{key.rpartition('.')[2]} {' or '.join(map(str, value))}" for key, value in values.items()
    )


def finished_runs(pair: Pair) -> tuple[Pair, list[str]]:
    """The pair's finished runs, where both sides have some, else all of them; and the ids of its
    unfinished runs."""
    unfinished = [c.run_id for c in [*pair.baseline, *pair.challenger] if not c.finished]
    sides = [[c for c in side if c.finished] for side in (pair.baseline, pair.challenger)]
    if all(sides):
        return Pair(pair.group, *sides), unfinished
    return pair, unfinished


def named_runs(baseline: list[Curve], challenger: list[Curve]) -> dict[str, Any]:
    """The runs behind an answer, as answers have them: "runs" and "run_seeds" of each side."""
    sides = {"baseline": baseline, "challenger": challenger}
    return {
        "runs": {name: [curve.run_id for curve in curves] for name, curves in sides.items()},
        "run_seeds": {
            name: [curve.keys.get("training.seed") for curve in curves]
            for name, curves in sides.items()
        },
    }


def mean_curve(curves: list[Curve], axis: str) -> tuple[Floats, Floats]:
    """The mean over seeds, at the points that all of them have reached."""
    shortest = min(curves, key=lambda curve: curve.x[axis][-1]).x[axis]
    values = [np.interp(shortest, curve.x[axis], curve.y) for curve in curves]
    return shortest, np.mean(values, axis=0)


def seed_pairs(pair: Pair) -> list[tuple[Curve, Curve]]:
    """Baseline and challenger of the same seed, for every seed that both have.

    Sides without a seed in common are paired by their text, where each of their runs has its own:
    an ensemble has no seed of training.
    """
    by_seed = {curve.seed: curve for curve in pair.challenger}
    found = [(curve, by_seed[curve.seed]) for curve in pair.baseline if curve.seed in by_seed]
    ours, theirs = (_by_text(side) for side in (pair.baseline, pair.challenger))
    if found or not (ours and theirs):
        return found
    return [(curve, theirs[text]) for text, curve in ours.items() if text in theirs]


def _by_text(curves: list[Curve]) -> dict[Any, Curve]:
    """The curves by the text that they were trained on; none where it is not known, or several have
    one."""
    found = {curve.seed.text: curve for curve in curves}
    return found if len(found) == len(curves) and None not in found else {}
