"""Intervals of effective data where values of single documents are not known: over seeds, or from
each curve's scatter."""

from typing import Any

import numpy as np

from workbench.analysis.budgets import Question, Reading, places
from workbench.analysis.curves import Curve, Floats
from workbench.analysis.intervals import (
    MIN_POINTS,
    RANDOM_SEED,
    RESAMPLES,
    interval_over_seeds,
    no_interval,
    percentiles,
    smooth_curve,
)


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
        return interval_over_seeds(seed_values, [seed.text for seed in common_seeds])
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
