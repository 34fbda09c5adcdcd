"""What a challenger's data are worth: how many unique tokens the baseline needs to be as good.

The claim to check is that of arXiv 2511.03276, Figure 1: diffusion draws more from the same
unique tokens than AR does. Here that is a number of unique tokens, read off the baseline's runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.analysis.curves import Curve, Floats, load_curves
from workbench.analysis.intervals import (
    MIN_POINTS,
    RANDOM_SEED,
    RESAMPLES,
    no_interval,
    percentiles,
    smooth_curve,
    t_interval,
)
from workbench.analysis.pairing import (
    UNIQUE,
    Shared,
    Side,
    differing_keys,
    following_keys,
    named_group,
    order_of,
    shared_groups,
    side_name,
    sides_of,
)
from workbench.errors import InputError
from workbench.messages import pretty
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name

At = Literal["best", "final"]
# Keys of a budget: where they follow from the unique tokens, budgets stay comparable.
_BUDGET_KEYS = {
    *("training.total_tokens", "training.epochs", "training.warmup_steps"),
    *("training.checkpoint_every", "training.log_every", "evaluation.points"),
}


@dataclass(frozen=True)
class Reading:
    """Unique tokens read off the baseline's values. `bound` is "lower" where they lie above the
    measured budgets, "upper" where they lie below."""

    effective: float | None
    bound: Literal["lower", "upper"] | None
    monotone: bool
    """No larger budget has a worse value."""


def read_off(unique: Floats, values: Floats, value: float, *, higher: bool) -> Reading:
    """The unique tokens from which on the baseline is at least as good as a value.

    It is persistent, as a crossover is: a smaller budget that is as good by chance, with a worse
    one above it, does not count. Between budgets, values are lines in log unique tokens.

    Args:
        unique: increasing.
        values: the baseline's value at each budget.
    """
    place = float(places(unique, values[None], np.array([value]), higher=higher)[0])
    steps = np.diff(values) if higher else -np.diff(values)
    monotone = bool(np.all(steps >= 0))
    if np.isfinite(place):
        return Reading(place, None, monotone)
    return Reading(None, "lower" if place > 0 else "upper", monotone)


def places(unique: Floats, values: Floats, value: Floats, *, higher: bool) -> Floats:
    """`read_off` for rows of values (rows, budgets): inf above all budgets, -inf below them."""
    lead = (values - value[:, None]) * (1.0 if higher else -1.0)
    good = lead >= 0
    out = np.where(good.all(axis=1), -np.inf, np.inf)
    # As good as the smallest budget is not beyond it.
    out[good.all(axis=1) & (lead[:, 0] == 0)] = unique[0]
    rows = np.flatnonzero(good[:, -1] & ~good.all(axis=1))
    last = lead.shape[1] - 1 - np.argmax(~good[rows, ::-1], axis=1)
    before, after = lead[rows, last], lead[rows, last + 1]
    logs = np.log(unique)
    share = before / (before - after)
    at = np.exp(logs[last] + share * (logs[last + 1] - logs[last]))
    out[rows] = np.where(after == 0, unique[last + 1], at)  # exp(log) rounds
    return np.asarray(out)


def effective_data(
    results: Path,
    study: str,
    metric: str,
    at: At = "best",
    baseline: Side | None = None,
    challenger: Side | None = None,
) -> list[dict[str, Any]]:
    """What every challenger group's unique tokens are worth, in the baseline's.

    Seeds are averaged. The interval is a t interval over the seeds' own answers, or, without
    several seeds, from each curve's scatter (see `analysis.intervals`). Between its budgets the
    baseline is taken for a line in log unique tokens; the error of that is not in the interval.

    Args:
        at: compare each run's best value, or its last.

    Returns:
        Rows with "group", "unique_tokens" and "value" of the challenger,
        "effective_unique_tokens" and its "ratio" to the challenger's own, both None outside the
        baseline's "range", where "bound" says on which side and "ratio_lower_bound" or
        "ratio_upper_bound" how far; "ci95" (unique tokens, a limit None outside the range).

    Raises:
        InputError: no such study or metric, or no challenger has a baseline of equal keys.
    """
    if at not in ("best", "final"):
        raise InputError(f"at {at}: expected best or final.")
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
        raise InputError(
            f"study {study}: no runs of {side_name(sides[0])} and {side_name(sides[1])} share all "
            "keys but the unique tokens."
        )
    differing = differing_keys([family.keys for family in families])
    question = Question(study, metric, at, side_name(sides[0]), side_name(sides[1]))
    rows = []
    for family in families:
        for unique, curves in _by_budget(family.challenger).items():
            group = named_group(family.keys, differing, curves[0])
            rows.append(
                {**question.head(), "group": group, **_row(family, unique, curves, question)}
            )
    return sorted(rows, key=lambda row: order_of(row["group"]))


@dataclass(frozen=True)
class Question:
    """What is compared: the metric, at which point of the runs, and the names of both sides."""

    study: str
    metric: str
    at: At
    baseline: str
    challenger: str

    def head(self) -> dict[str, Any]:
        """The question as the first columns of an answer's row."""
        return {
            "study": self.study,
            "metric": self.metric,
            "at": self.at,
            "baseline": self.baseline,
            "challenger": self.challenger,
        }

    @property
    def higher(self) -> bool:
        return higher_is_better(self.metric)

    def value(self, rows: Floats) -> Floats:
        """The best or the last of each row of values."""
        if self.at == "final":
            return rows[:, -1]
        return np.asarray(rows.max(axis=1) if self.higher else rows.min(axis=1))

    def mean(self, curves: list[Curve]) -> float:
        return float(np.mean([self.value(curve.y[None])[0] for curve in curves]))


