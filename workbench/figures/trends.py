"""How crossovers and onsets of overfitting move, and what unique tokens are worth."""

from typing import Any, Literal

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Floats
from workbench.analysis.run_keys import identity
from workbench.analysis.trends import power_law_trend
from workbench.errors import InputError
from workbench.figures.axes import log_axis
from workbench.figures.bounds import bounded_marks, places_of
from workbench.figures.exact_columns import with_rows
from workbench.figures.figure import Figure
from workbench.figures.names import distinct, group_names
from workbench.figures.theme import (
    AXIS_TITLES,
    FAINT,
    KEY_NAMES,
    OTHERS,
    SHAPES,
    Style,
    finished,
    place_text,
    series_channels,
    series_styles,
    short,
    styles_of,
)
from workbench.recipe.objectives import display_name

_WIDTH, _HEIGHT = 430, 300
_TESTED = 3
"""Crossed groups from which on a power law is more than a line through two points."""
_DOTS = [1, 4]
_FAMILY_KEYS = ("study", "metric", "axis", "definition")


def crossover_trend_figure(
    rows: list[dict[str, Any]], trends: list[dict[str, Any]], *, what: str = "crossover"
) -> Figure:
    """Crossovers, or onsets of overfitting, along a key, with the fitted power law.

    The band is where 95 % of further places are expected. Open marks with arrows are bounds: the
    place lies in their direction. What is undecided without a bound is not drawn.

    Args:
        rows: as of `crossovers` or `overfitting_onset`.
        trends: rows as of `crossover_trends` or `onset_trends` for these.

    Raises:
        InputError: no group has a place or a bound.
    """
    against = trends[0]["against"]
    axis = rows[0].get("axis", "epochs")
    names = _series_names(trends)
    both = [
        (_trend_point(row, against, name, axis), row)
        for trend, name in zip(trends, names, strict=True)
        for row in rows
        if _belongs(row, trend)
    ]
    behind = [row for point, row in both if point["place"] is not None]
    points = [point for point, _ in both if point["place"] is not None]
    if not points:
        raise InputError(f"{what}: no group has one, nor a bound of one, so no trend to draw.")
    frame = pl.DataFrame(points, infer_schema_length=None)
    title = KEY_NAMES.get(against, against.rpartition(".")[2])
    numeric = frame["key"].dtype.is_numeric()
    lines = _power_laws(frame) if numeric else None
    # Bands may be wider than anything measured; they are cut rather than pressing it flat.
    span = places_of(frame)
    drawn = span if lines is None else np.r_[span, lines["place"].to_numpy()]
    y = log_axis("place:Q", f"{what} ({AXIS_TITLES[axis]})", _roomy(drawn), channel=alt.Y)
    x = (
        log_axis("key:Q", title, frame["key"].to_numpy().astype(float), at_values=True)
        if numeric
        else alt.X("key:N", title=title, sort=None, axis=alt.Axis(labelAngle=0))
    )
    colour, shape = _channels(names, trends)
    layers = [] if lines is None else _fitted_lines(lines, x, y, colour)
    layers += bounded_marks(frame, x, y, colour, shape)
    several = len(names) > 1
    subtitle = [f"{name}: {_trend_text(t)}" if several else _trend_text(t)
            for name, t in zip(names, trends, strict=True)]  # fmt: skip
    chart = alt.layer(*layers).properties(
        width=_WIDTH, height=_HEIGHT,
        title=alt.TitleParams(f"{what} against {title}", subtitle=subtitle),
    )  # fmt: skip
    return Figure(finished(chart), with_rows(frame, behind), f"{what} against {title}")


def _roomy(values: Floats) -> Floats:
    """The values with a margin for an arrow above and below."""
    good = values[values > 0]
    if not len(good):
        return values
    spread = max(float(good.max() / good.min()), 1.5) ** 0.1
    return np.r_[good, good.min() / spread, good.max() * spread]


def _belongs(row: dict[str, Any], trend: dict[str, Any]) -> bool:
    same = all(
        row.get(key, trend.get(key)) == trend.get(key) for key in _FAMILY_KEYS if key in trend
    )
    return same and all(row["group"].get(key) == value for key, value in trend["group"].items())


