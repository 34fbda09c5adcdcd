"""Lines over axes of several keys, to the best or the last value of a metric."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from workbench.analysis.taken_at import taken_at
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.figures.axes import even_ticks
from workbench.figures.configurations import (
    HEIGHT,
    MOST_AXES,
    WIDTH,
    Outcome,
    differing_keys_of,
    exact_rows,
    no_key,
    outcomes_of,
)
from workbench.figures.figure import Figure
from workbench.figures.points import OBJECTIVE, POINTS, by_number
from workbench.figures.theme import (
    INK,
    KEY_NAMES,
    finished,
    group_text,
    key_text,
    ramp,
)
from workbench.recipe.objectives import display_name

_LEVELS = 9  # values of a key that get a text each
_MANY = 40  # lines, beyond which they are faint


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
    found = outcomes_of(results, study, metric, at, where)
    names = list(keys) or differing_keys_of(found)
    for key in names:
        if not any(one.keys.get(key) is not None for one in found):
            raise InputError(no_key(key, found))
    if not 2 <= len(names) <= MOST_AXES:
        raise InputError(
            f"parallel coordinates have from 2 to {MOST_AXES} keys; here: "
            f"{', '.join(names) or 'none'}."
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
        width=max(WIDTH, 110 * len(names)), height=HEIGHT,
        title=alt.TitleParams(title, subtitle=notes),
    )  # fmt: skip
    behind = [(one, one.curves) for one in found for _ in range(len(axes) + 1)]
    return Figure(finished(chart), exact_rows(frame, behind), title)


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
