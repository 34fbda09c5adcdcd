"""Any key of the runs against the best or the last value of a metric: as points, and as lines over
several keys."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Curve, chosen, load_curves, run_values
from workbench.analysis.outcomes import outcomes
from workbench.analysis.run_keys import SEEDS, distinguishing_keys
from workbench.analysis.taken_at import taken_at
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.figures.axes import even_ticks, linear_axis, log_axis, metric_title
from workbench.figures.exact_columns import with_keys
from workbench.figures.figure import Figure
from workbench.figures.points import OBJECTIVE, POINTS, by_number
from workbench.figures.theme import (
    INK,
    KEY_NAMES,
    Style,
    finished,
    group_text,
    key_text,
    measured,
    palette,
    ramp,
    series_channels,
    styles_of,
)
from workbench.messages import suggestion
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name
from workbench.recipe.plain_values import PLAIN

_WIDTH, _HEIGHT = 430, 300
_AXES = 8
_LEVELS = 9  # values of a key that get a text each
_FAR = 8.0
_MANY = 40  # lines, beyond which they are faint


@dataclass(frozen=True)
class Outcome:
    """One configuration: its runs' values, their mean and its 95 % interval."""

    keys: dict[str, Any]
    group: dict[str, Any]
    curves: list[Curve]
    values: list[float]
    """Of each run."""
    mean: float
    ci95: list[float] | None

    @property
    def objective(self) -> str:
        return str(self.keys.get(OBJECTIVE))


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
    found = _outcomes(results, study, metric, at, where)
    own = [one for one in found if one.keys.get(key) is not None]
    if not own:
        raise InputError(_no_key(key, found))
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
        width=_WIDTH, height=_HEIGHT, title=alt.TitleParams(title, subtitle=notes)
    )
    behind = [
        (one, curves) for one in own for curves in [one.curves, *([curve] for curve in one.curves)]
    ]
    return Figure(finished(chart), _exact(frame, behind), title)


def _outcomes(results: Path, study: str, metric: str, at: str, where: Conditions) -> list[Outcome]:
    """The configurations of a study with their values, as `analysis.outcomes` has them."""
    taken = taken_at(at)
    loaded = chosen(load_curves(results, study, metric), where)
    by_id = {curve.run_id: curve for curve in loaded.curves}
    higher = higher_is_better(metric)
    found = []
    for row in outcomes(results, study, metric, where=where):
        curves = [by_id[run_id] for run_id in row["runs"]]
        end = min(curve.x["tokens"][-1] for curve in curves)
        values = [
            float(np.interp(end, curve.x["tokens"], curve.y)) if taken == "last"
            else float(curve.y.max() if higher else curve.y.min())
            for curve in curves
        ]  # fmt: skip
        found.append(
            Outcome(
                PLAIN | _known(run_values(curves[0])), row["group"], curves, values,
                row[taken]["mean"], row[taken]["ci95"],
            )
        )  # fmt: skip
    return found


def _known(keys: dict[str, Any]) -> dict[str, Any]:
    """The keys that have a value: where one has none, it has the value that this stands for."""
    return {key: value for key, value in keys.items() if value is not None or key not in PLAIN}


def _no_key(key: str, found: list[Outcome]) -> str:
    known = sorted({name for one in found for name, value in one.keys.items() if value is not None})
    hint = suggestion(key, known)
    if hint:
        return f"no run has the key {key}{hint}"
    differing = _differing(found)
    return f"no run has the key {key}. Keys in which the runs differ: {', '.join(differing)}."


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
        raise InputError(_no_key(colour, own))
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


def _exact(frame: pl.DataFrame, behind: Sequence[tuple[Outcome, list[Curve]]]) -> pl.DataFrame:
    """The data with the exact keys, run ids and seeds behind each row."""
    return with_keys(
        frame,
        [one.group | {OBJECTIVE: one.objective} for one, _ in behind],
        [[curve.run_id for curve in curves] for _, curves in behind],
        [[curve.keys.get("training.seed") for curve in curves] for _, curves in behind],
    )


def parallel_figure(
    results: Path,
    study: str,
    metric: str,
    keys: Sequence[str] = (),
    at: str = "last",
    *,
    where: Conditions = (),
) -> Figure:
    """A line for each configuration over axes of its keys, to the mean of its last or best value.

    The line's colour is that value; on the last axis stands its 95 % interval. The values of a key
    are as far apart as each other, in their order.

    Args:
        keys: an axis each, in this order; by default those that differ, and the objective.
        where: only the runs that meet these conditions.

    Raises:
        InputError: fewer than two keys, more than eight, one that no run has, or more lines than
            can be drawn.
    """
    at = taken_at(at)
    found = _outcomes(results, study, metric, at, where)
    names = list(keys) or _differing(found)
    for key in names:
        if not any(one.keys.get(key) is not None for one in found):
            raise InputError(_no_key(key, found))
    if not 2 <= len(names) <= _AXES:
        raise InputError(
            f"parallel coordinates have from 2 to {_AXES} keys; here: {', '.join(names) or 'none'}."
        )
    if len(found) * (len(names) + 1) > POINTS:
        raise InputError(f"{len(found):,} configurations are more lines than can be drawn.")
    axes = [_Levels.of(key, found) for key in names]
    value = _Value.of(found, f"{at} {metric}")
    frame = pl.DataFrame(
        [row for number, one in enumerate(found) for row in _line(number, one, axes, value)],
        infer_schema_length=None,
        schema_overrides=dict.fromkeys(("low", "high"), pl.Float64),
    )
    title = f"{study}: {at} {metric} over {len(names)} keys"
    notes = ["a line: the mean of a configuration; bars: its 95 % interval, where known"]
    chart = alt.layer(*_parallel(frame, axes, value, len(found))).properties(
        width=max(_WIDTH, 110 * len(names)), height=_HEIGHT,
        title=alt.TitleParams(title, subtitle=notes),
    )  # fmt: skip
    behind = [(one, one.curves) for one in found for _ in range(len(axes) + 1)]
    return Figure(finished(chart), _exact(frame, behind), title)


