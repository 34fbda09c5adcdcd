"""The points of curves: seeds together, smoothed, and few enough to draw."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from workbench.analysis import run_keys
from workbench.analysis.curves import Curve, Floats, StudyCurves, require_axis
from workbench.analysis.run_keys import SEEDS, identity
from workbench.analysis.texts import influence, texts_of
from workbench.errors import InputError
from workbench.figures.theme import measured
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name

OBJECTIVE = "training.objective"
POINTS = 14_000
"""The most points that a figure draws: what a browser draws within a second."""
DOTTED = 40
"""Points of a curve that are drawn as dots too; of more, the line alone."""
_LEAST = 4
_CROWD, _CROWDED = 50, 70  # beyond so many curves in a panel, more points each cannot be seen
Band = Literal["range", "t95", "none"]
"""What is shown around a mean over seeds: its least and greatest, or the 95 % t interval."""
Smoothing = float
"""The width of the window that a point is averaged over, in units of the axis; 0 for none."""
SPARSE = 50
"""A curve of fewer points is drawn as it was measured, whatever smoothing is asked for."""


@dataclass(frozen=True)
class Family:
    """The seeds of one configuration: mean curve, band, and the keys of the configuration."""

    keys: dict[str, Any]
    objective: str
    estimator: str | None
    imported: bool
    seeds: int
    run_ids: tuple[str, ...]
    frame: pl.DataFrame
    """x, value (smoothed where asked), raw, low, high."""
    smoothed: bool = False

    def series(self, metric: str, published: bool = False) -> str:
        """The name in a legend: objective, what a loss measures, and whether it was imported."""
        text = display_name(self.objective) + measured(self.estimator, higher_is_better(metric))
        origin = "published" if published else "imported" if self.imported else ""
        return f"{text}, {origin}" if origin else text


def families(
    loaded: StudyCurves,
    axis: str,
    *,
    smoothing: Smoothing = 0.0,
    band: Band = "range",
    limit: int = POINTS,
    log: bool = True,
) -> list[Family]:
    """A study's curves, with the seeds of each configuration averaged.

    Args:
        smoothing: see `smoothed`. The band is then that of the smoothed seeds. Curves of fewer than
            `SPARSE` points, as evaluations leave them, stay as measured.
        band: around the mean over seeds; there is none around a single one.
        limit: points in all, never more.
        log: whether the axis is logarithmic: points are thinned evenly along it, and what lies
            at zero is left out.

    Raises:
        InputError: runs do not have that axis, the window is no number from 0 on, the band is
            unknown, or there are more curves than points can show.
    """
    if not (isinstance(smoothing, int | float) and 0 <= smoothing < np.inf):
        raise InputError(
            f"smoothing {smoothing}: expected the width of a window in units of the axis, or 0 for "
            "none."
        )
    if band not in ("range", "t95", "none"):
        raise InputError(f"band {band}: expected range, t95 or none.")
    require_axis(loaded.curves, axis)
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for curve in loaded.curves:
        keys = {key: value for key, value in curve.keys.items() if key not in SEEDS}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    share = limit // max(1, len(groups))
    if share < _LEAST:
        raise InputError(
            f"{len(groups):,} curves are more than {limit:,} points can show: choose some of them."
        )
    if len(groups) > _CROWD:
        share = min(share, max(_CROWDED, limit // 2 // len(groups)))
    made = []
    for keys, curves in groups.values():
        x, table = _table(curves, axis, log)
        smooth = smoothing > 0 and len(x) >= SPARSE
        made.append(
            Family(
                keys=keys,
                objective=str(keys.get(OBJECTIVE)),
                estimator=curves[0].estimator,
                imported=all(curve.imported for curve in curves),
                seeds=len(curves),
                run_ids=tuple(curve.run_id for curve in curves),
                frame=_frame(
                    x, table, smoothing if smooth else 0.0, band, texts_of(curves), share, log
                ),
                smoothed=smooth,
            )
        )
    return [family for family in made if family.frame.height]


def _table(curves: list[Curve], axis: str, log: bool) -> tuple[Floats, Floats]:
    """Places of an axis, and the values of each curve there."""
    x = min(curves, key=lambda curve: curve.x[axis][-1]).x[axis]
    table = np.stack([np.interp(x, curve.x[axis], curve.y) for curve in curves])
    in_range = x > 0 if log else x >= 0  # a logarithm has no place for the start
    return x[in_range], table[:, in_range]


def _frame(
    x: Floats,
    table: Floats,
    window: float,
    band: Band,
    texts: list[Any],
    limit: int,
    log: bool,
) -> pl.DataFrame:
    raw = table.mean(axis=0)
    if window:
        table = smoothed(x, table, window)
    value = table.mean(axis=0) if window else raw
    low, high = _band(table, band, texts)
    drawn = thinned(x, value, limit, log=log)
    columns: dict[str, Floats] = {"x": x, "value": value, "raw": raw, "low": low, "high": high}
    frame = pl.DataFrame({name: column[drawn] for name, column in columns.items()})
    return frame.with_columns(pl.col("low", "high").fill_nan(None))


def _band(table: Floats, band: Band, texts: list[Any]) -> tuple[Floats, Floats]:
    """Low and high of each column; NaN without a band."""
    seeds = len(table)
    if seeds < 2 or band == "none":
        nothing = np.full(table.shape[1], np.nan)
        return nothing, nothing
    if band == "range":
        return table.min(axis=0), table.max(axis=0)
    from scipy import stats

    middle = table.mean(axis=0)
    own = influence(table, texts)
    half = stats.t.ppf(0.975, len(own) - 1) * np.sqrt((own**2).sum(axis=0))
    return middle - half, middle + half


def smoothed(x: Floats, values: Floats, window: float) -> Floats:
    """The mean of curves over a window around each place: of the lines that join their points, so
    that uneven places move nothing, and a straight line stays as it is.

    The window is centred, and narrows towards both ends: the first and the last value are the
    measured ones.

    Args:
        x: increasing.
        values: (..., points).
        window: its width, in units of x.
    """
    if len(x) < 3:
        return values
    half = np.minimum(window / 2, np.minimum(x - x[0], x[-1] - x))
    middle = values.mean(axis=-1, keepdims=True)  # areas of what is near zero keep their digits
    y, gaps = values - middle, np.diff(x)
    areas = np.cumsum((y[..., 1:] + y[..., :-1]) / 2 * gaps, axis=-1)
    areas = np.concatenate([np.zeros_like(y[..., :1]), areas], axis=-1)

    def area(ends: Floats) -> Floats:
        left = np.clip(np.searchsorted(x, ends, side="right") - 1, 0, len(x) - 2)
        way, gap = ends - x[left], gaps[left]
        rise = (y[..., left + 1] - y[..., left]) * way / np.where(gap > 0, gap, 1.0)
        return np.asarray(areas[..., left] + way * (y[..., left] + rise / 2))

    wide = half > 1e-9 * (x[-1] - x[0])  # areas have no digits for less
    mean = (area(x + half) - area(x - half)) / np.where(wide, 2 * half, 1.0)
    return np.where(wide, mean + middle, values)


def thinned(x: Floats, y: Floats, limit: int, *, log: bool = True) -> np.ndarray:
    """Indices of at most `limit` points that show a curve without losing a spike.

    They are the ends, and the least and the greatest value of each stretch of the axis.

    Args:
        x: increasing; above zero on a logarithmic axis.
        limit: at least 4.
    """
    n = len(x)
    if n <= limit:
        return np.arange(n)
    stretches = max(1, (limit - 2) // 2)
    t = np.log(x) if log else x
    bins = ((t - t[0]) / max(t[-1] - t[0], 1e-12) * stretches).astype(int)
    starts = np.flatnonzero(np.diff(np.minimum(bins, stretches - 1), prepend=-1))
    chosen = {0, n - 1}
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        part = y[start:stop]
        chosen |= {int(start + part.argmin()), int(start + part.argmax())}
    return np.array(sorted(chosen))


def longest_place(loaded: StudyCurves, axis: str) -> float:
    """The farthest place along an axis that any curve of a study has.

    Raises:
        InputError: runs do not have that axis.
    """
    require_axis(loaded.curves, axis)
    return float(max(curve.x[axis][-1] for curve in loaded.curves))


def distinguishing_keys(every: list[Family]) -> list[str]:
    """The keys that a legend has to name: those that distinguish the families."""
    return run_keys.distinguishing_keys([family.keys for family in every])


def by_number(text: str) -> tuple[int, float, str]:
    """Sorts JSON values: null first, numbers by size, then the others."""
    value = json.loads(text)
    if value is None:
        return (-1, 0.0, "")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if is_number else (1, 0.0, text)


def numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows with curves as numbers, a tenth of the bytes to send to a browser."""
    return rows.with_columns(curve=pl.col("curve").rank("dense"))
