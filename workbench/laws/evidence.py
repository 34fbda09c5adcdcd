"""What is known of the compute from which diffusion is the better use of U unique tokens.

Three sources speak of this critical compute, and the first that gives a value is used:

1. crossovers measured within a factor of `NEAR` of U, in the results folder and in the studies
   that ship, as exact points or bounds (`laws.measured_crossovers`);
2. laws of both objectives fitted to one study;
3. the published law (Prabhudesai et al. 2025, arXiv:2507.15857).

Each tells the range of its data and how far outside it the question lies. The range of the critical
compute comes from what was measured: readings by several metrics and definitions differ by up to
10 times at one U, and 95 % of further ones are expected within the range. The published law has no
interval: its range is how far measured crossovers, wherever they are, lie from it, and where the
nearest of them would lie here by the exponents that are known on the way.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from workbench.analysis.censored import fit_level
from workbench.analysis.curves import Floats
from workbench.analysis.trends import CENSORED, power_law_trend
from workbench.laws.best_loss import fitted_source
from workbench.laws.critical_compute import PUBLISHED, PUBLISHED_RANGE
from workbench.laws.critical_source import (
    MEASURED,
    PUBLISHED_LAW,
    Known,
    Question,
    Range,
    Source,
    range_text,
)
from workbench.laws.measured_crossovers import (
    NEAR,
    MeasuredCrossover,
    measured_crossovers,
    measured_near,
    nearest_readings,
    ranges_of,
    text_of,
)
from workbench.laws.predictors import Predictor, stored_predictors

SPAN = 1.5
"""How many times the unique tokens of crossovers differ, at least, for an exponent."""
FEW = 3
"""With fewer pairs of curves near the question, how they scatter is taken from all others."""


@dataclass(frozen=True)
class Evidence:
    """Measured crossovers and fitted laws, to be asked about any number of unique tokens."""

    measured: list[MeasuredCrossover] = field(default_factory=list)
    fits: list[list[Predictor]] = field(default_factory=list)
    """Pairs of AR's and the challenger's law, of one study each."""

    def about(self, question: Question, fitted: Source | None = None) -> Known:
        """What the sources say, in the order in which they count.

        Args:
            fitted: what a fit at hand says. By default the stored fit whose data are nearest, which
                counts after the published law where they are not near.
        """
        measured = self._measured(question)
        near = measured is not None and _factor(measured) <= NEAR
        law = self._published(question, None if near else measured)
        before, after = ([measured], []) if near else ([], [measured])
        if fitted is None and self.fits:
            nearest = min(self.fits, key=lambda pair: _distance(question, pair))
            stored = fitted_source(nearest, question)
            (before if _distance(question, nearest) <= NEAR else after).insert(1, stored)
        asked = [*before, fitted, law, *after]
        return Known(question, tuple(source for source in asked if source is not None))

    def near(self, unique: float) -> list[MeasuredCrossover]:
        """The crossovers measured within a factor of `NEAR` of so many unique tokens."""
        return measured_near(self.measured, unique)

    def _measured(self, question: Question) -> Source | None:
        """What those near the question say, or, where none of them crossed, the nearest that did
        as well."""
        unique = question.unique_tokens
        points = self.near(unique)
        crossed = [point for point in self.measured if point.status == "crossed"]
        far = not any(point.status == "crossed" for point in points)
        if far and crossed:
            nearest = min(crossed, key=lambda p: abs(np.log(p.unique_tokens / unique)))
            there = self.near(nearest.unique_tokens)
            points = [*points, *(p for p in there if p.status == "crossed" and p not in points)]
        if not points:
            return None
        data = ranges_of(
            [p for p in points if p.status == "crossed"] if far and crossed else points
        )
        # Two equal readings of one pair of curves are one.
        distinct = list({(p.curve, p.status, p.compute): p for p in points}.values())
        expected, ends, exponent = self._expected(distinct, unique, far=far)
        return Source(
            MEASURED, text_of(points), expected, ends, exponent, data, question.outside(data),
            readings=nearest_readings(points, unique),
        )  # fmt: skip

    def _expected(
        self, points: list[MeasuredCrossover], unique: float, *, far: bool
    ) -> tuple[float | None, Range, float]:
        """The critical compute at U, its range and exponent.

        Args:
            far: whether U is farther from the points than their own trend can be followed.
        """
        crossed = [point for point in points if point.status == "crossed"]
        if not crossed:
            below = [p for p in points if p.status == "not_reached" and p.unique_tokens <= unique]
            return None, (max((p.compute for p in below), default=None), None), PUBLISHED["p"]
        enough, n = len({point.curve for point in crossed}) >= FEW, len(crossed)
        if enough and not far and _span(crossed) >= SPAN:
            trend = power_law_trend(*_arrays(points), [point.status for point in points])
            expected, interval = trend.predict(unique)
            if expected is not None and trend.exponent is not None:
                if interval is not None and interval[0] < interval[1]:
                    return expected, (interval[0], interval[1]), trend.exponent
                return expected, _hull(_around(expected, n, *self.scatter())), trend.exponent
        return self._transported(points, unique, enough=enough)

    def _transported(
        self, points: list[MeasuredCrossover], unique: float, *, enough: bool
    ) -> tuple[float, Range, float]:
        """From too few places for a trend of their own: to U by the mean, the least and the
        greatest exponent that is known.

        Args:
            enough: whether so many curves are near that their own scatter counts.
        """
        x, y = _arrays(points)
        side = np.array([CENSORED[point.status] for point in points])
        n = int((side == 0).sum())
        exponents = self.exponents(unique, *x)
        middle = float(np.mean(exponents))
        places, ends = [], []
        for exponent in (middle, min(exponents), max(exponents)):
            level, scatter = fit_level(np.log(y) + exponent * np.log(unique / x), side)
            own = (scatter, n - 1) if enough and scatter else self.scatter()
            places.append(float(np.exp(level)))
            ends += _around(places[-1], n, *own)
        return places[0], _hull(ends), middle

    def exponents(self, *unique: float) -> list[float]:
        """How the critical compute grows between these numbers of unique tokens: the published
        exponent, and those of the families (a study, size, metric and definition) that crossed at
        several U within a factor of `NEAR` of what lies between; of all, where no family did."""
        families: dict[tuple[Any, ...], list[MeasuredCrossover]] = {}
        for point in self.measured:
            if point.status == "crossed":
                key = (point.study, point.n_params, point.metric, point.definition)
                families.setdefault(key, []).append(point)
        everywhere, near = [], []
        for family in families.values():
            x, y = _arrays(family)
            if _span(family) >= SPAN:
                everywhere.append(float(np.polyfit(np.log(x), np.log(y), 1)[0]))
                if max(x.min() / max(unique), min(unique) / x.max()) <= NEAR * (1 + 1e-9):
                    near.append(everywhere[-1])
        return [PUBLISHED["p"], *(near or everywhere)]

    def scatter(self) -> tuple[float, int]:
        """The standard deviation of log compute between metrics and definitions where one study
        was read in several ways at one size and U, pooled, and its degrees of freedom."""
        groups: dict[tuple[Any, ...], list[float]] = {}
        for point in self.measured:
            if point.status == "crossed":
                key = (point.study, point.n_params, point.unique_tokens)
                groups.setdefault(key, []).append(float(np.log(point.compute)))
        several = [np.array(group) for group in groups.values() if len(group) > 1]
        freedom = sum(len(group) - 1 for group in several)
        squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
        return (float(np.sqrt(squares / freedom)), freedom) if freedom else (0.0, 0)

    def _published(self, question: Question, far: Source | None) -> Source:
        """
        Args:
            far: what crossovers say that were measured far from the question.
        """
        expected = published(question.unique_tokens)
        ratios = [
            point.compute / published(point.unique_tokens)
            for point in self.measured
            if point.status == "crossed"
        ]
        note = "the published law was published without an interval"
        ends: list[float] = []
        if ratios:
            ends = [expected * ratio for ratio in (1.0, min(ratios), max(ratios))]
            ends += [end for end in (far.range if far else ()) if end is not None]
            note += (
                f"; the {len(ratios)} measured crossovers lie between {min(ratios):.3g} and "
                f"{max(ratios):.3g} times what it says"
            )
        if far:
            exponents = self.exponents(question.unique_tokens, *far.data["unique_tokens"])
            note += (
                f", and the nearest of them, {_factor(far):.3g} times away in unique tokens, would "
                f"come to {range_text(*far.range)} here by exponents from "
                f"{min(exponents):.3g} to {max(exponents):.3g}"
            )
        note += "; its range here covers all of that" if ends else ""
        return Source(
            PUBLISHED_LAW,
            "C_crit = 2.12 x 10^1.956 x U^2.174, arXiv:2507.15857",
            expected,
            _hull(ends),
            PUBLISHED["p"],
            PUBLISHED_RANGE,
            question.outside(PUBLISHED_RANGE),
            (note,),
        )


def gather(results: Path, metric: str = "val_loss") -> Evidence:
    """All that a results folder and the shipped curves know.

    Args:
        results: a results folder or a dataset, with or without anything in it.
        metric: the one that is asked about; accuracies and `val_loss` always count.
    """
    return Evidence(measured_crossovers(results, metric), stored_predictors(results))


def published(unique: float) -> float:
    """The published critical compute, in FLOPs."""
    return float(PUBLISHED["k"] * unique ** PUBLISHED["p"])


def _factor(source: Source) -> float:
    """How many times beyond a source's data the unique tokens of the question are."""
    return source.outside.get("unique_tokens", 1.0) * (1 - 1e-9)


def _distance(question: Question, predictors: Iterable[Predictor]) -> float:
    factors = [
        question.outside({"unique_tokens": p.fitted_range["unique_tokens"]}).get("unique_tokens", 1)
        for p in predictors
        if "unique_tokens" in p.fitted_range
    ]
    return max(factors, default=float("inf"))


def _around(place: float, n: int, scatter: float, freedom: int) -> list[float]:
    """The 95 % prediction range of one more crossover around the level of n; none without degrees
    of freedom."""
    if not freedom:
        return []
    half = float(stats.t.ppf(0.975, freedom) * scatter * np.sqrt(1 + 1 / n))
    return [place * float(np.exp(-half)), place * float(np.exp(half))]


def _hull(ends: list[float]) -> Range:
    return min(ends, default=None), max(ends, default=None)


def _arrays(points: list[MeasuredCrossover]) -> tuple[Floats, Floats]:
    """Unique tokens and compute."""
    return (
        np.array([point.unique_tokens for point in points]),
        np.array([point.compute for point in points]),
    )


def _span(points: list[MeasuredCrossover]) -> float:
    """The most unique tokens over the fewest."""
    unique = _arrays(points)[0]
    return float(unique.max() / unique.min())
