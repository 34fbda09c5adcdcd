"""Axes: logarithms with labels that people read, and units in titles."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Floats
from workbench.figures.theme import place_text
from workbench.metrics import unit

_STRETCH = 0.25
"""The share of a logarithmic axis that the way to a curve's second point may take."""

# 12.8k, 1M, 10B; FLOPs, and whatever is as large, as 1e20.
_POWER = "replace(format(datum.value, '.2~e'), '+', '')"
_PLAIN = (
    f"datum.value >= 1e15 ? {_POWER} : datum.value < 1000 ? format(datum.value, '~g') : "
    "replace(format(datum.value, '~s'), 'G', 'B')"
)


def metric_title(metric: str) -> str:
    """A metric with its unit."""
    known = unit(metric)
    return f"{metric} ({known})" if known else metric


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two bounds, few enough that their labels do not meet."""
    if not 0 < low < high:
        return [low] if low > 0 else []
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks: list[float] = []
    for steps in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(s * 10.0**d) for d in decades for s in steps]
        ticks = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
        if len(ticks) <= most:
            break
    while len(ticks) > most:
        ticks = ticks[::2]
    if len(ticks) >= 3 or (len(ticks) == 2 and high >= 10 * low):
        return ticks
    even = even_ticks(low, high, most)
    return even if len(even) > len(ticks) else ticks


def even_ticks(low: float, high: float, most: int) -> list[float]:
    """Evenly spaced round numbers between two bounds, as many as there may be, but two or more."""
    power = 10.0 ** (np.floor(np.log10((high - low) / most)))
    for step in (float(s * p) for p in (power, 10 * power) for s in (1, 2, 5)):
        first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
        if last - first < most:
            break
    # Rounded, so that 1.2e9 does not become 1200000000.0000002.
    return [float(f"{(first + i) * step:.6g}") for i in range(int(last - first) + 1)]


def span_of(values: Floats) -> tuple[float, float]:
    """The positive range of values, widened a little."""
    good = np.asarray(values, dtype=float)
    good = good[np.isfinite(good) & (good > 0)]
    low, high = (float(good.min()), float(good.max())) if len(good) else (1.0, 10.0)
    if low == high:
        low, high = low / 2, high * 2
    pad = (high / low) ** 0.04
    return low / pad, high * pad


@dataclass(frozen=True)
class Beginning:
    """Where an axis of curves begins, and the places before it that are not drawn."""

    at: float
    before: tuple[float, ...] = ()

    def note(self, axis: str) -> list[str]:
        """A line for the figure's subtitle, where points lie before the axis; else none."""
        if not self.before:
            return []
        ends = [place_text(place, axis) for place in (min(self.before), max(self.before))]
        where = ends[0] if ends[0] == ends[1] else f"{ends[0].split()[0]} to {ends[1]}"
        return [f"left of the axis: the first evaluation, at {where}"]

    def inside(self, x: Floats) -> Floats:
        """The places that the axis has."""
        return x[x >= self.at]

    def values(self, frame: pl.DataFrame, *columns: str, x: str = "x") -> Floats:
        """Every number of some columns of a frame whose place the axis has."""
        drawn = frame.filter(pl.col(x) >= self.at)
        if drawn.is_empty():
            drawn = frame
        return np.concatenate([drawn[c].drop_nulls().cast(pl.Float64).to_numpy() for c in columns])


def beginning(curves: Iterable[Floats], keep: Iterable[float | None] = ()) -> Beginning:
    """Where a logarithmic axis of curves begins.

    Runs are evaluated after their first step, and then after perhaps a twentieth of their steps. A
    first point so far before the second would press everything else into the axis' right half, so
    the axis begins at the second.

    Args:
        curves: the places of each curve, increasing.
        keep: places that the axis has to have, such as crossovers.
    """
    positive = [x[x > 0] for x in curves]
    positive = [x for x in positive if len(x)]
    if not positive:
        return Beginning(0.0)
    low, high = min(x[0] for x in positive), max(x[-1] for x in positive)
    reach = _STRETCH * np.log(high / low)
    starts = [x[1] if len(x) > 2 and np.log(x[1] / x[0]) > reach else x[0] for x in positive]
    at = float(min([*starts, *(place for place in keep if place)]))
    return Beginning(at, tuple(float(x[0]) for x in positive if x[0] < at))


def log_axis(
    field: str,
    title: str,
    values: Floats,
    *,
    channel: Any = alt.X,
    most: int = 6,
    powers: bool | None = None,
    at_values: bool = False,
    **options: Any,
) -> Any:
    """A logarithmic axis over the values that are above zero.

    Args:
        at_values: ticks are the values themselves, if they are few and their labels do not meet.
        powers: label as 1e20; by default where the title says FLOPs.
    """
    low, high = span_of(values)
    powers = "FLOPs" in title if powers is None else powers
    return channel(
        field,
        title=title,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(
            values=(at_values and _own_ticks(values, low, high)) or log_ticks(low, high, most),
            labelExpr=_POWER if powers else _PLAIN,
            labelFlush=False,
            labelOverlap="greedy",
            gridOpacity=0.6,
        ),
        **options,
    )


def _own_ticks(values: Floats, low: float, high: float) -> list[float]:
    """The values as ticks, or none where their labels would meet."""
    ticks = np.unique(values)
    if not 1 < len(ticks) <= 8 or ticks[0] <= 0:
        return []
    gap = np.diff(np.log(ticks)).min() / np.log(high / low)
    return [float(tick) for tick in ticks] if gap > 0.1 else []


def linear_axis(
    field: str, title: str, values: Floats | None = None, *, channel: Any = alt.Y, **options: Any
) -> Any:
    """A linear axis that need not begin at zero.

    Args:
        values: what it has to include; all that is drawn by default.
    """
    scale = alt.Scale(zero=False, nice=True)
    # Flush, so that the titles of panels beside each other are level.
    axis = alt.Axis(gridOpacity=0.6, tickCount=5, labelFlush=True)
    if values is not None and len(values):
        low, high = float(values.min()), float(values.max())
        scale.domain = [low, high]
        if low == high:  # one value, which no scale of its own has room for
            scale.domain, axis.values, axis.labelExpr = [low - 1, high + 1], [low], _PLAIN
    return channel(
        field,
        title=title,
        scale=scale,
        axis=axis,
        **options,
    )


def plain_axis(field: str, title: str, low: float | None = None, high: float | None = None) -> Any:
    """A linear axis, its labels as on a logarithmic one.

    Args:
        low: where it begins; at zero by default.
        high: where it ends; with what is drawn by default.
    """
    scale = alt.Scale(zero=low is None, nice=False)
    if low is not None:
        scale.domainMin = low
    if high is not None:
        scale.domainMax = high
    return alt.X(
        field,
        title=title,
        scale=scale,
        axis=alt.Axis(
            labelExpr=_POWER if "FLOPs" in title else _PLAIN, tickCount=5, gridOpacity=0.6
        ),
    )
