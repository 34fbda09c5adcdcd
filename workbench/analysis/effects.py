"""What each factor of a study changes with all else equal, and what two of them change together.

A factor is a key that differs among the study's configurations; each of its values is compared with
its reference, in all pairs of configurations that differ in nothing else (the main effect of a
factorial design: Box, Hunter & Hunter 2005, chapter 5, from a reference and not from the middle).
The effect is the mean over those pairs, seed by seed and on the same held-out documents, so that
its interval runs over both, as that of every difference does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from workbench import stages
from workbench.analysis.common_seeds import common_seeds, left_out_note
from workbench.analysis.crossed import CrossedMean, Over, crossed_mean, seeds_mean
from workbench.analysis.crossed_interval import as_asked, interval
from workbench.analysis.curves import Curve, Floats, Seed, StudyCurves, chosen, load_curves
from workbench.analysis.document_curves import DocumentCurves, document_curves, stopped_at_best
from workbench.analysis.factors import Cell, Design, design_of
from workbench.analysis.taken_at import taken_at
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.metrics import higher_is_better


def effects(
    results: Path,
    study: str,
    metric: str = "val_loss",
    at: str = "best",
    *,
    reference: dict[str, Any] | None = None,
    over: Over = "seeds+documents",
    where: Conditions = (),
) -> list[dict[str, Any]]:
    """What each value of each factor changes in the metric, and what two factors together change
    beyond the sum of both.

    Args:
        at: each run's "last" value, or its "best", chosen on one half of the documents and measured
            on the other.
        reference: the value that a key's others are compared with; by default the study's
            baseline's, else what a run without the key has, else the lowest.

    Returns:
        A row for each factor and value ("kind" main), then for each two factors and their values
        (interaction), in the metric's unit: the mean "effect" over "pairs" of configurations, None
        where no pair has a seed in common ("ci95_note" says so), its "ci95", the lowest and the
        highest of the pairs' own effects, "better", the side that the interval says is ahead, and
        "flops_ratio", the mean training FLOPs of the value over those of the reference.
        "moves_with" has the keys that follow from the factor, whose changes are in its effect;
        "other" and its values are the second factor of an interaction.

    Raises:
        InputError: no such study or metric, nothing differs, or no two runs differ in one factor.
    """
    asked = _Asked.load(results, study, metric, at, reference, over, where)
    rows = []
    for factor in asked.design.factors:
        for level in factor.levels:
            pairs = list(asked.design.pairs(factor, level))
            what = {
                "kind": "main", "factor": factor.key, "reference": factor.reference, "level": level,
                "moves_with": list(factor.moves_with),
                "other": None, "other_reference": None, "other_level": None,
            }  # fmt: skip
            rows.append(asked.row(what, pairs, (-1.0, 1.0)))
    for one, other in combinations(asked.design.factors, 2):
        for level in one.levels:
            for second in other.levels:
                squares = list(asked.design.squares((one, level), (other, second)))
                if not squares:
                    continue
                what = {
                    "kind": "interaction", "factor": one.key, "reference": one.reference,
                    "level": level, "moves_with": [*one.moves_with, *other.moves_with],
                    "other": other.key, "other_reference": other.reference,
                    "other_level": second,
                }  # fmt: skip
                rows.append(asked.row(what, squares, (1.0, -1.0, -1.0, 1.0)))
    if all(row["effect"] is None for row in rows):
        raise InputError(
            f"study {study}: no two configurations with a seed in common differ in one factor "
            f"alone. Its factors: {', '.join(factor.key for factor in asked.design.factors)}."
        )
    return rows


def variants(
    results: Path,
    study: str,
    metric: str = "val_loss",
    at: str = "best",
    *,
    reference: dict[str, Any] | None = None,
    over: Over = "seeds+documents",
    where: Conditions = (),
) -> list[dict[str, Any]]:
    """Each configuration against the one that has the reference of every factor, those of few
    training FLOPs first: at equal data, and with "flops_ratio" at equal compute.

    Returns:
        Rows as those of `effects`, of the kind variant; "changed" has the factors in which the
        configuration differs, with its values.

    Raises:
        InputError: as `effects`, or no configuration has the reference of every factor.
    """
    asked = _Asked.load(results, study, metric, at, reference, over, where)
    origin = asked.design.origin
    if origin is None:
        wanted = ", ".join(f"{f.key} = {f.reference}" for f in asked.design.factors)
        raise InputError(
            f"study {study}: no configuration has {wanted} together. Name the one that others are "
            "compared with by --reference KEY=VALUE."
        )
    rows: list[dict[str, Any]] = []
    for cell in asked.design.cells:
        if cell is not origin:
            what = {"kind": "variant", "changed": asked.design.changed(cell)}
            rows.append(asked.row(what, [(origin, cell)], (-1.0, 1.0)))
    if all(row["effect"] is None for row in rows):
        raise InputError(
            f"study {study}: no other configuration has a seed in common with the one that has the "
            "reference of every factor."
        )
    return sorted(rows, key=lambda row: (row["flops_ratio"] or 0.0, row["effect"] or 0.0))


@dataclass(frozen=True)
class _Asked:
    """A study's design, and the value of each of its runs."""

    study: str
    metric: str
    at: str
    over: Over
    design: Design
    together: DocumentCurves | None
    note: str | None

    @classmethod
    def load(
        cls,
        results: Path,
        study: str,
        metric: str,
        at: str,
        reference: dict[str, Any] | None,
        over: Over,
        where: Conditions,
    ) -> "_Asked":
        taken = taken_at(at)
        loaded: StudyCurves = chosen(load_curves(results, study, metric), where)
        design = design_of(loaded, reference)
        stages.doing(f"effects on {metric}")
        curves = [curve for cell in design.cells for curve in cell.curves.values()]
        together, why = document_curves(results, curves, metric)
        if together is not None and len(together.documents) < 2:
            together, why = None, "one document alone"
        return cls(study, metric, taken, over, design, together, why)

    def row(
        self, what: dict[str, Any], groups: Sequence[tuple[Cell, ...]], signs: tuple[float, ...]
    ) -> dict[str, Any]:
        """The row of a contrast; without an effect where no group of cells has a seed in common."""
        paired = [cells for cells in groups if _seeds(cells)]
        places, seeds = common_seeds([_seeds(cells) for cells in paired])
        taken = [paired[place] for place in places]
        answer = {
            "study": self.study,
            "metric": self.metric,
            "at": self.at,
            **what,
            "pairs": len(taken),
            "seeds": len(seeds),
            "over_asked": self.over,
            **(self._effect(taken, signs, seeds) if seeds else _unknown(what, groups)),
            "runs": sorted({c.curves[s].run_id for cells in taken for c in cells for s in seeds}),
            "run_seeds": sorted({training for _, training in seeds}, key=str),
        }
        if what["kind"] == "interaction":
            answer["better"] = None
        if lacking := left_out_note(len(paired) - len(taken)):
            named = ", ".join(f"{key} = {value}" for key, value in _change(what).items())
            notes = filter(None, (answer["ci95_note"], f"{named}: {lacking}"))
            answer["ci95_note"] = "; ".join(notes)
        return answer

    def _effect(
        self, groups: Sequence[tuple[Cell, ...]], signs: tuple[float, ...], seeds: list[Seed]
    ) -> dict[str, Any]:
        each = np.stack([self._contrast(cells, signs, seeds) for cells in groups])
        texts = [seed.text for seed in seeds]
        mean = self._mean(each.mean(axis=0), texts)
        found = interval(mean, self.over)
        own = [float(self._mean(one, texts).value[0]) for one in each]
        answer = {
            "effect": found.estimate,
            "ci95": found.ci95,
            "ci95_method": found.method,
            "ci95_note": found.note or self.note,
            "lowest": min(own),
            "highest": max(own),
            "better": self._better(found.ci95),
            "flops_ratio": _flops_ratio(groups, signs),
            "estimators": {
                "baseline": _estimators(groups, signs, -1.0),
                "challenger": _estimators(groups, signs, 1.0),
            },
        }
        return as_asked(answer, self.over, found.over)

    def _contrast(self, cells: tuple[Cell, ...], signs: tuple[float, ...], seeds: Any) -> Floats:
        """(seeds, documents, 1), or (seeds, 1) where no documents are known."""
        each = zip(signs, cells, strict=True)
        sides = [sign * self._values([cell.curves[seed] for seed in seeds]) for sign, cell in each]
        return np.asarray(sum(sides))

    def _values(self, curves: list[Curve]) -> Floats:
        higher = higher_is_better(self.metric)
        if self.together is None:
            best = np.max if higher else np.min
            return np.array([[best(c.y) if self.at == "best" else c.y[-1]] for c in curves])
        if self.at == "best":
            return stopped_at_best(self.together, curves, higher=higher)
        return np.stack([self.together.sums[curve.run_id][:, -1:] for curve in curves])

    def _mean(self, contrast: Floats, texts: list[Any]) -> CrossedMean:
        if self.together is None:
            return seeds_mean(contrast, texts)
        return crossed_mean(contrast, self.together.counts, texts)

    def _better(self, ci95: list[float] | None) -> str | None:
        if ci95 is None or ci95[0] <= 0 <= ci95[1]:
            return None
        return "level" if (ci95[0] > 0) == higher_is_better(self.metric) else "reference"


