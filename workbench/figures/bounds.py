"""Places with intervals, and bounds: an open mark, with an arrow to where the place must lie."""

from typing import Any, Literal

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Floats

ARROWS = {
    "not_reached": "triangle-up",
    "undecided": "triangle-up",
    "ahead_throughout": "triangle-down",
}
EXACT = "crossed"
Side = Literal["left", "right"]


def places_of(frame: pl.DataFrame) -> Floats:
    """Every place, bound and limit of a frame with "place", "low" and "high"."""
    columns = [frame[name].cast(pl.Float64).drop_nulls() for name in ("place", "low", "high")]
    return np.concatenate([column.to_numpy() for column in columns])


def _by_side(bounds: pl.DataFrame, frame: pl.DataFrame) -> list[tuple[pl.DataFrame, Side]]:
    """Bounds by the alignment of their text: left in the left half, so that it stays inside."""
    if not frame["key"].dtype.is_numeric():
        return [(bounds, "left")]
    ends = [float(v) for v in (frame["key"].min(), frame["key"].max()) if v]  # type: ignore[arg-type]
    middle = float(np.sqrt(np.prod(ends))) if len(ends) == 2 else np.inf
    parts: list[tuple[pl.DataFrame, Side]] = [(bounds.filter(pl.col("key") < middle), "left"),
             (bounds.filter(pl.col("key") >= middle), "right")]  # fmt: skip
    return [(part, align) for part, align in parts if part.height]


def bounded_marks(frame: pl.DataFrame, x: Any, y: Any, colour: Any, shape: Any = None) -> list[Any]:
    """Layers for places and bounds: filled marks with intervals, and open marks with arrows.

    Args:
        frame: rows with "key", "place", "low", "high", "status" and "told", the text beside a
            bound. A status of crossed is an exact place; all others are bounds.
    """
    shapes = [] if shape is None else [shape]
    exact = frame.filter(pl.col("status") == EXACT)
    layers: list[Any] = []
    ranged = exact.filter(pl.col("low").is_not_null() | pl.col("high").is_not_null())
    if ranged.height:
        # A limit outside the measured range is not drawn: the line ends at the place.
        limits = ranged.with_columns(
            low=pl.col("low").fill_null(pl.col("place")),
            high=pl.col("high").fill_null(pl.col("place")),
        )
        rules = alt.Chart(limits).mark_rule(strokeWidth=2, opacity=0.75)
        layers.append(rules.encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour))
    if exact.height:
        marks = alt.Chart(exact).mark_point(filled=True, size=70, opacity=1)
        layers.append(marks.encode(x, y, colour, *shapes))
    for status, arrow in ARROWS.items():
        bounds = frame.filter(pl.col("status") == status)
        if not bounds.height:
            continue
        up = arrow == "triangle-up"
        open_marks = alt.Chart(bounds).mark_point(filled=False, size=80, strokeWidth=2, opacity=1)
        arrows = alt.Chart(bounds).mark_point(
            shape=arrow, filled=True, size=70, yOffset=-14 if up else 14, opacity=1
        )
        layers.append(open_marks.encode(x, y, colour, *shapes))
        layers.append(arrows.encode(x, y, colour))
        for part, align in _by_side(bounds, frame):
            sign = 1 if align == "left" else -1
            words = alt.Chart(part).mark_text(align=align, dx=sign * 10, dy=-8, fontSize=11)
            layers.append(words.encode(x, y, colour, alt.Text("told:N")))
    return layers
