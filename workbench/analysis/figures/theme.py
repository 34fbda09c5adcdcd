"""What all figures share: colours, names, axes, and how they are saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Floats
from workbench.errors import InputError
from workbench.metrics import higher_is_better, unit
from workbench.output import pretty

# Okabe & Ito's colours, which colour-blind readers can tell apart; dashes and shapes repeat them.
COLOURS = {"ar": "#0072B2", "mdlm": "#D55E00"}
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [1, 3])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")
INK, FAINT, GRID = "#333333", "#9a9a9a", "#e4e4e4"
NAMES = {"ar": "AR", "mdlm": "masked diffusion"}
AXIS_TITLES = {
    "tokens": "training tokens",
    "epochs": "epochs",
    "flops": "training FLOPs",
    "flops_per_unique": "training FLOPs per unique token",
}
KEY_NAMES = {
    "unique_tokens": "unique tokens", "data.unique_tokens": "unique tokens",
    "n_params": "parameters", "training.seed": "seed",
}  # fmt: skip
POINTS = 20_000
"""The most points that a figure draws."""
# SI letters, but B for billions; powers of ten from 1e15 on.
_LABEL = (
    "datum.value >= 1e15 ? replace(format(datum.value, '.0e'), '+', '') : "
    "datum.value < 1000 ? format(datum.value, '~g') : "
    "replace(format(datum.value, '~s'), 'G', 'B')"
)


@dataclass(frozen=True)
class Figure:
    """A chart with the data that it draws, one row a mark."""

    chart: alt.TopLevelMixin
    data: pl.DataFrame
    title: str


def save(figure: Figure | alt.TopLevelMixin, path: Path) -> None:
    """Write a figure as .svg, .png, .pdf, .html or .json, by its suffix, and the data behind it
    as .csv beside it.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    if path.suffix not in (".svg", ".png", ".pdf", ".html", ".json"):
        raise InputError(f"--figure {path}: expected .svg, .png, .pdf, .html or .json.")
    chart = figure.chart if isinstance(figure, Figure) else figure
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"scale_factor": 2} if path.suffix == ".png" else {}
        if path.suffix == ".html":
            options["inline"] = True  # opens without a network
        chart.save(str(path), **options)
        if isinstance(figure, Figure):
            figure.data.write_csv(path.with_suffix(".csv"))
    except OSError as error:
        raise InputError(f"--figure {path}: cannot be written: {error.strerror}.") from None


def finished(chart: Any) -> Any:
    """The look that all figures have."""
    return (
        chart.configure_view(stroke="#d0d0d0")
        .configure_axis(
            labelColor=INK, titleColor=INK, labelFontSize=11, titleFontSize=12,
            titleFontWeight="normal", gridColor=GRID, domainColor="#888888", tickColor="#888888",
        )
        .configure_title(fontSize=13, subtitleFontSize=11, color=INK, subtitleColor="#666666",
                         anchor="start", fontWeight=600)
        .configure_legend(labelFontSize=12, titleFontSize=12, labelLimit=500, titleLimit=500)
        .configure_header(labelFontSize=12, titleFontSize=12)
    )  # fmt: skip


def colour_of(objective: str, place: int = 0) -> str:
    """An objective's colour: the same on every figure for the two that the paper compares."""
    return COLOURS.get(objective, OTHERS[place % len(OTHERS)])


def name_of(objective: str) -> str:
    return NAMES.get(objective, objective)


def series_scale(
    series: list[str], objectives: dict[str, str]
) -> tuple[list[str], list[list[int]], list[str]]:
    """Colours, dashes and shapes of series, by the objective of each."""
    known = sorted(set(objectives.values()), key=lambda o: (o != "ar", o != "mdlm", o))
    others = [o for o in known if o not in COLOURS]
    places = {o: others.index(o) if o in others else 0 for o in known}
    colours = [colour_of(objectives[s], places[objectives[s]]) for s in series]
    dashes = [DASHES[known.index(objectives[s]) % len(DASHES)] for s in series]
    shapes = [SHAPES[known.index(objectives[s]) % len(SHAPES)] for s in series]
    return colours, dashes, shapes


