"""Curves of runs: any metrics along any axis."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import StudyCurves, chosen, load_curves
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.figures.axes import (
    Beginning,
    beginning,
    linear_axis,
    log_axis,
    metric_title,
    plain_axis,
)
from workbench.figures.figure import Figure
from workbench.figures.points import (
    OBJECTIVE,
    POINTS,
    Band,
    Family,
    Smoothing,
    by_number,
    distinguishing_keys,
    families,
    numbered,
)
from workbench.figures.theme import (
    AXIS_TITLES,
    DASHES,
    INK,
    Style,
    finished,
    group_text,
    heading,
    key_text,
    measured,
    palette,
    series_channels,
    stroke_legend,
    styles_of,
    wrapped,
)
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name

WIDTH, HEIGHT = 290, 220
Loader = Callable[[Path, str, str], StudyCurves]
_MARKERS = 10
_DOTTED = 40  # points a curve; a thinned curve has more, and is drawn without dots
_MOST_LABELS = 14  # twice as many as there are dashes


@dataclass(frozen=True)
class Look:
    """The axes' scales."""

    log_x: bool = True
    log_y: bool = False


def curves_figure(
    results: Path,
    study: str,
    metrics: list[str],
    axis: str = "tokens",
    *,
    facet: str | None = None,
    dash: str | None = None,
    colour: str | None = None,
    smoothing: Smoothing = 0.0,
    band: Band = "range",
    where: Conditions = (),
    look: Look | None = None,
    load: Loader = load_curves,
) -> Figure:
    """Metrics along an axis. Colour is the objective, dash the value of the other keys that differ.

    Args:
        facet: a key whose values get a panel each; without it, each metric gets one panel.
        dash: the only key that dashes stand for; every key that differs by default.
        colour: a key that colours stand for instead of the objective.
        smoothing: see `points.families`. The values as measured are in the data too, as "raw".
        band: around the mean over seeds.
        where: draw only the runs that meet these conditions.
        load: reads curves: from the store, or from a cache of it.

    Raises:
        InputError: there is no such study, metric or axis, or no run has the key or the value.
    """
    look = look or Look()
    panels, parts = [], []
    loaded = {
        metric: families(
            chosen(load(results, study, metric), where), axis, smoothing=smoothing,
            band=band, limit=POINTS // len(metrics), log=look.log_x,
        )
        for metric in metrics
    }  # fmt: skip
    every = [family for members in loaded.values() for family in members]
    legend = Legend.of(every, facet, dash, colour)
    notes = measures(loaded)
    for metric, of_metric in loaded.items():
        places = [family.frame["x"].to_numpy() for family in of_metric]
        begin = beginning(places) if look.log_x else Beginning(0.0)
        span = begin.inside(np.concatenate(places))
        notes += begin.note(axis)
        for title, members in _facets(of_metric, facet):
            rows = point_rows(members, legend.keys, metric, colour)
            rows = rows.with_columns(panel=pl.lit(title))
            parts.append(rows)
            panel_title = f"{metric}, {title}" if title and len(metrics) > 1 else title
            panels.append(panel(rows, metric, axis, panel_title, legend, span, look))
    notes = list(dict.fromkeys(notes))
    if legend.unlabelled:
        notes.append(f"{legend.unlabelled} configurations: more than dashes can show")
    chart = alt.concat(*panels, columns=min(3, len(panels))).properties(
        title=heading(f"{study}: {', '.join(metrics)}", notes)
    )
    return Figure(finished(chart), pl.concat(parts), f"{study}: {', '.join(metrics)}")


class Legend:
    """What a figure's colours, shapes and dashes stand for, the same in all of its panels."""

    def __init__(self, every: list[Family], keys: list[str], colour: str | None = None) -> None:
        self.keys = keys
        if colour is None:
            names = {family.objective: legend_name(family) for family in every}
            self.styles = {names[o]: style for o, style in styles_of(names).items()}
        else:
            texts = sorted({json.dumps(f.keys.get(colour)) for f in every}, key=by_number)
            shown = [key_text(colour, json.loads(text)) for text in texts]
            known = sum(text != "null" for text in texts)
            # A run without the key is drawn in ink, outside the palette of the values.
            styles = [*palette(known), *[Style(INK, [1, 0], "circle")] * (len(texts) - known)]
            self.styles = dict(zip(shown, styles, strict=True))
        values = {json.dumps([family.keys.get(key) for key in keys]) for family in every}
        ordered = sorted(values, key=_by_numbers)
        self.labels = [
            group_text(dict(zip(keys, json.loads(text), strict=True))) for text in ordered
        ]
        self.unlabelled = len(ordered) if len(ordered) > _MOST_LABELS else 0
        self.labels = [] if self.unlabelled else self.labels

    @classmethod
    def of(
        cls, every: list[Family], facet: str | None, dash: str | None, colour: str | None = None
    ) -> "Legend":
        for key in (facet, dash, colour):
            if key is not None and not any(key in family.keys for family in every):
                raise InputError(f"no run has the key {key}.")
        if dash is not None:
            return cls(every, [dash], colour)
        keys = [key for key in distinguishing_keys(every) if key not in (facet, colour)]
        if colour not in (None, OBJECTIVE) and len({f.objective for f in every}) > 1:
            keys.insert(0, OBJECTIVE)
        return cls(every, keys, colour)

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
    """An objective, and whether its numbers are published or imported ones."""
    origin = "published" if published else "imported" if family.imported else ""
    return ", ".join(part for part in (display_name(family.objective), origin) if part)


