"""Curves of runs: any metrics along any axis."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Floats, Loader, chosen, load_curves
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.figures import crowd
from workbench.figures.axes import (
    Beginning,
    beginning,
    linear_axis,
    log_axis,
    metric_title,
    plain_axis,
)
from workbench.figures.figure import Figure
from workbench.figures.legend import Legend, channels_of, panels_by
from workbench.figures.points import DOTTED, POINTS, SPARSE, Band, Family, Smoothing, families
from workbench.figures.text_size import wrapped_to
from workbench.figures.theme import (
    AXIS_TITLES,
    SIZES,
    finished,
    heading,
    key_name,
    measured,
    place_text,
)
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name

WIDTH, HEIGHT = 290, 220
_MARKERS = 10
_FULL = 8  # curves of a panel that are drawn in full; more are fainter, down to _FAINTEST
_FAINTEST = 0.4


@dataclass(frozen=True)
class Look:
    """The axes' scales, and the part of the x axis that is drawn."""

    log_x: bool = True
    log_y: bool = False
    x_from: float | None = None
    x_to: float | None = None

    def cut(self, span: Floats, axis: str) -> Floats:
        """The places of an axis between the limits, which are places of it too.

        Raises:
            InputError: no place lies between them.
        """
        low = span.min() if self.x_from is None else self.x_from
        high = span.max() if self.x_to is None else self.x_to
        inside = span[(span >= low) & (span <= high)]
        if not len(inside) or (self.log_x and low <= 0):
            raise InputError(
                f"no curve has a point from {place_text(low, axis)} to {place_text(high, axis)}: "
                f"they lie from {place_text(span.min(), axis)} to {place_text(span.max(), axis)}."
            )
        return np.r_[low, inside, high]


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
    single: bool = False,
    load: Loader = load_curves,
) -> Figure:
    """Metrics along an axis. Colour is the objective, dash the value of the other keys that differ.

    Args:
        facet: a key whose values get a panel each, or "none"; by default see `channels_of`.
        dash: the only key that dashes stand for; every key that differs by default, as long as
            there are dashes.
        colour: a key that colours stand for instead of the objective.
        smoothing: the width of a window in units of the axis: see `points.smoothed`. The values as
            measured are drawn faintly behind, and are in the data too, as "raw".
        band: around the mean over seeds.
        where: draw only the runs that meet these conditions.
        single: draw every curve, also where a panel has more than 20; their median and quartiles
            stand for them otherwise.
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
    channels = channels_of(every, facet, dash, colour)
    legend = Legend(every, channels.dashes, channels.colour)
    notes = measures(loaded) + _smoothing_notes(loaded, smoothing, axis)
    for metric, of_metric in loaded.items():
        places = [family.frame["x"].to_numpy() for family in of_metric]
        begin = beginning(places) if look.log_x and look.x_from is None else Beginning(0.0)
        span = look.cut(begin.inside(np.concatenate(places)), axis)
        notes += begin.note(axis)
        titled = panels_by(of_metric, channels.facet)
        most = max(len(members) for _, members in titled)
        many = most > crowd.MOST and not single
        opacity = 1.0 if many else max(_FAINTEST, min(1.0, _FULL / most))
        if many:
            titled = [(title, _medians(members, legend, look)) for title, members in titled]
            notes.append(f"median and middle half of the configurations, up to {most} in a panel")
        made = [
            (title, point_rows(members, legend, metric).with_columns(panel=pl.lit(title)))
            for title, members in titled
        ]
        values = _shown_values(pl.concat([rows for _, rows in made]), span)
        for title, rows in made:
            panel_title = f"{metric}, {title}" if title and len(metrics) > 1 else title
            panels.append(
                panel(rows, metric, axis, panel_title, legend, span, look, values, opacity)
            )
            parts.append(rows.drop("marked"))
    if legend.unlabelled:
        notes.append(f"{legend.unlabelled} configurations, more than there are dashes")
    elif channels.unnamed:
        named = " and ".join(map(key_name, channels.dashes))
        notes.append(f"{channels.unnamed} configurations a panel; dashes show {named} alone")
    chart = alt.concat(
        *panels,
        columns=min(3, len(panels)),
        title=heading(f"{study}: {', '.join(metrics)}", list(dict.fromkeys(notes))),
        usermeta={"behind": legend.behind()},
    )
    data = pl.concat(parts)
    if smoothing:
        data = data.with_columns(smoothing_window=pl.lit(float(smoothing)))
    return Figure(finished(chart), data, f"{study}: {', '.join(metrics)}")


def _smoothing_notes(loaded: dict[str, list[Family]], smoothing: Smoothing, axis: str) -> list[str]:
    """Lines on what was smoothed, how widely, and what was not."""
    if not smoothing:
        return []
    notes = []
    for metric, members in loaded.items():
        plain = sum(not family.smoothed for family in members)
        if plain < len(members):
            notes.append(
                f"{metric}: smoothed, the mean over {place_text(smoothing, axis)} around each "
                "place, narrower at both ends; faint: as measured"
            )
        if plain:
            which = "" if plain == len(members) else f"{plain} of {len(members)} curves "
            notes.append(f"{metric}: {which}as measured, with fewer than {SPARSE} points to smooth")
    return notes


def _shown_values(rows: pl.DataFrame, span: Floats) -> Floats:
    """Every value, and end of a band, that lies within the x axis."""
    inside = rows.filter(pl.col("x").is_between(span.min(), span.max()))
    inside = rows if inside.is_empty() else inside
    return np.concatenate([inside[n].drop_nulls().to_numpy() for n in ("value", "low", "high")])


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


def point_rows(members: list[Family], legend: Legend, metric: str) -> pl.DataFrame:
    """The points of several families, with the names that the legend shows.

    Column "curve" has the ids of the runs behind a point.
    """
    behind = pl.DataFrame(
        {
            "objective": [family.objective for family in members],
            "series": [legend.series(family) for family in members],
            "label": [legend.label(family) for family in members],
            "curve": [" ".join(family.run_ids) for family in members],
            "seeds": [family.seeds for family in members],
            "estimator": pl.Series([family.estimator for family in members], dtype=pl.String),
        }
    )
    frames = [family.frame for family in members]
    counts = [frame.height for frame in frames]
    marked = np.concatenate([_marked(frame["x"].to_numpy()) for frame in frames])
    return pl.concat(
        [
            pl.concat(frames).with_columns(metric=pl.lit(metric)),
            behind[np.repeat(np.arange(len(members)), counts)],
            pl.DataFrame({"marked": marked}),
        ],
        how="horizontal",
    )


def _medians(members: list[Family], legend: Legend, look: Look) -> list[Family]:
    """The families of each colour and dash as one: their median and middle half."""
    groups: dict[tuple[str, str], list[Family]] = {}
    for family in members:
        label = legend.label(family) if legend.labels else ""
        groups.setdefault((legend.series(family), label), []).append(family)
    return [
        replace(
            own[0],
            keys={k: v for k, v in own[0].keys.items() if all(f.keys.get(k) == v for f in own)},
            seeds=max(family.seeds for family in own),
            run_ids=tuple(run_id for family in own for run_id in family.run_ids),
            frame=crowd.summarised([family.frame for family in own], log=look.log_x),
        )
        for own in groups.values()
    ]


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
    values: Floats | None = None,
    opacity: float = 1.0,
) -> Any:
    """One panel of curves: bands, lines, and markers whose shape repeats the colour.

    Args:
        span: the places that the axis has; what lies beside them is cut off.
        values: what the y axis has to include; the panel's own values by default.
        opacity: of lines. Fainter ones have no bands and no marks, which would hide them.
    """
    look = look or Look()
    own = _shown_values(rows, span) if values is None else values
    x, y = _panel_axes(metric, axis, span, own, look)
    channels, shape = legend.channels(marks=opacity == 1)
    # Points are joined by curve, even if curves share a colour and a dash.
    detail = alt.Detail("curve:N")
    count = rows["curve"].n_unique()
    behind = rows.select("curve", "seeds").unique(maintain_order=True).iter_rows()
    runs = {ids: legend.number(ids, seeds) for ids, seeds in behind}
    shown = rows.select(
        "x", "value", "low", "high", "series", "label", "marked", "raw",
        curve=pl.col("curve").replace_strict(runs, return_dtype=pl.Int32),
    )  # fmt: skip
    base = alt.Chart(shown.drop("marked", "raw"))
    full = opacity == 1
    width = 1.8 if full else 1.3
    layers: list[Any] = []
    if rows["low"].null_count() < rows.height and full:
        band = [x, alt.Y("low:Q"), alt.Y2("high:Q"), channels[0], detail]
        layers.append(base.mark_area(opacity=0.18, tooltip=None, clip=True).encode(*band))
    if (rows["raw"] != rows["value"]).any():
        raw = alt.Chart(shown.select("x", "raw", "series", "curve"))
        faint = raw.mark_line(strokeWidth=1, opacity=0.3, tooltip=None, clip=True)
        layers.append(faint.encode(x, alt.Y("raw:Q"), channels[0], detail))
    line = base.mark_line(strokeWidth=width, opacity=opacity, clip=True)
    layers.append(line.encode(x, y, *channels, detail))
    if full and len(legend.labels) > 1:
        marked = shown.filter("marked").select("x", "value", "series", "label")
        marks = alt.Chart(marked).mark_point(filled=True, size=34, opacity=opacity, clip=True)
        layers.append(marks.encode(x, y, channels[0], shape))
    elif full and rows.height <= DOTTED * count:
        marks = base.mark_point(filled=True, size=12, opacity=opacity, clip=True)
        layers.append(marks.encode(x, y, channels[0]))
    head = {"title": wrapped_to(title, WIDTH, SIZES.title, bold=True)} if title else {}
    return alt.layer(*layers, width=WIDTH, height=HEIGHT, **head)


def _panel_axes(
    metric: str, axis: str, span: Floats, values: Floats, look: Look
) -> tuple[Any, Any]:
    title = metric_title(metric)
    x = (
        log_axis("x:Q", AXIS_TITLES[axis], span, most=5)
        if look.log_x
        else plain_axis("x:Q", AXIS_TITLES[axis], look.x_from, look.x_to)
    )
    if not look.log_y:
        return x, linear_axis("value:Q", title, values)
    if not (values > 0).all():
        raise InputError(f"{metric}: a logarithmic axis has no place for values of 0 and below.")
    return x, log_axis("value:Q", title, values, channel=alt.Y, powers=False)
