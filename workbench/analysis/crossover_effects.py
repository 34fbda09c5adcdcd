"""How each factor moves the crossover, seed by seed."""

from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.common_seeds import common_seeds, left_out_note
from workbench.analysis.crossing import Crossing
from workbench.analysis.curves import chosen, load_curves, require_axis
from workbench.analysis.factors import Cell, Design, design_of, of_side
from workbench.analysis.intervals import interval_over_seeds
from workbench.analysis.pairing import Side, sides_of
from workbench.analysis.point_intervals import seed_crossings
from workbench.analysis.table_rows import four_digits, interval_text
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.recipe.objectives import foreign_keys
from workbench.recipe.sides import criteria, same_value

OBJECTIVE = "training.objective"
Both = tuple[Crossing | None, Crossing | None]
"""A seed's crossovers with the reference and with the level."""


def crossover_effects(
    results: Path,
    study: str,
    metric: str = "val_loss",
    axis: str = "tokens",
    *,
    baseline: Side | None = None,
    challenger: Side | None = None,
    reference: dict[str, Any] | None = None,
    where: Conditions = (),
) -> list[dict[str, Any]]:
    """By which factor each value of each key moves the crossover.

    A key that both sides share changes on both; one of the baseline's alone is compared with one
    and the same challenger.

    A seed's two crossovers, with the reference and with the value, are read off its own curves
    point by point; the effect is the geometric mean of their ratio, above 1 where diffusion
    overtakes later. A crossover that was not reached counts as the end of the curves, and one from
    before the first point as that point: the effect then is a bound, or nothing where both are
    limits, and has no interval.

    Returns:
        A row for each factor and value: "ratio" and its t interval over seeds, "bound" (lower,
        upper or None), "pairs" of configurations, "left_out", those whose crossovers both lie
        outside what was trained, and "crossed", of how many pairs and seeds the crossover was
        measured on each side.

    Raises:
        InputError: no such study, metric or axis, or no two crossovers differ in one factor alone.
    """
    loaded = chosen(load_curves(results, study, metric), where)
    (base, other), match = sides_of(loaded, baseline, challenger)
    require_axis(loaded.curves, axis)
    design = design_of(loaded, reference)
    objective = criteria(base).get(OBJECTIVE)
    challengers = of_side(design, other)
    rows = []
    for factor in design.factors:
        if factor.key == OBJECTIVE:
            continue
        for level in factor.levels:
            found: list[dict[Any, Both]] = []
            for pair in design.pairs(factor, level):
                if objective is not None and pair[0].keys.get(OBJECTIVE) != objective:
                    continue
                for cell in challengers:
                    if cell in pair or not _shared(design, pair[0], cell, match):
                        continue
                    # One challenger of both, or for each the one that shares the key.
                    one = _shared(design, pair[1], cell, match)
                    second = cell if one else design.like(cell, {factor.key: level})
                    if second is not None and _shared(design, pair[1], second, match):
                        found.append(_of_seeds(pair, (cell, second), metric, axis))
            answer = _answer([seeds for seeds in found if seeds])
            if answer is not None:
                rows.append(
                    {
                        "study": study, "metric": metric, "axis": axis, "kind": "crossover",
                        "factor": factor.key, "reference": factor.reference, "level": level,
                        "moves_with": list(factor.moves_with), "baseline": base,
                        "challenger": other, "estimators": _estimators(design, base, other),
                        **answer,
                    }
                )  # fmt: skip
    if not rows:
        raise InputError(
            f"study {study}: no two crossovers differ in one factor alone. Name the sides by "
            "--baseline and --challenger."
        )
    return rows


def _estimators(design: Design, *sides: Side) -> dict[str, str | None]:
    """Those of each side's runs, by which bounds are known; None where one is not."""
    names = [
        {curve.estimator for cell in of_side(design, side) for curve in cell.curves.values()}
        for side in sides
    ]
    return {
        side: None if None in own else ", ".join(sorted(filter(None, own)))
        for side, own in zip(("baseline", "challenger"), names, strict=True)
    }


def _shared(design: Design, one: Cell, other: Cell, match: tuple[str, ...] | None) -> bool:
    """Whether two cells are compared: they agree in all factors that both sides share."""
    foreign = foreign_keys(one.keys.get(OBJECTIVE)) | foreign_keys(other.keys.get(OBJECTIVE))
    return all(
        same_value(a, b)
        for factor, a, b in zip(design.factors, one.levels, other.levels, strict=True)
        if factor.key != OBJECTIVE
        and (factor.key in match if match is not None else factor.key not in foreign)
    )