def _series_names(trends: list[dict[str, Any]]) -> list[str]:
    """A name for each trend, of the keys that differ between them."""
    keys = list(dict.fromkeys(key for trend in trends for key in trend["group"]))
    differing = [
        key for key in keys
        if key == "objective" or len({identity({"": t["group"].get(key)}) for t in trends}) > 1
    ]  # fmt: skip
    groups = [{key: trend["group"].get(key) for key in differing} for trend in trends]
    objectives = [group.pop("objective", None) for group in groups]
    heads = [
        [str(trend[k]) for k in ("metric", "axis") if len({t.get(k) for t in trends}) > 1]
        for trend in trends
    ]
    parts = list(zip(heads, objectives, group_names(groups), strict=True))

    def name(part: tuple[list[str], Any, str], shown: Any = display_name) -> str:
        head, objective, group = part
        words = [*head, shown(objective) if objective else "", group]
        return ", ".join(word for word in words if word) or "all"

    return distinct([str(part) for part in parts], parts, (name, lambda part: name(part, str)))


def _channels(names: list[str], trends: list[dict[str, Any]]) -> tuple[Any, Any]:
    objectives = [str(trend["group"].get("objective", "")) for trend in trends]
    legend = alt.Legend(orient="bottom", columns=1, symbolType="circle", offset=8)
    colour, _, shape = series_channels(names, series_styles(objectives), legend=legend)
    if len(names) == 1:
        colour.legend = None
        return colour, shape
    colour.legend = shape.legend = alt.Legend(orient="bottom", columns=1, offset=8)
    return colour, shape


def _trend_point(row: dict[str, Any], against: str, series: str, axis: str) -> dict[str, Any]:
    place = row.get("crossover", row.get("epochs"))
    status = {"reached": "crossed"}.get(row["status"], row["status"])
    bound = row.get("upper_bound" if status == "ahead_throughout" else "lower_bound")
    low, high = row.get("ci95") or (None, None)
    shown = place if status == "crossed" else bound
    words = {
        "not_reached": "not reached by",
        "undecided": "undecided, not by",
        "ahead_throughout": "ahead from",
    }.get(status)
    return {
        "key": row["group"].get(against),
        "place": shown,
        "low": low,
        "high": high,
        "status": status,
        "series": series,
        "told": f"{words} {place_text(shown, axis)}" if words and shown else None,
    }


def _power_laws(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Each series' fitted line over the keys that it has."""
    rows = []
    for series in frame["series"].unique(maintain_order=True).to_list():
        own = frame.filter((pl.col("series") == series) & (pl.col("place") > 0))
        keys = own["key"].to_numpy().astype(float)
        if not len(keys) or keys.min() <= 0:
            continue
        trend = power_law_trend(keys, own["place"].to_numpy(), own["status"].to_list())
        if trend.exponent is None:
            continue
        for key in np.geomspace(keys.min(), keys.max(), 40):
            place, interval = trend.predict(float(key))
            low, high = interval or (None, None)
            rows.append(
                {
                    "key": key, "place": place, "low": low, "high": high, "series": series,
                    "points": trend.n_crossed,
                }
            )  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None) if rows else None


def _fitted_lines(lines: pl.DataFrame, x: Any, y: Any, colour: Any) -> list[Any]:
    """The power laws, and where 95 % of further places are expected. A line through two points,
    which no third one has tested, is dotted."""
    layers: list[Any] = []
    band = lines.drop_nulls(["low", "high"])
    if band.height:
        area = alt.Chart(band).mark_area(opacity=0.15, clip=True)
        layers.append(area.encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour))
    tested = pl.col("points") >= _TESTED
    for own, dash in ((lines.filter(tested), [5, 3]), (lines.filter(~tested), _DOTS)):
        if own.height:
            line = alt.Chart(own).mark_line(strokeDash=dash, strokeWidth=1.5, clip=True)
            layers.append(line.encode(x, y, colour))
    return layers


def _trend_text(trend: dict[str, Any]) -> str:
    if trend.get("exponent") is None:
        return (trend.get("note") or "").partition("; changes along")[0]
    text = f"exponent {round(trend['exponent'], 6):.3g}"
    ends = trend["ci95"]
    if trend["n_crossed"] < _TESTED:
        text += " (dotted: through two points, which any line fits)"
    elif ends:
        low, high = ("unbounded" if end is None else f"{end:.3g}" for end in ends)
        text += f" (95 %: {low} to {high})"
    if trend["n_censored"]:
        text += f"; {trend['n_censored']} bound{'s' * (trend['n_censored'] > 1)}"
    return text