def _by_budget(curves: list[Curve]) -> dict[float, list[Curve]]:
    budgets: dict[float, list[Curve]] = {}
    for curve in sorted(curves, key=lambda c: c.keys[UNIQUE]):
        budgets.setdefault(float(curve.keys[UNIQUE]), []).append(curve)
    return budgets


def _row(family: Shared, unique: float, curves: list[Curve], question: Question) -> dict[str, Any]:
    budgets = _by_budget(family.baseline)
    axis = np.array(list(budgets))
    values = np.array([question.mean(budget_curves) for budget_curves in budgets.values()])
    value = question.mean(curves)
    reading = read_off(axis, values, value, higher=question.higher)
    bound = {"lower": float(axis[-1]), "upper": float(axis[0]), None: None}[reading.bound]
    interval = interval_of(budgets, curves, question, reading)
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
        "imported": any(c.imported for c in [*curves, *family.baseline]),
        "note": _note(reading, axis, question),
    }


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


def interval_of(
    budgets: dict[float, list[Curve]], curves: list[Curve], question: Question, reading: Reading
) -> dict[str, Any]:
    """The 95 % interval of the effective unique tokens, and how it was made."""
    axis = np.array(list(budgets))
    if reading.effective is None:
        return no_interval("no effective unique tokens to give an interval of")
    common_seeds = [
        seed
        for seed in (curve.seed for curve in curves)
        if all(any(c.seed == seed for c in budget_curves) for budget_curves in budgets.values())
    ]
    if len(common_seeds) >= 2:
        seed_values = [_of_seed(budgets, curves, question, seed) for seed in common_seeds]
        if not np.all(np.isfinite(seed_values)):
            return no_interval("a seed's answer lies outside the measured range")
        return {
            "ci95": t_interval(seed_values),
            "ci95_method": f"t interval over {len(common_seeds)} seeds",
            "ci95_note": None,
        }
    rng = np.random.default_rng(RANDOM_SEED)
    challenger_draws = _resampled(curves, question, rng)
    baseline_draws = [
        _resampled(budget_curves, question, rng) for budget_curves in budgets.values()
    ]
    if challenger_draws is None or any(draws is None for draws in baseline_draws):
        return no_interval(f"fewer than {MIN_POINTS} points")
    resampled_places = places(
        axis,
        np.stack([draws for draws in baseline_draws if draws is not None], axis=1),
        challenger_draws,
        higher=question.higher,
    )
    interval = percentiles(resampled_places, estimate=reading.effective)
    outside = [
        f"the {end} limit lies {where} the measured budgets"
        for end, where, limit in zip(("lower", "upper"), ("below", "above"), interval, strict=True)
        if limit is None
    ]
    return {
        "ci95": interval,
        "ci95_method": f"block bootstrap of residuals, {RESAMPLES} resamples",
        "ci95_note": "; ".join(outside) or None,
    }


def _of_seed(
    budgets: dict[float, list[Curve]], curves: list[Curve], question: Question, seed: Any
) -> float:
    value, *values = (
        question.mean([curve for curve in group if curve.seed == seed])
        for group in (curves, *budgets.values())
    )
    axis = np.array(list(budgets))
    return float(places(axis, np.array([values]), np.array([value]), higher=question.higher)[0])


def _resampled(curves: list[Curve], question: Question, rng: np.random.Generator) -> Floats | None:
    """1,000 draws of the mean best or final value, from each curve's scatter."""
    draws = []
    for curve in curves:
        smooth = smooth_curve(curve.x["tokens"], curve.y)
        if smooth is None:
            return None
        draws.append(question.value(smooth.resamples(rng, RESAMPLES)))
    return np.asarray(np.mean(draws, axis=0))
