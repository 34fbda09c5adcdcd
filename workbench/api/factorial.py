"""What each factor of a study changes: effects, variants, and how the crossover moves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.api.answers import Answer, Interval
from workbench.api.words import At, Axis, Over, Side, Where, conditions, side_of
from workbench.conditions import parse_conditions
from workbench.errors import InputError


@dataclass(frozen=True)
class Effect:
    """What a value of a factor changes with all else equal, or two of them beyond their sum."""

    study: str
    metric: str
    at: str
    kind: str
    """main or interaction."""
    factor: str
    reference: Any
    level: Any
    moves_with: list[str]
    """Keys that follow from the factor in all runs: what they change is in the effect."""
    other: str | None
    """The second factor of an interaction."""
    other_reference: Any
    other_level: Any
    pairs: int
    """Of configurations that differ in this alone."""
    seeds: int
    effect: float | None
    """In the metric's unit: the mean over the pairs; None where no pair has a seed in common."""
    ci95: Interval
    ci95_method: str | None
    ci95_note: str | None
    lowest: float | None
    highest: float | None
    """Of the pairs' own effects."""
    better: str | None
    """level or reference; None where the interval contains zero or there is none, and for
    interactions."""
    flops_ratio: float | None
    """Training FLOPs, times those of the reference."""
    estimators: dict[str, str | None]
    runs: list[str] = field(repr=False)
    run_seeds: list[Any] = field(repr=False)
    over: str | None
    over_asked: str


@dataclass(frozen=True)
class Variant:
    """One configuration against the one that has the reference of every factor."""

    study: str
    metric: str
    at: str
    kind: str
    changed: dict[str, Any]
    """The factors in which it differs, with its values."""
    pairs: int
    seeds: int
    effect: float | None
    """Its mean over seeds less the reference's; None without a seed in common."""
    ci95: Interval
    ci95_method: str | None
    ci95_note: str | None
    lowest: float | None
    highest: float | None
    better: str | None
    flops_ratio: float | None
    estimators: dict[str, str | None]
    runs: list[str] = field(repr=False)
    run_seeds: list[Any] = field(repr=False)
    over: str | None
    over_asked: str


@dataclass(frozen=True)
class CrossoverEffect:
    """By which factor a value of a key moves the crossover."""

    study: str
    metric: str
    axis: str
    kind: str
    baseline: Any
    challenger: Any
    factor: str
    reference: Any
    level: Any
    moves_with: list[str]
    pairs: int
    seeds: int
    ratio: float | None
    """Above 1 where the challenger overtakes later."""
    bound: str | None
    """lower or upper: what `ratio` is, where a crossover was not measured; else None."""
    ci95: Interval
    ci95_method: str | None
    ci95_note: str | None
    left_out: int
    """Pairs of which neither crossover was measured."""
    estimators: dict[str, str | None]
    """Of baseline and challenger: nll, nelbo, or several."""
    crossed: dict[str, str]
    """Of how many pairs and seeds the crossover was measured."""


def effects(
    study: Any,
    metric: str,
    at: At,
    reference: Mapping[str, Any] | str | None,
    over: Over,
    where: Where | None,
    *,
    each: bool,
) -> Answer[Any]:
    """The answer of `Study.variants` if `each`, else of `Study.effects`."""
    from workbench.analysis import effects as analysis
    from workbench.analysis.bounds import effect_bound_notes
    from workbench.analysis.interval_notes import notes_of

    ask = analysis.variants if each else analysis.effects
    rows = ask(
        study.results, study.name, metric, at, reference=_reference(reference), over=over,
        where=conditions(where),
    )  # fmt: skip
    notes = [*notes_of(rows), *effect_bound_notes(rows)]
    return Answer.of(Variant if each else Effect, rows, notes)


def crossover_effects(
    study: Any,
    metric: str,
    axis: Axis,
    baseline: Side | None,
    challenger: Side | None,
    reference: Mapping[str, Any] | str | None,
    where: Where | None,
) -> Answer[CrossoverEffect]:
    """The answer of `Study.crossover_effects`."""
    from workbench.analysis.bounds import ratio_bound_note
    from workbench.analysis.crossover_effects import crossover_effects as ask
    from workbench.analysis.interval_notes import notes_of

    rows = ask(
        study.results, study.name, metric, axis, reference=_reference(reference),
        baseline=side_of("--baseline", baseline), where=conditions(where),
        challenger=side_of("--challenger", challenger),
    )  # fmt: skip
    bound = ratio_bound_note(rows)
    return Answer.of(CrossoverEffect, rows, [*notes_of(rows), bound and f"Note: {bound}"])


def _reference(given: Mapping[str, Any] | str | None) -> dict[str, Any]:
    if not isinstance(given, str):
        return dict(given or {})
    parsed = parse_conditions([given], "--reference")
    for condition in parsed:
        if condition.op != "=":
            raise InputError(f"--reference {condition}: a reference is KEY = VALUE, joined by and.")
    return {condition.column: condition.value for condition in parsed}