def effective_data_figure(
    answers: list[dict[str, Any]], *, show: Literal["tokens", "ratio"] = "tokens"
) -> Figure:
    """How many unique tokens the baseline needs to match the challenger, against the challenger's.

    Open marks with arrows are bounds: outside the baseline's budgets.

    Args:
        found: what `effective_data` returned.
        show: the unique tokens, or their ratio to the challenger's own.
    """
    others = [{k: v for k, v in row["group"].items() if k != "unique_tokens"} for row in answers]
    rows = [
        {**_effective_point(row, show), "series": name}
        for row, name in zip(answers, group_names(others), strict=True)
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    keys = frame["key"].to_numpy()
    ends = np.array([keys.min() / 1.5, keys.max() * 1.5])
    unit = ends if show == "tokens" else np.ones(2)
    span = _roomy(np.concatenate([unit, 3 * unit, places_of(frame)]))
    challenger, baseline = (
        display_name(answers[0]["challenger"]),
        display_name(answers[0]["baseline"]),
    )
    needs = f"unique tokens {baseline} needs to match"
    y_title = needs if show == "tokens" else f"{needs}, over {challenger}'s own"
    x = log_axis("key:Q", f"unique tokens of {challenger}", ends)
    y = log_axis("place:Q", y_title, span, channel=alt.Y)
    series = frame["series"].unique(maintain_order=True).to_list()
    own = styles_of([str(answers[0]["challenger"])])[str(answers[0]["challenger"])].colour
    palette = (own, *OTHERS)
    styles = [Style(palette[i % 6], [1, 0], SHAPES[i % len(SHAPES)]) for i in range(len(series))]
    colour, _, shape = series_channels(series, styles)
    legend = alt.Legend(orient="bottom", columns=1, offset=8) if len(series) > 1 else None
    colour.legend = shape.legend = legend
    layers = [*_ratio_lines(ends, unit, x, y), *bounded_marks(frame, x, y, colour, shape)]
    title = alt.TitleParams(
        f"What unique tokens are worth, by {answers[0]['at']} {answers[0]['metric']}",
        subtitle="arrows: bounds, outside the budgets measured"
        if (frame["status"] != "crossed").any() else "lines: 95 % intervals, where there are any",
    )  # fmt: skip
    chart = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT, title=title)
    data = with_rows(frame, answers)
    return Figure(finished(chart), data, f"effective data by {answers[0]['metric']}")


def _effective_point(row: dict[str, Any], show: str) -> dict[str, Any]:
    limit = {"lower": row["range"][1], "upper": row["range"][0], None: None}[row["bound"]]
    scale = 1.0 if show == "tokens" else float(row["unique_tokens"])
    low, high = (end and end / scale for end in row["ci95"] or (None, None))
    place = row["effective_unique_tokens"] if row["bound"] is None else limit
    word = {"lower": "more than", "upper": "fewer than"}.get(row["bound"])
    return {
        "key": float(row["unique_tokens"]),
        "place": float(place) / scale,
        "low": low,
        "high": high,
        "status": {"lower": "not_reached", "upper": "ahead_throughout"}.get(
            row["bound"], "crossed"
        ),
        "ratio": row["ratio"],
        "told": f"{word} {short(place)}" if word else None,
    }


def _ratio_lines(ends: Floats, unit: Floats, x: Any, y: Any) -> list[Any]:
    """Lines of equal unique tokens, and of three times as many."""
    layers = []
    for factor, text in ((1, "equal"), (3, "3 times")):
        line = pl.DataFrame({"key": ends, "place": unit * factor, "words": ["", text]})
        rule = alt.Chart(line).mark_line(color=FAINT, strokeDash=[3, 3], strokeWidth=1)
        words = alt.Chart(line.tail(1)).mark_text(
            align="right", dx=-4, dy=-8, color="#666666", fontSize=11
        )
        layers += [rule.encode(x, y), words.encode(x, y, text="words:N")]
    return layers
