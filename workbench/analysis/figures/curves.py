"""Curves of runs: any metric along any axis, and the paper's two arrangements of them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Curve, Floats, StudyCurves, load_curves, require_axis
from workbench.analysis.figures.theme import (
    AXIS_TITLES,
    FAINT,
    POINTS,
    Figure,
    finished,
    group_text,
    key_text,
    linear_axis,
    log_axis,
    measured,
    metric_title,
    name_of,
    series_scale,
    thinned,
)
from workbench.analysis.pairing import SEED, UNIQUE, differing_keys, following_keys, identity
from workbench.errors import InputError
from workbench.recipe.models import FOREIGN_KEYS

OBJECTIVE = "training.objective"
_WIDTH, _HEIGHT = 290, 220


@dataclass(frozen=True)
class Family:
    """The seeds of one configuration: mean curve, band, and what tells it from others."""

    keys: dict[str, Any]
    objective: str
    estimator: str | None
    imported: bool
    seeds: int
    frame: pl.DataFrame
    """x, value (smoothed where asked), raw, low, high."""


def families(
    loaded: StudyCurves, axis: str, *, smoothing: float = 0.0, limit: int = POINTS
) -> list[Family]:
    """A study's curves, the seeds of each configuration together.

    Args:
        smoothing: weight in [0, 1) that an exponential moving average, taken over points from
            the first to the last, gives to what came before. 0 for none.
        limit: points in all.
    """
    if not 0 <= smoothing < 1:
        raise InputError(f"smoothing {smoothing}: expected a number from 0 up to, not with, 1.")
    require_axis(loaded.curves, axis)
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for curve in loaded.curves:
        keys = {key: value for key, value in curve.keys.items() if key != SEED}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    share = max(20, limit // max(1, len(groups)))
    found = [_family(keys, curves, axis, smoothing, share) for keys, curves in groups.values()]
    return sorted(
        found,
        key=lambda f: (
            f.objective != "ar", f.objective, f.keys.get(UNIQUE) or 0, f.keys.get("n_params") or 0,
            identity(f.keys),
        ),
    )  # fmt: skip


def _family(
    keys: dict[str, Any], curves: list[Curve], axis: str, smoothing: float, limit: int
) -> Family:
    x = min(curves, key=lambda curve: curve.x[axis][-1]).x[axis]
    table = np.stack([np.interp(x, curve.x[axis], curve.y) for curve in curves])
    raw = table.mean(axis=0)
    value = smoothed(raw, smoothing)
    low, high = (table.min(axis=0), table.max(axis=0)) if len(curves) > 1 else (None, None)
    keep = thinned(x, value, limit)
    keep = keep[x[keep] > 0]  # a logarithm has no place for the start
    columns = {"x": x[keep], "value": value[keep], "raw": raw[keep]}
    frame = pl.DataFrame(columns).with_columns(
        low=pl.lit(None, pl.Float64) if low is None else pl.Series(low[keep]),
        high=pl.lit(None, pl.Float64) if high is None else pl.Series(high[keep]),
    )
    return Family(
        keys=keys,
        objective=str(keys.get(OBJECTIVE)),
        estimator=curves[0].estimator,
        imported=all(curve.imported for curve in curves),
        seeds=len(curves),
        frame=frame,
    )


def smoothed(values: Floats, weight: float) -> Floats:
    """Exponential moving average from the first point on, corrected for its start."""
    if weight == 0 or len(values) == 0:
        return values
    total, norm = 0.0, 0.0
    out = np.empty(len(values))
    for i, value in enumerate(values):
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        out[i] = total / norm
    return out


def telling_keys(every: list[Family]) -> list[str]:
    """The keys that a legend has to name: those that differ, and follow from no other."""
    keys = [family.keys for family in every]
    foreign = {key for names in FOREIGN_KEYS.values() for key in names}
    differing = [k for k in [UNIQUE, "n_params", *differing_keys(keys)] if k not in foreign]
    differing = [k for k in differing if len({json.dumps(one.get(k)) for one in keys}) > 1]
    told: list[str] = []
    for key in sorted(differing, key=lambda k: (k != UNIQUE, k != "n_params", k)):
        if key != OBJECTIVE and not any(key in following_keys(keys, other) for other in told):
            told.append(key)
    return told


def curves_figure(
    results: Path,
    study: str,
    metrics: list[str],
    axis: str = "tokens",
    *,
    facet: str | None = None,
    smoothing: float = 0.0,
    columns: int = 3,
) -> Figure:
    """Metrics along an axis: colour is the objective, dash the value of what else differs.

    Args:
        facet: a key whose values get a panel each; one panel a metric without.
        smoothing: see `families`. The unsmoothed values are in the data too.

    Raises:
        InputError: no such study, metric or axis, or a facet that no run has.
    """
    panels, parts = [], []
    for metric in metrics:
        every = families(
            load_curves(results, study, metric), axis, smoothing=smoothing,
            limit=POINTS // len(metrics),
        )  # fmt: skip
        told = telling_keys(every)
        for title, members in _facets(every, facet):
            rows = _rows(members, [key for key in told if key != facet], metric)
            parts.append(rows.with_columns(panel=pl.lit(title or metric)))
            panels.append(_panel(rows, metric, axis, title))
    chart = alt.concat(*panels, columns=min(columns, len(panels))).resolve_scale(
        color="independent", strokeDash="independent"
    )
    return Figure(finished(chart), pl.concat(parts), f"{study}: {', '.join(metrics)}")


def _facets(every: list[Family], facet: str | None) -> list[tuple[str, list[Family]]]:
    if facet is None:
        return [("", every)]
    if not any(facet in family.keys for family in every):
        raise InputError(f"--facet {facet}: no run has that key.")
    values = sorted({json.dumps(family.keys.get(facet)) for family in every}, key=_by_number)
    return [
        (
            key_text(facet, json.loads(value)),
            [family for family in every if json.dumps(family.keys.get(facet)) == value],
        )
        for value in values
    ]


def _by_number(text: str) -> tuple[int, float, str]:
    value = json.loads(text)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (0, float(value), "") if is_number else (1, 0.0, text)


def _rows(members: list[Family], told: list[str], metric: str) -> pl.DataFrame:
    """The points of several families, with the names that a legend shows."""
    parts = []
    for family in members:
        label = group_text({key: family.keys.get(key) for key in told})
        series = name_of(family.objective) + measured(family.estimator)
        series += ", imported" if family.imported else ""
        parts.append(
            family.frame.with_columns(
                metric=pl.lit(metric),
                objective=pl.lit(family.objective),
                series=pl.lit(series),
                label=pl.lit(label),
                curve=pl.lit(f"{series} {label}"),
                seeds=pl.lit(family.seeds),
            )
        )
    return pl.concat(parts)


def _panel(rows: pl.DataFrame, metric: str, axis: str, title: str) -> Any:
    series = rows["series"].unique(maintain_order=True).to_list()
    objectives = dict(zip(rows["series"].to_list(), rows["objective"].to_list(), strict=True))
    colours, _, shapes = series_scale(series, objectives)
    labels = rows["label"].unique(maintain_order=True).to_list()
    x = log_axis("x:Q", AXIS_TITLES[axis], rows["x"].to_numpy(), most=5)
    y = linear_axis("value:Q", metric_title(metric, rows["value"].to_numpy()))
    pointed = len(labels) == 1 and rows.height <= 400
    legend = alt.Legend(
        orient="bottom",
        columns=1,
        symbolSize=90 if pointed else 400,
        symbolType=alt.Undefined if pointed else "stroke",
    )
    colour: Any = alt.Color(
        "series:N", title=None, scale=alt.Scale(domain=series, range=colours), legend=legend
    )
    encodings: list[Any] = [x, y, colour, alt.Detail("curve:N")]
    if len(labels) > 1:
        encodings.append(alt.StrokeDash("label:N", title=None, sort=labels, legend=legend))
    base = alt.Chart(rows)
    layers: list[Any] = []
    if rows["low"].null_count() < rows.height:
        layers.append(
            base.mark_area(opacity=0.18).encode(
                x, alt.Y("low:Q"), alt.Y2("high:Q"), colour, alt.Detail("curve:N")
            )
        )
    layers.append(base.mark_line(strokeWidth=1.8).encode(*encodings))
    if pointed:
        shape = alt.Shape("series:N", scale=alt.Scale(domain=series, range=shapes), legend=None)
        layers.append(base.mark_point(filled=True, size=18, opacity=1).encode(x, y, colour, shape))
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT, title=title)


def put_together_figure(
    results: Path, study: str, metric: str, axis: str = "tokens", shade: str | None = None
) -> Figure:
    """A panel an objective with all of its configurations, the darker the larger the swept key
    (arXiv 2511.03276, the right-hand panels of Figures 1 to 3).

    Args:
        shade: the key that shades; the first that differs by default.
    """
    every = families(load_curves(results, study, metric), axis)
    told = telling_keys(every)
    key = shade or (told[0] if told else "n_params")
    panels, parts = [], []
    span = np.concatenate([family.frame["x"].to_numpy() for family in every])
    for objective in sorted({f.objective for f in every}, key=lambda o: (o != "ar", o)):
        members = [family for family in every if family.objective == objective]
        rows = _rows(members, [key], metric)
        values = sorted({json.dumps(f.keys.get(key)) for f in members}, key=_by_number)
        labels = [group_text({key: json.loads(value)}) for value in values]
        colour, _, _ = series_scale(["s"], {"s": objective})
        shades = _shades(colour[0], len(labels))
        x = log_axis("x:Q", AXIS_TITLES[axis], span, most=5)
        y = linear_axis("value:Q", metric_title(metric, rows["value"].to_numpy()))
        scale = alt.Scale(domain=labels, range=shades)
        legend = alt.Legend(
            orient="bottom", columns=1, symbolType="stroke", symbolSize=400, title=None
        )
        told_colour = alt.Color("label:N", scale=scale, legend=legend, sort=labels)
        chart = (
            alt.Chart(rows)
            .mark_line(strokeWidth=2)
            .encode(x, y, told_colour, alt.Detail("curve:N"))
            .properties(width=_WIDTH, height=_HEIGHT, title=rows["series"][0])
        )
        panels.append(chart)
        parts.append(rows)
    chart = alt.concat(*panels, columns=3).resolve_scale(color="independent", y="shared")
    return Figure(finished(chart), pl.concat(parts), f"{study}: {metric}, put together")


def _shades(colour: str, count: int) -> list[str]:
    """From light to the colour itself."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    shares = np.linspace(0.45, 1.0, count) if count > 1 else [1.0]
    mixed = [255 - (255 - rgb) * share for share in shares]
    return ["#" + "".join(f"{round(c):02x}" for c in one) for one in mixed]


