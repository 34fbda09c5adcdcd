"""Curves of runs: any metrics along any axis."""

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import load_curves
from workbench.analysis.figures.axes import linear_axis, log_axis, metric_title
from workbench.analysis.figures.points import (
    POINTS,
    Band,
    Family,
    Smoothing,
    by_number,
    families,
    telling_keys,
)
from workbench.analysis.figures.theme import (
    AXIS_TITLES,
    DASHES,
    Figure,
    finished,
    group_text,
    heading,
    key_text,
    measured,
    name_of,
    series_channels,
    stroke_legend,
    styles_of,
    wrapped,
)
from workbench.errors import InputError
from workbench.metrics import higher_is_better

WIDTH, HEIGHT = 290, 220
_MARKERS = 10
_DOTTED = 60


def curves_figure(
    results: Path,
    study: str,
    metrics: list[str],
    axis: str = "tokens",
    *,
    facet: str | None = None,
    dash: str | None = None,
    smoothing: Smoothing = 0.0,
    band: Band = "range",
    columns: int = 3,
) -> Figure:
    """Metrics along an axis: colour is the objective, dash the value of what else differs.

    Args:
        facet: a key whose values get a panel each; one panel a metric without.
        dash: the only key that tells dashes apart; every key that differs by default.
        smoothing: see `points.families`. The values as measured are in the data too, as "raw".
        band: around the mean over seeds.

    Raises:
        InputError: no such study, metric or axis, or a key that no run has.
    """
    panels, parts = [], []
    loaded = {
        metric: families(
            load_curves(results, study, metric), axis, smoothing=smoothing, band=band,
            limit=POINTS // len(metrics),
        )
        for metric in metrics
    }  # fmt: skip
    legend = Legend.of([family for every in loaded.values() for family in every], facet, dash)
    for metric, every in loaded.items():
        span = np.concatenate([family.frame["x"].to_numpy() for family in every])
        for title, members in _facets(every, facet):
            rows = point_rows(members, legend.told, metric).with_columns(panel=pl.lit(title))
            parts.append(rows)
            named = f"{metric}, {title}" if title and len(metrics) > 1 else title
            panels.append(panel(rows, metric, axis, named, legend, span))
    chart = alt.concat(*panels, columns=min(columns, len(panels))).properties(
        title=heading(f"{study}: {', '.join(metrics)}", measures(loaded))
    )
    return Figure(finished(chart), pl.concat(parts), f"{study}: {', '.join(metrics)}")


class Legend:
    """What a figure's colours, shapes and dashes stand for, the same in all of its panels."""

    def __init__(self, every: list[Family], told: list[str]) -> None:
        self.told = told
        names = {family.objective: legend_name(family) for family in every}
        self.styles = {names[o]: style for o, style in styles_of(names).items()}
        values = {json.dumps([family.keys.get(key) for key in told]) for family in every}
        ordered = sorted(values, key=_by_numbers)
        self.labels = [
            group_text(dict(zip(told, json.loads(text), strict=True))) for text in ordered
        ]

    @classmethod
    def of(cls, every: list[Family], facet: str | None, dash: str | None) -> "Legend":
        for key in (facet, dash):
            if key is not None and not any(key in family.keys for family in every):
                raise InputError(f"no run has the key {key}.")
        told = [key for key in telling_keys(every) if key != facet] if dash is None else [dash]
        return cls(every, told)

    def channels(self) -> tuple[list[Any], Any]:
        """Encodings of lines, and the shape of the markers on them."""
        series, styles = list(self.styles), list(self.styles.values())
        if len(self.labels) < 2:
            colour, dash, shape = series_channels(series, styles)
            return [colour, dash], shape
        marks = alt.Legend(orient="bottom", columns=1, symbolSize=60, symbolDash=[1, 0], offset=8)
        colour, _, shape = series_channels(series, styles, legend=marks)
        shape.legend = marks
        dashes = [list(DASHES[i % len(DASHES)]) for i in range(len(self.labels))]
        dash = alt.StrokeDash(
            "label:N", title=None, sort=self.labels, legend=stroke_legend(),
            scale=alt.Scale(domain=self.labels, range=dashes),
        )  # fmt: skip
        return [colour, dash], shape


