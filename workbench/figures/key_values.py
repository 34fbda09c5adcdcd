"""Any key of the runs against the best or the last value of a metric."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.taken_at import taken_at
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.figures.axes import linear_axis, log_axis, metric_title
from workbench.figures.configurations import (
    HEIGHT,
    WIDTH,
    Outcome,
    exact_rows,
    no_key,
    outcomes_of,
)
from workbench.figures.figure import Figure
from workbench.figures.points import POINTS, by_number
from workbench.figures.theme import (
    KEY_NAMES,
    Style,
    finished,
    group_text,
    key_text,
    measured,
    palette,
    series_channels,
    styles_of,
)
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name

_FAR = 8.0


def key_figure(
    results: Path,
    study: str,
    metric: str,
    key: str,
    at: str = "last",
    *,
    colour: str | None = None,
    where: Conditions = (),
) -> Figure:
    """A key against the last or the best value of a metric: every run as a small point, and of each
    configuration the mean over its seeds, with its 95 % interval, as a large one.

    Configurations that differ in other keys have points of their own: nothing is averaged over
    them. The best value of a mean is chosen on one half of the held-out documents and measured on
    the other, where those are known: that of a single run is not, and is a little too good.

    Args:
        key: any key of the configuration, or a column of the store's runs.
        colour: a key that colours stand for in place of the objective.
        where: only the runs that meet these conditions.

    Raises:
        InputError: no run has the key, or there is no such study or metric.
    """
    at = taken_at(at)
    found = outcomes_of(results, study, metric, at, where)
    own = [one for one in found if one.keys.get(key) is not None]
    if not own:
        raise InputError(no_key(key, found))
    series = _series(own, colour, metric)
    rows = [
        {
            "key": one.keys[key],
            "value": value,
            "low": None if mark == "run" or one.ci95 is None else one.ci95[0],
            "high": None if mark == "run" or one.ci95 is None else one.ci95[1],
            "mark": mark,
            "series": name,
            "of": group_text(one.group),
        }
        for one, name in zip(own, series.names, strict=True)
        for mark, value in [("mean", one.mean), *(("run", value) for value in one.values)]
    ]
    if len(rows) > POINTS:
        raise InputError(f"{len(rows):,} points are more than the {POINTS:,} that are drawn.")
    frame = pl.DataFrame(
        [row | {"key": _plain(row["key"], own, key)} for row in rows],
        infer_schema_length=None,
        schema_overrides=dict.fromkeys(("low", "high"), pl.Float64),
    )
    title = f"{study}: {at} {metric} against {_key_name(key)}"
    lacking = len(found) - len(own)
    notes = ["small: runs; large: the mean over seeds, with its 95 % interval where known"]
    word = "configuration" if lacking == 1 else "configurations"
    notes += [f"without {key}, and not drawn: {lacking:,} {word}"] if lacking else []
    chart = alt.layer(*_scatter(frame, key, metric, at, series)).properties(
        width=WIDTH, height=HEIGHT, title=alt.TitleParams(title, subtitle=notes)
    )
    behind = [
        (one, curves) for one in own for curves in [one.curves, *([curve] for curve in one.curves)]
    ]
    return Figure(finished(chart), exact_rows(frame, behind), title)


def _key_name(key: str) -> str:
    return KEY_NAMES.get(key, key)


def _plain(value: Any, every: Sequence[Outcome], key: str) -> Any:
    """A number where all values of the key are numbers, else a text."""
    if all(_is_number(one.keys[key]) for one in every):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class _Series:
    """What colours stand for: a name for each configuration, and the names' styles."""

    names: list[str]
    styles: dict[str, Style]


def _series(own: list[Outcome], colour: str | None, metric: str) -> _Series:
    if colour is None:
        names = {
            one.objective: display_name(one.objective)
            + measured(one.curves[0].estimator, higher_is_better(metric))
            for one in own
        }
        styles = {names[name]: style for name, style in styles_of(names).items()}
        return _Series([names[one.objective] for one in own], styles)
    if not any(colour in one.keys for one in own):
        raise InputError(no_key(colour, own))
    texts = sorted({json.dumps(one.keys.get(colour), default=str) for one in own}, key=by_number)
    shown = [key_text(colour, json.loads(text)) for text in texts]
    if len(set(shown)) < len(shown):  # two values that are shortened alike
        shown = texts
    by_text = dict(zip(texts, shown, strict=True))
    return _Series(
        [by_text[json.dumps(one.keys.get(colour), default=str)] for one in own],
        dict(zip(shown, palette(len(shown)), strict=True)),
    )


def _scatter(frame: pl.DataFrame, key: str, metric: str, at: str, series: _Series) -> list[Any]:
    keys = frame["key"]
    if not keys.dtype.is_numeric():
        x = alt.X("key:N", title=_key_name(key), sort=None, axis=alt.Axis(labelAngle=0))
    elif _far_apart(keys):
        x = log_axis("key:Q", _key_name(key), keys.to_numpy().astype(float), at_values=True)
    else:
        x = linear_axis("key:Q", _key_name(key), keys.to_numpy().astype(float), channel=alt.X)
    ends = [frame[name].drop_nulls().to_numpy() for name in ("value", "low", "high")]
    y = linear_axis("value:Q", f"{at} {metric_title(metric)}", np.concatenate(ends))
    colour, _, shape = series_channels(list(series.styles), list(series.styles.values()))
    legend = alt.Legend(orient="bottom", columns=1, symbolType="circle", offset=8)
    colour.legend = shape.legend = (
        legend if len(series.styles) < 2 else alt.Legend(orient="bottom", columns=1, offset=8)
    )
    tips = [
        alt.Tooltip(f"{name}:{kind}", title=title)
        for name, kind, title in (
            ("key", "Q" if keys.dtype.is_numeric() else "N", _key_name(key)),
            ("value", "Q", f"{at} {metric}"), ("low", "Q", "low"), ("high", "Q", "high"),
            ("mark", "N", "point of"), ("series", "N", "colour"), ("of", "N", "configuration"),
        )
    ]  # fmt: skip
    runs, means = frame.filter(mark="run"), frame.filter(mark="mean")
    layers: list[Any] = [
        alt.Chart(runs).mark_point(filled=True, size=14, opacity=0.45).encode(
            x, y, colour, shape, tooltip=tips
        )
    ]  # fmt: skip
    ranged = means.drop_nulls(["low", "high"])
    if ranged.height:
        rules = alt.Chart(ranged).mark_rule(strokeWidth=2, opacity=0.75)
        layers.append(rules.encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour))
    marks = alt.Chart(means).mark_point(filled=True, size=70, opacity=0.9)
    return [*layers, marks.encode(x, y, colour, shape, tooltip=tips)]


def _far_apart(keys: pl.Series) -> bool:
    """Whether a logarithmic axis suits: all above zero, the greatest several times the least."""
    low, high = float(keys.min()), float(keys.max())  # type: ignore[arg-type]
    return low > 0 and high / low >= _FAR