def measured(estimator: str | None) -> str:
    """A bound is called a bound beside an exact likelihood."""
    kind = (estimator or "").partition("/")[0]
    return {"nll": " (NLL)", "nelbo": " (NELBO, an upper bound)"}.get(kind, "")


def metric_title(metric: str, values: Floats | None = None) -> str:
    """A metric with its unit. Accuracies from elsewhere may be in percent: they tell by size."""
    percent = values is not None and len(values) > 0 and float(np.nanmax(values)) > 1.5
    known = "%" if percent and higher_is_better(metric) else unit(metric)
    return f"{metric} ({known})" if known else metric


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two bounds, few enough that their labels do not meet."""
    if not (low > 0 and high > low):
        return [low] if low > 0 else []
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(s * 10.0**d) for d in decades for s in steps]
        ticks = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
        if len(ticks) <= most:
            break
    if len(ticks) < 3:  # a fraction of a decade: even steps serve better
        ticks = even_ticks(low, high, most)
    while len(ticks) > most:
        ticks = ticks[::2]
    return ticks


def even_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two bounds."""
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough)
    first = np.ceil(low / step - 1e-9)
    return [float(f"{k * step:.10g}") for k in np.arange(first, high / step + 1e-9)]


def log_axis(
    field: str, title: str, values: Floats, *, channel: Any = alt.X, most: int = 6, **more: Any
) -> Any:
    """A logarithmic axis over positive values, with labels that people read."""
    good = np.asarray(values, dtype=float)
    good = good[np.isfinite(good) & (good > 0)]
    low, high = (float(good.min()), float(good.max())) if len(good) else (1.0, 10.0)
    if low == high:
        low, high = low / 2, high * 2
    pad = (high / low) ** 0.04
    return channel(
        field,
        title=title,
        scale=alt.Scale(type="log", domain=[low / pad, high * pad], nice=False),
        axis=alt.Axis(
            values=log_ticks(low / pad, high * pad, most),
            labelExpr=_LABEL,
            labelFlush=False,
            labelOverlap="greedy",
            gridOpacity=0.6,
        ),
        **more,
    )


def linear_axis(field: str, title: str, *, channel: Any = alt.Y, **more: Any) -> Any:
    return channel(
        field,
        title=title,
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(gridOpacity=0.6, tickCount=5),
        **more,
    )


def key_text(key: str, value: Any) -> str:
    """One key of a group in words: "1,000,000 unique tokens", "dropout 0.1"."""
    if key in ("unique_tokens", "data.unique_tokens", "n_params"):
        return f"{short(value)} {KEY_NAMES[key]}"
    if isinstance(value, str) and "/" in value:
        value = Path(value).name
    return f"{key.rpartition('.')[2]} {pretty(value)}"


def group_text(group: dict[str, Any], only: list[str] | None = None) -> str:
    """A group in words; labels that a figure of its other keys makes redundant are left out."""
    keys = group if only is None else {key: group[key] for key in only if key in group}
    return ", ".join(key_text(key, value) for key, value in keys.items())


def short(value: Any) -> str:
    """12,800 -> "12.8k", 1.5e9 -> "1.5B"; exact where it is small."""
    if value is None:
        return "?"
    number = float(value)
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if 1e15 > abs(number) >= size:
            return f"{number / size:.4g}{letter}"
    return f"{number:.3g}"


def place_text(x: float, axis: str) -> str:
    """A place along an axis, with its unit."""
    if axis == "tokens":
        return f"{short(float(f'{x:.3g}'))} tokens"
    return f"{x:.3g} {'epochs' if axis == 'epochs' else 'FLOPs'}"


def thinned(x: Floats, y: Floats, limit: int) -> np.ndarray:
    """Indices of at most about `limit` points: the least and the greatest of each stretch of the
    axis in its own, logarithmic, space, so that no spike is lost."""
    n = len(x)
    if n <= limit:
        return np.arange(n)
    t = np.log(np.maximum(x, 1e-300))
    bins = np.minimum(
        ((t - t[0]) / max(t[-1] - t[0], 1e-12) * (limit // 2)).astype(int), limit // 2 - 1
    )
    keep = {0, n - 1}
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        part = y[start:stop]
        keep |= {int(start + part.argmin()), int(start + part.argmax())}
    return np.array(sorted(keep))
