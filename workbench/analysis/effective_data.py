"""What a challenger's data are worth: how many unique tokens the baseline needs to be as good.

The claim to check is that of arXiv 2511.03276, Figure 1: diffusion draws more from the same
unique tokens than AR does. Here that is a number of unique tokens, read off the baseline's runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from workbench import stages
from workbench.analysis.band import crossing_between_budgets
from workbench.analysis.budgets import At, Question, Reading, read_off
from workbench.analysis.crossed import Over, crossed_difference, crossed_mean
from workbench.analysis.crossed_interval import as_asked
from workbench.analysis.curves import Curve, Floats, load_curves
from workbench.analysis.document_curves import document_curves, stopped_at_best
from workbench.analysis.effective_interval import interval_of
from workbench.analysis.pairing import (
    Shared,
    Side,
    named_runs,
    refuse_across_protocols,
    shared_groups,
    side_name,
    sides_of,
)
from workbench.analysis.run_keys import (
    UNIQUE,
    differing_keys,
    following_keys,
    named_group,
    order_of,
)
from workbench.analysis.taken_at import taken_at
from workbench.analysis.texts import texts_of
from workbench.errors import InputError
from workbench.messages import choose, pretty
from workbench.recipe.objectives import display_name

# Keys of a budget: where they follow from the unique tokens, budgets stay comparable.
_BUDGET_KEYS = {
    *("training.total_tokens", "training.epochs", "training.warmup_steps"),
    *("training.checkpoint_every", "training.log_every", "evaluation.points"),
}


def effective_data(
    results: Path,
    study: str,
    metric: str,
    at: str = "best",
    baseline: Side | None = None,
    challenger: Side | None = None,
    *,
    over: Over = "seeds+documents",
) -> list[dict[str, Any]]:
    """What every challenger group's unique tokens are worth, in the baseline's.

    Seeds are averaged, of finished runs alone where a budget has some; "unfinished" lists the
    others. Where values of single documents are known, the interval is where the
    difference to the baseline may be zero, over seeds and documents (`analysis.band`), and bests
    are chosen on one half of the documents and measured on the other. Elsewhere it is a t interval
    over the seeds' own answers, or, without several seeds, from each curve's scatter (see
    `analysis.intervals`). Between its budgets the baseline is taken for a line in log unique
    tokens; the error of that is not in the interval.

    Args:
        at: compare each run's best value, or its last ("last" or "final").

    Returns:
        Rows with "group", "unique_tokens" and "value" of the challenger,
        "effective_unique_tokens" and its "ratio" to the challenger's own, both None outside the
        baseline's "range", where "bound" says on which side and "ratio_lower_bound" or
        "ratio_upper_bound" how far; "ci95" (unique tokens, a limit None outside the range).

    Raises:
        InputError: no such study or metric, or no challenger has a baseline of equal keys.
    """
    choose("--over", over, get_args(Over))
    taken: At = "best" if taken_at(at) == "best" else "final"
    loaded = load_curves(results, study, metric)
    sides, match = sides_of(loaded, baseline, challenger)
    following = following_keys([curve.keys for curve in loaded.curves], UNIQUE)
    names = [key for key in following if key.startswith("labels.")]  # of imported runs' budgets
    ignored = {UNIQUE, *_BUDGET_KEYS.intersection(following), *names}
    families = [
        family
        for family in shared_groups(loaded.curves, *sides, match, ignored)
        if family.baseline and family.challenger
    ]
    if not families:
        refuse_across_protocols(loaded, sides, match, ignored)
        raise InputError(
            f"study {study}: no runs of {side_name(sides[0])} and {side_name(sides[1])} share all "
            "keys but the unique tokens."
        )
    differing = differing_keys([family.keys for family in families])
    one, other = map(side_name, sides)
    question = Question(results, study, metric, taken, one, other, over)
    rows = []
    for family in families:
        for unique, curves in _by_budget(family.challenger).items():
            stages.doing(f"matching {metric} at {unique:,.0f} unique tokens")
            group = named_group(family.keys, differing, curves[0])
            rows.append(
                {**question.head(), "group": group, **_row(family, unique, curves, question)}
            )
    return sorted(rows, key=lambda row: order_of(row["group"]))


def _by_budget(curves: list[Curve]) -> dict[float, list[Curve]]:
    """The curves of each budget: finished ones alone where it has some."""
    budgets: dict[float, list[Curve]] = {}
    for curve in sorted(curves, key=lambda c: c.keys[UNIQUE]):
        budgets.setdefault(float(curve.keys[UNIQUE]), []).append(curve)
    return {
        unique: [curve for curve in curves if curve.finished] or curves
        for unique, curves in budgets.items()
    }


def _row(family: Shared, unique: float, curves: list[Curve], question: Question) -> dict[str, Any]:
    budgets = _by_budget(family.baseline)
    own = [c for c in family.challenger if c.keys[UNIQUE] == unique]
    every = [*own, *family.baseline]
    axis = np.array(list(budgets))
    known = _by_documents(budgets, curves, question)
    if known is None:
        values = np.array([question.mean(of_budget) for of_budget in budgets.values()])
        value = question.mean(curves)
    else:
        value, values = known.value, known.values
    reading = read_off(axis, values, value, higher=question.higher)
    bound = {"lower": float(axis[-1]), "upper": float(axis[0]), None: None}[reading.bound]
    if known is not None and reading.effective is not None:
        interval = known.interval
    else:
        interval = interval_of(budgets, curves, question, reading)
        by_seed = (interval["ci95_method"] or "").startswith("t interval")
        interval = as_asked(interval, question.over, "seeds" if by_seed else None)
    return {
        "unique_tokens": curves[0].keys[UNIQUE],
        "value": value,
        "effective_unique_tokens": reading.effective,
        "ratio": None if reading.effective is None else reading.effective / unique,
        "bound": reading.bound,
        "ratio_lower_bound": bound / unique if bound and reading.bound == "lower" else None,
        "ratio_upper_bound": bound / unique if bound and reading.bound == "upper" else None,
        **interval,
        "range": [float(axis[0]), float(axis[-1])],
        "baseline_values": [[u, v] for u, v in zip(axis.tolist(), values.tolist(), strict=True)],
        "seeds": len({curve.seed for curve in curves}),
        **named_runs([c for of_budget in budgets.values() for c in of_budget], curves),
        "unfinished": [c.run_id for c in every if not c.finished],
        "imported": any(c.imported for c in every),
        "note": _note(reading, axis, question),
    }


@dataclass(frozen=True)
class _ByDocuments:
    """The challenger's value, the baseline's at each budget, and the interval from both."""

    value: float
    values: Floats
    interval: dict[str, Any]


def _by_documents(
    budgets: dict[float, list[Curve]], curves: list[Curve], question: Question
) -> _ByDocuments | None:
    """The values and their uncertainty from single documents; None where they are not known, or
    where there is one budget, which has no between."""
    sides = [curves, *budgets.values()]
    every = list({c.run_id: c for side in sides for c in side}.values())
    together, _ = document_curves(question.results, every, question.metric)
    if together is None or len(together.documents) < 2 or len(budgets) < 2:
        return None

    def sums(side: list[Curve]) -> Floats:
        """(seeds, documents)"""
        if question.at == "best":
            return stopped_at_best(together, side, higher=question.higher)[:, :, 0]
        return np.stack([together.sums[curve.run_id][:, -1] for curve in side])

    # Rows of all budgets are of the same seeds, or at least of the same texts.
    curves, *others_of = sides = [sorted(side, key=lambda c: str(c.seed)) for side in sides]
    texts_alike = all(texts_of(side) == texts_of(others_of[0]) for side in others_of)
    order = _common_seeds(sides)
    if order is not None:
        own, *others = (sums([by_seed[seed] for seed in order]) for by_seed in map(_seeds, sides))
    else:
        own, *others = map(sums, sides)
    sign = -1.0 if question.higher else 1.0
    total = together.counts.sum()
    values = np.array([other.sum(axis=1).mean() / total for other in others])
    if order is not None:
        gaps = [own - other for other in others]
        texts = [seed.text for seed in order]
        lead = crossed_mean(-sign * np.stack(gaps, axis=2), together.counts, texts)
    elif texts_alike:
        repeated = np.repeat(own[:, :, None], len(others), axis=2)
        lead = crossed_difference(
            -sign * repeated,
            -sign * np.stack(others, axis=2),
            together.counts,
            (texts_of(curves), texts_of(sides[1])),
        )
    else:
        return None
    found = crossing_between_budgets(np.array(list(budgets)), -lead, question.over)
    interval = {
        "ci95": found.ci95,
        "ci95_method": found.ci95_method,
        "ci95_note": found.ci95_note,
    }
    interval = as_asked(interval, question.over, found.band.over)
    return _ByDocuments(float(own.sum(axis=1).mean() / total), values, interval)


def _seeds(side: list[Curve]) -> dict[Any, Curve]:
    return {curve.seed: curve for curve in side}


def _common_seeds(sides: list[list[Curve]]) -> list[Any] | None:
    """The seeds that all sides have, where none has others; else None."""
    seeds = [list(_seeds(side)) for side in sides]
    same = all(set(one) == set(seeds[0]) for one in seeds)
    return seeds[0] if same else None


def _note(reading: Reading, axis: Floats, question: Question) -> str | None:
    side = display_name(question.baseline)
    notes = []
    if reading.bound == "lower":
        notes.append(
            f"outside the measured range: {side} at {pretty(int(axis[-1]))} unique tokens does "
            "not reach it yet"
        )
    if reading.bound == "upper":
        notes.append(
            f"outside the measured range: {side} at {pretty(int(axis[0]))} unique tokens is "
            "better already"
        )
    if not reading.monotone:
        notes.append(
            f"{side} does not improve with every larger budget: the first budget from which on "
            "it stays as good was taken"
        )
    return "; ".join(notes) or None