def _differing(found: list[Outcome]) -> list[str]:
    every = distinguishing_keys([one.curves[0].keys for one in found])
    keys = [key for key in every if key not in SEEDS][: _AXES - 1]
    several = len({one.objective for one in found}) > 1
    return [OBJECTIVE, *keys] if several else keys


@dataclass(frozen=True)
class _Levels:
    """An axis of a key: its values in order, evenly spaced."""

    key: str
    levels: list[str]
    """As JSON."""

    @property
    def title(self) -> str:
        return KEY_NAMES.get(self.key, self.key.rpartition(".")[2].replace("_", " "))

    @classmethod
    def of(cls, key: str, found: list[Outcome]) -> "_Levels":
        texts = {json.dumps(one.keys.get(key), default=str) for one in found}
        return cls(key, sorted(texts, key=by_number))

    def place(self, value: Any) -> float:
        at = self.levels.index(json.dumps(value, default=str))
        return 0.5 if len(self.levels) == 1 else at / (len(self.levels) - 1)

    def texts(self) -> list[tuple[float, str]]:
        """The places and texts of the values; of many, the first, the middle and the last."""
        shown = list(range(len(self.levels)))
        if len(shown) > _LEVELS:
            shown = [0, len(shown) // 2, len(shown) - 1]
        return [(self.place(json.loads(self.levels[at])), self._text(at)) for at in shown]

    def _text(self, at: int) -> str:
        value = json.loads(self.levels[at])
        if self.key == OBJECTIVE and value is not None:
            return display_name(value)
        text = key_text(self.key, value)
        return (
            text.removesuffix(f" {KEY_NAMES[self.key]}")
            if self.key in KEY_NAMES
            else (text.removeprefix(f"{self.key.rpartition('.')[2]} "))
        )


@dataclass(frozen=True)
class _Value:
    """The last axis: the value, from the least to the greatest end of an interval."""

    title: str
    low: float
    high: float

    @classmethod
    def of(cls, found: list[Outcome], title: str) -> "_Value":
        ends = [end for one in found for end in (one.mean, *(one.ci95 or ()))]
        low, high = min(ends), max(ends)
        return cls(title, low, high if high > low else low + 1.0)

    def place(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def texts(self) -> list[tuple[float, str]]:
        return [(self.place(t), f"{t:g}") for t in even_ticks(self.low, self.high, 6)]


def _line(number: int, one: Outcome, axes: list[_Levels], value: _Value) -> list[dict[str, Any]]:
    shared = {"line": number, "mean": one.mean, "of": group_text(one.group)}
    rows = [
        shared
        | {"axis": axis.title, "place": axis.place(one.keys.get(axis.key)),
           "low": None, "high": None}
        for axis in axes
    ]  # fmt: skip
    low, high = one.ci95 or (None, None)
    return [*rows, shared | {"axis": value.title, "place": value.place(one.mean), "low": low,
                             "high": high}]  # fmt: skip


def _parallel(frame: pl.DataFrame, axes: list[_Levels], value: _Value, count: int) -> list[Any]:
    order = [*(axis.title for axis in axes), value.title]
    x = alt.X(
        "axis:N", title=None, sort=order, scale=alt.Scale(type="point", padding=0.35),
        axis=alt.Axis(
            labelAngle=0, grid=True, domain=False, ticks=False,
            labelExpr="split(datum.label, ' ')",
        ),
    )  # fmt: skip
    y = alt.Y("place:Q", title=None, axis=None, scale=alt.Scale(domain=[-0.04, 1.04], nice=False))
    colour = alt.Color(
        "mean:Q", title=value.title, scale=alt.Scale(range=ramp(5)),
        legend=alt.Legend(
            orient="bottom", gradientLength=200, gradientThickness=10, gradientOpacity=1, offset=8
        ),
    )  # fmt: skip
    tips = [alt.Tooltip("mean:Q", title=value.title), alt.Tooltip("of:N", title="configuration")]
    faint = 0.75 if count <= _MANY else max(0.2, 0.75 * _MANY / count)
    lines = alt.Chart(frame.drop("low", "high")).mark_line(strokeWidth=1.6, opacity=faint)
    layers: list[Any] = [lines.encode(x, y, colour, alt.Detail("line:N"), tooltip=tips)]
    ranged = frame.drop_nulls(["low", "high"]).with_columns(
        low=pl.col("low").map_elements(value.place, return_dtype=pl.Float64),
        high=pl.col("high").map_elements(value.place, return_dtype=pl.Float64),
    )
    if ranged.height:
        rules = alt.Chart(ranged).mark_rule(strokeWidth=2, opacity=0.8)
        layers.append(
            rules.encode(x, alt.Y("low:Q", axis=None, title=None), alt.Y2("high:Q"), colour)
        )
    texts = pl.DataFrame(
        [
            {"axis": name, "place": place, "text": text}
            for name, axis in zip(order, [*axes, value], strict=True)
            for place, text in axis.texts()  # type: ignore[attr-defined]
        ]
    )
    words = alt.Chart(texts).encode(x, y, alt.Text("text:N"))
    own: dict[str, Any] = {"fontSize": 11, "align": "left", "dx": 5, "dy": -6, "tooltip": None}
    # The page's colour around the letters, for they stand on lines.
    halo = words.mark_text(**own, color="white", stroke="white", strokeWidth=3)
    return [*layers, halo, words.mark_text(**own, color=INK)]