def _of_seeds(
    pair: tuple[Cell, Cell], challengers: tuple[Cell, Cell], metric: str, axis: str
) -> dict[Any, Both]:
    """Both crossovers of each seed that all of these cells have."""
    own = [set(cell.curves) for cell in (*pair, *challengers)]
    seeds = sorted(set.intersection(*own), key=str)
    each = [
        seed_crossings(
            [(cell.curves[seed], other.curves[seed]) for seed in seeds], metric, axis, "point"
        )
        for cell, other in zip(pair, challengers, strict=True)
    ]
    return dict(zip(seeds, zip(*each, strict=True), strict=True))


def _answer(found: list[dict[Any, Both]]) -> dict[str, Any] | None:
    if not found:
        return None
    whole = [pair for pair in found if None not in map(_limit, pair.values())]
    # Seeds that all pairs have, so that each one's mean is over the same pairs.
    places, seeds = common_seeds([set(pair) for pair in whole])
    informed = [whole[place] for place in places]
    n_seeds = len(seeds)
    both = [one for pair in found for one in pair.values()]
    crossed = [
        sum(c is not None and c.status == "crossed" for c in side)
        for side in zip(*both, strict=True)
    ]
    limits = {_limit(pair[seed]) for pair in informed for seed in seeds}
    answer: dict[str, Any] = {
        "pairs": len(informed), "seeds": n_seeds, "ratio": None, "ci95": None, "ci95_method": None,
        "ci95_note": None, "bound": None, "left_out": len(found) - len(informed),
        "crossed": {
            "reference": f"{crossed[0]} of {len(both)}", "level": f"{crossed[1]} of {len(both)}",
        },
    }  # fmt: skip
    lacking = left_out_note(len(whole) - len(informed))

    def with_note(note: str | None, **more: Any) -> dict[str, Any]:
        return answer | more | {"ci95_note": "; ".join(filter(None, (note, lacking))) or None}

    if not seeds or {"lower", "upper"} <= limits:
        return with_note("crossovers outside what was trained bound it on no side")
    logs = np.array([[_log_ratio(pair[seed]) for seed in seeds] for pair in informed])
    answer["ratio"] = exp(float(logs.mean()))
    bounds = limits - {"measured"}
    if bounds:
        note = "a crossover lies outside what was trained: the ratio is a bound"
        return with_note(note, bound=bounds.pop())
    if n_seeds < 2:
        return with_note("one seed: no interval over seeds")
    own = interval_over_seeds(np.exp(logs.mean(axis=0)), [seed.text for seed in seeds])
    return with_note(own.pop("ci95_note"), **own)


def _limit(both: Both) -> str | None:
    """Whether a ratio is measured, or what bound of the true one it is; None if it says nothing."""
    sides = [None if one is None else one.status for one in both]
    if sides == ["crossed", "crossed"]:
        return "measured"
    if sides in (["crossed", "not_reached"], ["ahead_throughout", "crossed"]):
        return "lower"
    if sides in (["not_reached", "crossed"], ["crossed", "ahead_throughout"]):
        return "upper"
    if sides == ["ahead_throughout", "not_reached"]:
        return "lower"
    if sides == ["not_reached", "ahead_throughout"]:
        return "upper"
    return None


def _log_ratio(both: Both) -> float:
    reference, level = (_place(one) for one in both)
    return log(level / reference)


def _place(crossing: Crossing | None) -> float:
    assert crossing is not None
    if crossing.crossover is not None:
        return crossing.crossover
    return crossing.last_x if crossing.status == "not_reached" else crossing.first_x


def crossover_effect_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `crossover_effects` as table cells."""
    sign = {None: "", "lower": "> ", "upper": "< "}[row["bound"]]
    also = f" (with {', '.join(row['moves_with'])})" if row["moves_with"] else ""
    return {
        "factor": row["factor"] + also,
        "from": row["reference"],
        "to": row["level"],
        "pairs": f"{row['pairs']} of {row['pairs'] + row['left_out']}",
        "seeds": row["seeds"],
        "crossover, times": None if row["ratio"] is None else sign + four_digits(row["ratio"]),
        "95 % interval": interval_text(row["ci95"]),
        "crossed": f"{row['crossed']['reference']}, then {row['crossed']['level']}",
    }
