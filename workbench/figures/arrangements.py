"""The paper's two arrangements of curves (arXiv 2511.03276, Figures 1 to 3)."""

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import load_curves
from workbench.analysis.run_keys import UNIQUE, identity
from workbench.errors import InputError
from workbench.figures.axes import Beginning, beginning, linear_axis, log_axis, metric_title
from workbench.figures.figure import Figure
from workbench.figures.learning_curves import HEIGHT, WIDTH, measures, panel, point_rows
from workbench.figures.legend import Legend, leading_keys, legend_name
from workbench.figures.names import group_names
from workbench.figures.points import (
    POINTS,
    Family,
    by_number,
    distinguishing_keys,
    families,
    numbered,
)
from workbench.figures.theme import (
    AXIS_TITLES,
    colour_of,
    finished,
    heading,
    stroke_legend,
    styles_of,
)


def put_together_figure(
    results: Path, study: str, metric: str, axis: str = "tokens", shade: str | None = None
) -> Figure:
    """One panel for each objective with all of its configurations, shaded by the swept key.

    The larger the value, the darker; the fewer unique tokens, the darker, as in the paper.

    Args:
        shade: the key that shades; the one with the most values by default.
    """
    every = families(load_curves(results, study, metric), axis)
    key = shade or next(iter(leading_keys(every)), "n_params")
    if not any(key in family.keys for family in every):
        raise InputError(f"no run has the key {key}.")
    values = sorted({json.dumps(f.keys.get(key)) for f in every}, key=by_number)
    labels = group_names([{key: json.loads(value)} for value in values])
    legend = Legend(every, [key])
    begin, span = _span(every)
    levels = np.concatenate([begin.values(family.frame, "value") for family in every])
    panels, parts = [], []
    for objective in styles_of(family.objective for family in every):
        members = [family for family in every if family.objective == objective]
        rows = point_rows(members, legend, metric)
        shades = _shades(colour_of(objective), len(labels))
        if key in (UNIQUE, "unique_tokens"):
            shades.reverse()
        title = members[0].series(metric)
        panels.append(_shaded(rows, metric, axis, span, levels, labels, shades, title))
        parts.append(rows)
    chart = alt.concat(*panels, columns=3).resolve_scale(color="independent", y="shared")
    chart = chart.properties(title=heading(f"{study}: {metric}, put together", begin.note(axis)))
    return Figure(finished(chart), pl.concat(parts), f"{study}: {metric}, put together")


def _span(every: list[Family]) -> tuple[Beginning, np.ndarray]:
    """Where the axis of curves begins, and every place that it has."""
    places = [family.frame["x"].to_numpy() for family in every]
    begin = beginning(places)
    return begin, begin.inside(np.concatenate(places))


def _shaded(
    rows: pl.DataFrame,
    metric: str,
    axis: str,
    span: np.ndarray,
    levels: np.ndarray,
    labels: list[str],
    shades: list[str],
    title: str,
) -> Any:
    here = set(rows["label"].to_list())
    own = [(label, shade) for label, shade in zip(labels, shades, strict=True) if label in here]
    # A panel's own values alone, in the shades that they have in every panel.
    colour = alt.Color(
        "label:N", title=None, sort=labels, legend=stroke_legend() if len(own) > 1 else None,
        scale=alt.Scale(domain=[label for label, _ in own], range=[shade for _, shade in own]),
    )  # fmt: skip
    x = log_axis("x:Q", AXIS_TITLES[axis], span, most=5)
    y = linear_axis("value:Q", metric_title(metric), levels)
    return (
        alt.Chart(numbered(rows).select("x", "value", "label", "curve"))
        .mark_line(strokeWidth=2, clip=True)
        .encode(x, y, colour, alt.Detail("curve:N"))
        .properties(width=WIDTH, height=HEIGHT, title=title)
    )