def paper_arrangement_figure(
    results: Path,
    study: str,
    metrics: list[str],
    axis: str = "tokens",
    reference: str = "reference",
) -> Figure:
    """Rows are groups, columns metrics, AR against diffusion in each panel; the published curves
    of equal unique tokens are drawn faintly behind, where the store has them.
    """
    rows_of_panels, parts = [], []
    loaded = {metric: families(load_curves(results, study, metric), axis) for metric in metrics}
    told = telling_keys(loaded[metrics[0]])
    groups = _groups(loaded[metrics[0]], told)
    published = {} if study == reference else _published(results, reference, metrics, axis)
    for group in groups:
        panels = []
        for metric in metrics:
            members = [f for f in loaded[metric] if _in_group(f, group)]
            if not members:
                continue
            rows = _rows(members, [], metric)
            parts.append(rows.with_columns(panel=pl.lit(group_text(group))))
            panel = _panel(rows, metric, axis, group_text(group))
            behind = [
                f for f in published.get(metric, []) if f.keys.get(UNIQUE) == group.get(UNIQUE)
            ]
            panels.append(_with_published(panel, behind, rows) if behind else panel)
        rows_of_panels.append(alt.hconcat(*panels))
    chart = alt.vconcat(*rows_of_panels).resolve_scale(color="shared")
    return Figure(finished(chart), pl.concat(parts), f"{study}: the paper's arrangement")


def _groups(every: list[Family], told: list[str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for family in every:
        group = {key: family.keys.get(key) for key in told} or {UNIQUE: family.keys.get(UNIQUE)}
        found.setdefault(identity(group), group)
    return sorted(found.values(), key=lambda g: [_by_number(json.dumps(v)) for v in g.values()])


def _in_group(family: Family, group: dict[str, Any]) -> bool:
    return all(family.keys.get(key) == value for key, value in group.items())


def _published(
    results: Path, reference: str, metrics: list[str], axis: str
) -> dict[str, list[Family]]:
    found = {}
    for metric in metrics:
        try:
            found[metric] = families(load_curves(results, reference, metric), axis)
        except InputError:
            continue  # not imported, or without this metric
    return found


def _with_published(panel: Any, behind: list[Family], rows: pl.DataFrame) -> Any:
    lines = [
        alt.Chart(family.frame)
        .mark_line(strokeWidth=3, opacity=0.35, color=FAINT)
        .encode(alt.X("x:Q"), alt.Y("value:Q"))
        for family in behind
    ]
    return alt.layer(*lines, panel)