def _by_numbers(text: str) -> list[tuple[int, float, str]]:
    return [by_number(json.dumps(value)) for value in json.loads(text)]


def legend_name(family: Family, published: bool = False) -> str:
    """An objective, and whose numbers they are."""
    whose = "published" if published else "imported" if family.imported else ""
    return ", ".join(part for part in (name_of(family.objective), whose) if part)


def measures(loaded: dict[str, list[Family]]) -> list[str]:
    """For each metric where a bound meets a likelihood: which is which."""
    lines = []
    for metric, every in loaded.items():
        kinds = {
            name_of(f.objective): measured(f.estimator, higher_is_better(metric)).strip(" ()")
            for f in every
        }
        if any("bound" in kind for kind in kinds.values()):
            told = "; ".join(f"{name}: {kind}" for name, kind in kinds.items() if kind)
            lines.append(f"{metric}: {told}")
    return lines


def _facets(every: list[Family], facet: str | None) -> list[tuple[str, list[Family]]]:
    if facet is None:
        return [("", every)]
    values = sorted({json.dumps(family.keys.get(facet)) for family in every}, key=by_number)
    return [
        (
            key_text(facet, json.loads(value)),
            [family for family in every if json.dumps(family.keys.get(facet)) == value],
        )
        for value in values
    ]


def point_rows(members: list[Family], told: list[str], metric: str) -> pl.DataFrame:
    """The points of several families, with the names that a legend shows."""
    parts = []
    for family in members:
        label = group_text({key: family.keys.get(key) for key in told})
        parts.append(
            family.frame.with_columns(
                metric=pl.lit(metric),
                objective=pl.lit(family.objective),
                series=pl.lit(legend_name(family)),
                label=pl.lit(label),
                curve=pl.lit(json.dumps(family.keys, sort_keys=True, default=str)),
                seeds=pl.lit(family.seeds),
                estimator=pl.lit(family.estimator, pl.String),
                marked=pl.Series(_marked(family.frame["x"].to_numpy())),
            )
        )
    return pl.concat(parts)


def _marked(x: np.ndarray) -> np.ndarray:
    """The first point of each of ten equal stretches of the logarithmic axis."""
    t = np.log(x)
    stretch = ((t - t[0]) / max(t[-1] - t[0], 1e-12) * _MARKERS).astype(int)
    return np.diff(stretch, prepend=-1) > 0


def panel(
    rows: pl.DataFrame, metric: str, axis: str, title: str, legend: Legend, span: np.ndarray
) -> Any:
    """One panel of curves: bands, lines, and markers that repeat what colour says.

    Args:
        span: the places that the axis has to hold.
    """
    x = log_axis("x:Q", AXIS_TITLES[axis], span, most=5)
    y = linear_axis("value:Q", metric_title(metric, rows["value"].to_numpy()))
    channels, shape = legend.channels()
    # A curve's points stay together whatever else its legend says.
    detail = alt.Detail("curve:N")
    base = alt.Chart(rows.drop("objective", "seeds", "estimator", "metric"))
    layers: list[Any] = []
    if rows["low"].null_count() < rows.height:
        band = [x, alt.Y("low:Q"), alt.Y2("high:Q"), channels[0], detail]
        layers.append(base.mark_area(opacity=0.18).encode(*band))
    layers.append(base.mark_line(strokeWidth=1.8).encode(x, y, *channels, detail))
    if len(legend.labels) > 1:
        marks = base.transform_filter("datum.marked").mark_point(filled=True, size=34, opacity=1)
        layers.append(marks.encode(x, y, channels[0], shape))
    elif rows.height <= _DOTTED * max(1, rows["curve"].n_unique()):
        marks = base.mark_point(filled=True, size=12, opacity=1)
        layers.append(marks.encode(x, y, channels[0]))
    made = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    return made.properties(title=wrapped(title)) if title else made
