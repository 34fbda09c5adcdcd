"""A metric against a tuned key: a curve for each size, a panel for each objective and group."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.run_keys import identity
from workbench.errors import InputError
from workbench.figures.axes import linear_axis, log_axis, metric_title
from workbench.figures.exact_columns import with_keys
from workbench.figures.figure import Figure
from workbench.figures.theme import (
    SHAPES,
    Style,
    finished,
    group_text,
    heading,
    key_text,
    ramp,
    series_channels,
)
from workbench.recipe.objectives import display_name

_WIDTH, _HEIGHT = 260, 220
_STEPS = 25  # places along a parabola
_FAR = 2.5
"""Times the spread from the lowest value to the median: the axis ends there, for the loss at a rate
that is much too high would press all others flat."""


def best_value_figure(rows: list[dict[str, Any]]) -> Figure:
    """The means of a key's values with the 95 % intervals of what they cost beside the best, a line
    for each size; thin, the parabola through the three around the best; and large, its vertex with
    its interval.

    Args:
        rows: as of `analysis.best_values`.

    Raises:
        InputError: no group's values are numbers above zero.
    """
    drawn = [row for row in rows if row["optimum"] is not None or row["bound"] is not None]
    first = rows[0]
    if not drawn:
        raise InputError(f"{first['key']}: its values are not numbers above 0: nothing to draw.")
    sizes = sorted({row["group"]["n_params"] or 0 for row in drawn})
    names = [key_text("n_params", size) for size in sizes]
    styles = [
        Style(colour, [1, 0], SHAPES[place % len(SHAPES)])
        for place, colour in enumerate(ramp(len(sizes)))
    ]
    marks = [mark for row in drawn for mark in _marks(row, _panel_name(row, drawn))]
    data = pl.DataFrame([mark for mark, _ in marks], infer_schema_length=None)
    key = first["key"].rpartition(".")[2].replace("_", " ")
    x = log_axis("key:Q", key, data["key"].to_numpy(), at_values=True)
    legend = alt.Legend(orient="bottom", columns=3, symbolSize=60, offset=8)
    colour, _, shape = series_channels(names, styles, legend=legend)
    shape.legend = legend
    panels = []
    for _, of_objective in data.group_by("objective", maintain_order=True):
        y = linear_axis("value:Q", metric_title(first["metric"]), _seen(of_objective))
        panels += [
            _panel(own, x, y, colour, shape, str(name))
            for (name,), own in of_objective.group_by("panel", maintain_order=True)
        ]
    columns = max(1, len(panels) // data["objective"].n_unique())
    title = f"{first['study']}: {first['at']} {first['metric']} against {key}"
    notes = [
        "small: means over seeds; thin: the parabola through the three around the best; large: "
        "its vertex",
        "bars: 95 % intervals, upright of the difference from the best value",
    ]
    chart = alt.concat(*panels, columns=columns).properties(title=heading(title, notes))
    behind = [row for _, row in marks]
    exact = with_keys(
        data, [row["group"] for row in behind], [row["runs"] for row in behind], [()] * len(behind)
    )
    return Figure(finished(chart), exact, title)


def _panel_name(row: dict[str, Any], every: list[dict[str, Any]]) -> str:
    differing = {
        key: value
        for key, value in row["group"].items()
        if key != "n_params" and len({identity({"": one["group"].get(key)}) for one in every}) > 1
    }
    words = [display_name(row["objective"]) if row["objective"] else "", group_text(differing)]
    return ", ".join(word for word in words if word)


def _marks(row: dict[str, Any], panel: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What is drawn of a group: its values, points of the parabola, and the vertex."""
    shared = {
        "objective": str(row["objective"]),
        "panel": panel,
        "series": key_text("n_params", row["group"]["n_params"] or 0),
        "low": None, "high": None, "from": None, "to": None,
    }  # fmt: skip
    values = row["values"]
    found = []
    for one in values:
        # What all values have in common, such as the choice of text, moves no curve's lowest point.
        low, high = one["cost_ci95"] or (one["cost"], one["cost"])
        found.append(
            shared
            | {"mark": "mean", "key": float(one["value"]), "value": one["mean"],
               "low": one["mean"] - (high - low) / 2, "high": one["mean"] + (high - low) / 2}
        )  # fmt: skip
    if row["optimum"] is not None:
        middle = [one["value"] for one in values].index(row["best"])
        three = values[middle - 1 : middle + 2]
        at = np.log([one["value"] for one in three])
        curve = np.polyfit(at - at[1], [one["mean"] for one in three], 2)
        for place in np.linspace(at[0], at[2], _STEPS):
            height = float(np.polyval(curve, place - at[1]))
            found.append(
                shared | {"mark": "parabola", "key": float(np.exp(place)), "value": height}
            )
        low, high = row["ci95"] or (None, None)
        ends = (values[0]["value"], values[-1]["value"])
        start, end = (
            None if row["ci95"] is None else float(edge if one is None else one)
            for one, edge in zip((low, high), ends, strict=True)
        )
        found.append(
            shared
            | {"mark": "vertex", "key": row["optimum"], "value": row["value_at_optimum"],
               "from": start, "to": end}
        )  # fmt: skip
    return [(mark, row) for mark in found]


def _seen(data: pl.DataFrame) -> np.ndarray:
    """The values that the axis of an objective has: not those that are far worse than most."""
    values = data.filter(pl.col("mark") != "parabola")["value"].to_numpy()
    low, middle, high = (float(np.quantile(values, share)) for share in (0, 0.5, 1))
    if high - middle > middle - low:  # losses; of accuracies the low ones are far
        seen = values[values <= low + _FAR * (middle - low)]
    else:
        seen = values[values >= high - _FAR * (high - middle)]
    room = 0.05 * float(np.ptp(seen))
    return np.r_[seen.min() - room, seen, seen.max() + room]


def _panel(own: pl.DataFrame, x: Any, y: Any, colour: Any, shape: Any, name: str) -> Any:
    parts = {mark: own.filter(pl.col("mark") == mark) for mark in ("mean", "parabola", "vertex")}
    means = alt.Chart(parts["mean"])
    layers = [
        means.mark_line(strokeWidth=1.8, clip=True).encode(x, y, colour),
        means.mark_rule(strokeWidth=1.4, clip=True).encode(
            x, alt.Y("low:Q"), alt.Y2("high:Q"), colour
        ),
        means.mark_point(filled=True, size=26, opacity=1, clip=True).encode(x, y, colour, shape),
        alt.Chart(parts["parabola"])
        .mark_line(strokeWidth=0.8, clip=True)
        .encode(x, y, colour, alt.Detail("series:N")),
        alt.Chart(parts["vertex"])
        .mark_rule(strokeWidth=2.4, opacity=0.6, clip=True)
        .encode(alt.X("from:Q"), y, alt.X2("to:Q"), colour),
        alt.Chart(parts["vertex"])
        .mark_point(filled=True, size=110, opacity=1, clip=True)
        .encode(x, y, colour, shape),
    ]
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT, title=name)