def measures(loaded: dict[str, list[Family]]) -> list[str]:
    """Notes for each metric where a bound meets a likelihood: which objective has which."""
    lines = []
    for metric, every in loaded.items():
        kinds = {
            display_name(f.objective): measured(f.estimator, higher_is_better(metric)).strip(" ()")
            for f in every
        }
        if any("bound" in kind for kind in kinds.values()):
            text = "; ".join(f"{name}: {kind}" for name, kind in kinds.items() if kind)
            lines.append(f"{metric}: {text}")
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


def point_rows(
    members: list[Family], keys: list[str], metric: str, colour: str | None = None
) -> pl.DataFrame:
    """The points of several families, with the names that a legend shows.

    Column "curve" has the ids of the runs behind a point.
    """
    parts = []
    for family in members:
        label = group_text({key: family.keys.get(key) for key in keys})
        series = key_text(colour, family.keys.get(colour)) if colour else legend_name(family)
        parts.append(
            family.frame.with_columns(
                metric=pl.lit(metric),
                objective=pl.lit(family.objective),
                series=pl.lit(series),
                label=pl.lit(label),
                curve=pl.lit(" ".join(family.run_ids)),
                seeds=pl.lit(family.seeds),
                estimator=pl.lit(family.estimator, pl.String),
                marked=pl.Series(_marked(family.frame["x"].to_numpy())),
            )
        )
    return pl.concat(parts)


def _marked(x: np.ndarray) -> np.ndarray:
    """The first point of each of ten equal stretches of the logarithmic axis."""
    t = np.log(np.maximum(x, x[x > 0].min())) if (x > 0).any() else x
    stretch = ((t - t[0]) / max(t[-1] - t[0], 1e-12) * _MARKERS).astype(int)
    return np.diff(stretch, prepend=-1) > 0


def panel(
    rows: pl.DataFrame,
    metric: str,
    axis: str,
    title: str,
    legend: Legend,
    span: np.ndarray,
    look: Look | None = None,
) -> Any:
    """One panel of curves: bands, lines, and markers whose shape repeats the colour.

    Args:
        span: the places that the axis has; what lies before them is cut off.
    """
    look = look or Look()
    x, y = _panel_axes(rows, metric, axis, span, look)
    channels, shape = legend.channels()
    # Points are joined by curve, even if curves share a colour and a dash.
    detail = alt.Detail("curve:N")
    shown = numbered(rows).drop(
        "objective", "seeds", "estimator", "metric", "raw", "panel", strict=False
    )
    base = alt.Chart(shown.drop("marked"))
    tips = [
        alt.Tooltip("x:Q", title=AXIS_TITLES[axis], format=",.6~g"),
        alt.Tooltip("value:Q", title=metric, format=".5~g"),
        alt.Tooltip("series:N", title="curve"),
        *([alt.Tooltip("label:N", title="of")] if legend.keys else []),
    ]
    layers: list[Any] = []
    if rows["low"].null_count() < rows.height:
        band = [x, alt.Y("low:Q"), alt.Y2("high:Q"), channels[0], detail]
        layers.append(base.mark_area(opacity=0.18, tooltip=None, clip=True).encode(*band))
    layers.append(
        base.mark_line(strokeWidth=1.8, clip=True).encode(x, y, *channels, detail, tooltip=tips)
    )
    if len(legend.labels) > 1:
        marked = shown.filter("marked").select("x", "value", "series", "label")
        marks = alt.Chart(marked).mark_point(filled=True, size=34, opacity=1, clip=True)
        layers.append(marks.encode(x, y, channels[0], shape, tooltip=tips))
    elif rows.height <= _DOTTED * max(1, rows["curve"].n_unique()):
        marks = base.mark_point(filled=True, size=12, opacity=1, clip=True)
        layers.append(marks.encode(x, y, channels[0], tooltip=tips))
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    return chart.properties(title=wrapped(title)) if title else chart


def _panel_axes(
    rows: pl.DataFrame, metric: str, axis: str, span: np.ndarray, look: Look
) -> tuple[Any, Any]:
    values = Beginning(float(span.min())).values(rows, "value", "low", "high")
    title = metric_title(metric)
    x = (
        log_axis("x:Q", AXIS_TITLES[axis], span, most=5)
        if look.log_x
        else plain_axis("x:Q", AXIS_TITLES[axis])
    )
    if not look.log_y:
        return x, linear_axis("value:Q", title, values)
    if not (values > 0).all():
        raise InputError(f"{metric}: a logarithmic axis has no place for values of 0 and below.")
    return x, log_axis("value:Q", title, values, channel=alt.Y, powers=False)
