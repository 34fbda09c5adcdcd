"""A picture of any table: two columns against each other, coloured by a third."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.errors import InputError
from workbench.figures.axes import log_axis
from workbench.figures.figure import Figure
from workbench.figures.points import POINTS
from workbench.figures.theme import colour_of, finished, palette, styles_of
from workbench.recipe.objectives import BASELINE, OBJECTIVES

_WIDTH, _HEIGHT = 560, 320
_COLOURS = 12


def quick_figure(
    frame: pl.DataFrame,
    x: str,
    y: str,
    colour: str | None = None,
    *,
    lines: bool = False,
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    """Draw a table's columns against each other, as points or lines.

    Inside the chart columns have names by their position, so that a column's own name is only text.

    Args:
        colour: a column of at most 12 values; objectives have their own colours.

    Raises:
        InputError: a column cannot be drawn so, or no row has both values.
    """
    chosen = pl.DataFrame({"x": frame[x], "y": frame[y]})
    if not chosen["y"].dtype.is_numeric():
        raise InputError(f"{y}: expected numbers to draw upwards.")
    if colour is not None:
        chosen = chosen.with_columns(colour=frame[colour].cast(pl.String).fill_null("none"))
    chosen = chosen.drop_nulls(["x", "y"])
    for name, is_log in (("x", log_x), ("y", log_y)):
        if is_log and chosen[name].dtype.is_numeric():
            chosen = chosen.filter(pl.col(name) > 0)
    if chosen.is_empty():
        raise InputError(f"no row has both {x} and {y} to draw.")
    if chosen.height > POINTS:
        raise InputError(f"{chosen.height:,} rows are more than the {POINTS:,} that are drawn.")
    channels = [
        _axis(alt.X, "x:Q", chosen["x"], x, log_x),
        _axis(alt.Y, "y:Q", chosen["y"], y, log_y),
    ]
    mark = alt.Chart(chosen)
    drawn: Any = (
        mark.mark_line(strokeWidth=1.8, point=True)
        if lines
        else mark.mark_point(filled=True, size=40, opacity=0.8)
    )
    if colour is None:
        drawn = drawn.encode(*channels, color=alt.value(colour_of(BASELINE)))
    else:
        drawn = drawn.encode(*channels, _colours(chosen["colour"], colour))
    title = f"{y} against {x}"
    return Figure(finished(drawn.properties(width=_WIDTH, height=_HEIGHT)), chosen, title)


def spans_decades(values: pl.Series) -> bool:
    """Whether all values are positive and span two decades or more, so that a log axis suits."""
    if not values.dtype.is_numeric() or values.drop_nulls().is_empty():
        return False
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    return low > 0 and high / low >= 100


def _axis(channel: Any, field: str, values: pl.Series, title: str, log: bool) -> Any:
    if not values.dtype.is_numeric():
        return channel(
            field.replace(":Q", ":N"), title=title, axis=alt.Axis(labelAngle=0, labelLimit=140)
        )
    if log:
        numbers = values.cast(pl.Float64).to_numpy()
        return log_axis(field, title, np.asarray(numbers), channel=channel)
    ticks = alt.Axis(gridOpacity=0.6, tickCount=8)
    return channel(field, title=title, scale=alt.Scale(zero=False), axis=ticks)


def _colours(values: pl.Series, title: str) -> Any:
    names = sorted(values.unique().to_list())
    if len(names) > _COLOURS:
        raise InputError(f"{title}: {len(names)} values are more than {_COLOURS} colours.")
    objectives = set(names) <= set(OBJECTIVES)
    styles = list(styles_of(names).values()) if objectives else palette(len(names))
    order = list(styles_of(names)) if objectives else names
    return alt.Color(
        "colour:N", title=title,
        scale=alt.Scale(domain=order, range=[style.colour for style in styles]),
        legend=alt.Legend(orient="bottom", columns=4),
    )  # fmt: skip