def _unknown(what: dict[str, Any], groups: Sequence[tuple[Cell, ...]]) -> dict[str, Any]:
    """What is known of a contrast that no seed measures: why."""
    named = ", ".join(f"{key} = {value}" for key, value in _change(what).items())
    why = "with a seed in common" if groups else "that differs in nothing else"
    return {
        **dict.fromkeys(("effect", "ci95", "ci95_method", "lowest", "highest", "better")),
        "ci95_note": f"{named}: not measured, it has no run of the reference beside it {why}",
        "flops_ratio": None,
        "estimators": {"baseline": None, "challenger": None},
        "over": None,
    }


def _change(what: dict[str, Any]) -> dict[str, Any]:
    if what["kind"] == "variant":
        return dict(what["changed"])
    changed = {what["factor"]: what["level"], what["other"]: what["other_level"]}
    return {key: value for key, value in changed.items() if key is not None}


def _seeds(cells: tuple[Cell, ...]) -> set[Any]:
    """The seeds that all cells have."""
    return set.intersection(*(set(cell.curves) for cell in cells))


def _flops_ratio(groups: Sequence[tuple[Cell, ...]], signs: tuple[float, ...]) -> float | None:
    """The geometric mean over pairs of what the last cell's runs take over what the first's do."""
    if len(signs) != 2:
        return None
    ratios = [_flops(level) / _flops(reference) for reference, level in groups]
    if not all(np.isfinite(ratio) and ratio > 0 for ratio in ratios):
        return None
    return exp(sum(map(log, ratios)) / len(ratios))


def _flops(cell: Cell) -> float:
    return float(np.mean([curve.x["flops"][-1] for curve in cell.curves.values()]))


def _estimators(
    groups: Sequence[tuple[Cell, ...]], signs: tuple[float, ...], sign: float
) -> str | None:
    """Those of the cells on one side of a contrast, by which bounds are known."""
    names = {
        curve.estimator
        for cells in groups
        for cell, own in zip(cells, signs, strict=True)
        for curve in cell.curves.values()
        if own == sign
    }
    known = sorted(name for name in names if name is not None)
    return ", ".join(known) if len(known) == len(names) else None