def _shades(colour: str, count: int) -> list[str]:
    """From light to darker than the colour itself, so that neighbours differ visibly."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    shares = np.linspace(0.4, 1.45, count) if count > 1 else [1.0]
    mixed = [255 - (255 - rgb) * s if s <= 1 else rgb * (1 - 0.9 * (s - 1)) for s in shares]
    return ["#" + "".join(f"{round(float(c)):02x}" for c in channels) for channels in mixed]


def paper_arrangement_figure(
    results: Path,
    study: str,
    metrics: list[str],
    axis: str = "tokens",
    reference: str = "reference",
) -> Figure:
    """Panels in rows of groups and columns of metrics, with the objectives against each other.

    Published curves of the same metric and unique tokens are drawn faintly behind, where the store
    has them.
    """
    share = POINTS // len(metrics)
    loaded = {m: families(load_curves(results, study, m), axis, limit=share) for m in metrics}
    every = [family for members in loaded.values() for family in members]
    differing = distinguishing_keys(every)
    published = {} if study == reference else _published(results, reference, metrics, axis)
    legend = Legend(every, [])
    spans = {metric: _span(members) for metric, members in loaded.items()}
    panels, parts = [], []
    groups = _groups(every, differing)
    for group, name in zip(groups, group_names(groups), strict=True):
        for metric in metrics:
            members = [f for f in loaded[metric] if _in_group(f, group)]
            if not members:
                panels.append(_nothing(f"{name}: no {metric}"))
                continue
            rows = point_rows(members, legend, metric).with_columns(
                panel=pl.lit(name), published=pl.lit(False)
            )
            made = panel(rows, metric, axis, name, legend, spans[metric][1])
            behind = [f for f in published.get(metric, []) if _same_data(f, members[0])]
            parts.append(rows)
            if behind:
                rows = point_rows(behind, Legend(behind, []), metric).with_columns(
                    series=pl.lit("published"), panel=pl.lit(name), published=pl.lit(True)
                )
                parts.append(rows)
                made = alt.layer(*_faint(behind, ours=members), made)
            panels.append(made)
    data = pl.concat(parts)
    notes = measures(loaded)
    notes += dict.fromkeys(note for begin, _ in spans.values() for note in begin.note(axis))
    if data["published"].any():
        notes.append("faint and broad: published curves, as far as they lie near")
    # Groups of a single metric would make one long column.
    chart = alt.concat(*panels, columns=len(metrics) if len(metrics) > 1 else 3).properties(
        title=heading(f"{study}: {', '.join(metrics)}", notes)
    )
    return Figure(finished(chart), data, f"{study}: the paper's arrangement")


def _groups(every: list[Family], keys: list[str]) -> list[dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for family in every:
        group = {key: family.keys.get(key) for key in keys} or {UNIQUE: family.keys.get(UNIQUE)}
        groups.setdefault(identity(group), group)
    return sorted(groups.values(), key=lambda g: [by_number(json.dumps(v)) for v in g.values()])


def _in_group(family: Family, group: dict[str, Any]) -> bool:
    return all(family.keys.get(key) == value for key, value in group.items())


def _same_data(published: Family, ours: Family) -> bool:
    theirs, own = published.keys.get(UNIQUE), ours.keys.get(UNIQUE)
    return bool(theirs and own and abs(theirs - own) <= 0.02 * own)


def _published(
    results: Path, reference: str, metrics: list[str], axis: str
) -> dict[str, list[Family]]:
    published = {}
    for metric in metrics:
        try:
            published[metric] = families(load_curves(results, reference, metric), axis)
        except InputError:
            continue  # not imported, or without this metric
    return published


def _faint(behind: list[Family], ours: list[Family]) -> list[Any]:
    """Layers of published curves, cut to near the values of our curves.

    A spike far beyond would press the panel's own curves flat. The figure's data have all points.
    """
    values = np.concatenate([family.frame["value"].to_numpy() for family in ours])
    margin = 0.5 * float(np.ptp(values))
    near = pl.col("value").is_between(values.min() - margin, values.max() + margin)
    return [
        alt.Chart(family.frame.filter(near).with_columns(whose=pl.lit(legend_name(family, True))))
        .mark_line(strokeWidth=5, opacity=0.28, color=colour_of(family.objective), clip=True)
        .encode(alt.X("x:Q"), alt.Y("value:Q"))
        for family in behind
    ]


def _nothing(text: str) -> Any:
    """A panel with a text instead of curves, so that the other panels stay in their places."""
    return (
        alt.Chart(pl.DataFrame({"text": [text]}))
        .mark_text(color="#888888", fontSize=11)
        .encode(text="text:N")
        .properties(width=WIDTH, height=HEIGHT)
    )
