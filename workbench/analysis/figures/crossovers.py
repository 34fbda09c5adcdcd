"""Crossovers, how they move, and what unique tokens are worth."""

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import load_curves
from workbench.analysis.figures.theme import (
    AXIS_TITLES,
    COLOURS,
    FAINT,
    INK,
    KEY_NAMES,
    OTHERS,
    Figure,
    colour_of,
    finished,
    group_text,
    linear_axis,
    log_axis,
    measured,
    metric_title,
    name_of,
    place_text,
    series_scale,
    short,
)
from workbench.analysis.pairing import Pair, Side, make_pairs, mean_curve, side_name
from workbench.analysis.trends import power_law_trend

_WIDTH, _HEIGHT = 290, 230


def crossover_figure(
    results: Path, study: str, metric: str, axis: str, found: list[dict[str, Any]]
) -> Figure:
    """A panel a group: baseline and challenger against the axis, the crossover marked with its
    95 % interval.

    Args:
        found: what `crossovers` returned for the same study, metric and axis.
    """
    loaded = load_curves(results, study, metric)
    sides = (found[0]["baseline"], found[0]["challenger"])
    match = loaded.compare.get("match")
    pairs = make_pairs(loaded, *sides, tuple(match) if match else None)
    names = _legend_names(pairs[0], sides)
    objectives = dict(zip(names, map(_objective, sides), strict=True))
    frames = [_pair_frame(pair, axis, names) for pair in pairs]
    every = np.concatenate([frame["x"].to_numpy() for frame in frames])
    panels = [
        _panel(frame, answer, metric, axis, names, objectives, every)
        for frame, answer in zip(frames, found, strict=True)
    ]
    data = pl.concat(
        [
            frame.with_columns(panel=pl.lit(group_text(answer["group"])))
            for frame, answer in zip(frames, found, strict=True)
        ]
    )
    chart = alt.concat(*panels, columns=3).resolve_scale(y="shared", color="shared")
    return Figure(finished(chart), data, f"{study}: crossover on {metric}")


def _objective(side: Side) -> str:
    return side if isinstance(side, str) else str(side.get("training.objective", side_name(side)))


def _legend_names(pair: Pair, sides: tuple[Side, Side]) -> list[str]:
    names = []
    for side, curves in zip(sides, (pair.baseline, pair.challenger), strict=True):
        told = name_of(side) if isinstance(side, str) else group_text(side)
        imported = all(curve.imported for curve in curves)
        names.append(told + measured(curves[0].estimator) + (", imported" if imported else ""))
    return names


def _pair_frame(pair: Pair, axis: str, names: list[str]) -> pl.DataFrame:
    parts = []
    for name, curves in zip(names, (pair.baseline, pair.challenger), strict=True):
        x, y = mean_curve(curves, axis)
        good = x > 0
        parts.append(pl.DataFrame({"x": x[good], "y": y[good], "curve": [name] * int(good.sum())}))
    return pl.concat(parts)


def _panel(
    frame: pl.DataFrame,
    answer: dict[str, Any],
    metric: str,
    axis: str,
    names: list[str],
    objectives: dict[str, str],
    every: np.ndarray,
) -> Any:
    colours, dashes, _ = series_scale(names, objectives)
    x = log_axis("x:Q", AXIS_TITLES[axis], every, most=5)
    y = linear_axis("y:Q", metric_title(metric, frame["y"].to_numpy()))
    colour = alt.Color(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=names, range=colours),
        legend=alt.Legend(orient="bottom", symbolType="stroke", symbolSize=500, columns=1),
    )
    dash = alt.StrokeDash(
        "curve:N", title=None, scale=alt.Scale(domain=names, range=dashes), legend=None
    )
    base = alt.Chart(frame)
    layers: list[Any] = []
    interval = answer.get("ci95")
    if interval:
        low, high = interval
        band = {"low": low or float(every.min()), "high": high or float(every.max())}
        layers.append(
            alt.Chart(alt.Data(values=[band]))
            .mark_rect(color="#bbbbbb", opacity=0.35)
            .encode(x=alt.X("low:Q"), x2="high:Q")
        )
    layers += [
        base.mark_line(strokeWidth=2).encode(x, y, colour, dash),
        base.mark_point(filled=True, size=16, opacity=1).encode(x, y, colour),
    ]
    if answer["crossover"] is not None:
        at = alt.Data(values=[{"x": answer["crossover"]}])
        layers.append(alt.Chart(at).mark_rule(strokeDash=[2, 2], color=INK).encode(alt.X("x:Q")))
    return alt.layer(*layers).properties(
        width=_WIDTH,
        height=_HEIGHT,
        title=alt.TitleParams(_wrapped(group_text(answer["group"])), subtitle=verdict(answer)),
    )


def _wrapped(text: str, limit: int = 42) -> list[str]:
    """A title in lines that fit a panel."""
    lines = [""]
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > limit and lines[-1]:
            lines.append(part)
        else:
            lines[-1] = joined
    return lines


def verdict(answer: dict[str, Any]) -> str:
    """The status of a comparison in a line; bounds are called so."""
    axis = answer["axis"]
    if answer["status"] == "not_reached":
        return f"not reached by {place_text(answer['last_x'], axis)}"
    if answer["status"] == "ahead_throughout":
        return "ahead from the first point compared"
    told = f"overtakes at {place_text(answer['crossover'], axis)}"
    interval = answer.get("ci95")
    if interval:
        low, high = (None if end is None else place_text(end, axis) for end in interval)
        told += f" (95 %: {(low or 'unbounded').split()[0]} to {(high or 'unbounded').split()[0]})"
    return told


def crossover_trend_figure(
    found: list[dict[str, Any]], trends: list[dict[str, Any]], *, what: str = "crossover"
) -> Figure:
    """Crossovers, or onsets of overfitting, along a key, with the fitted power law. Open arrows
    are bounds: the place lies in their direction.

    Args:
        found: rows as of `crossovers` or `overfitting_onset`.
        trends: rows as of `crossover_trends` or `onset_trends` for these.
    """
    against = trends[0]["against"]
    axis = found[0].get("axis", "epochs")
    rows = [_trend_point(row, against) for row in found]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    x_title = KEY_NAMES.get(against, against.rpartition(".")[2])
    numeric = all(isinstance(row["group"].get(against), (int, float)) for row in found)
    lines = _power_laws(frame) if numeric else None
    drawn = _ends(frame) if lines is None else np.r_[_ends(frame), lines["place"].to_numpy()]
    y = log_axis("place:Q", f"{what} ({AXIS_TITLES[axis]})", drawn, channel=alt.Y)
    x = (
        log_axis("key:Q", x_title, frame["key"].to_numpy().astype(float))
        if numeric
        else alt.X("key:N", title=x_title, sort=None)
    )
    series = sorted(frame["series"].unique().to_list())
    objective = {name_of(one): one for one in COLOURS}
    palette = [colour_of(objective.get(one, ""), i) for i, one in enumerate(series)]
    colour: Any = alt.Color(
        "series:N", title=None, scale=alt.Scale(domain=series, range=palette),
        legend=alt.Legend(orient="bottom", columns=1) if len(series) > 1 else None,
    )  # fmt: skip
    layers = _bounded_marks(frame, x, y, colour)
    if lines is not None:
        layers += _fitted_lines(lines, x, y, colour)
    chart = alt.layer(*layers).properties(
        width=430, height=300, title=alt.TitleParams(f"{what} against {x_title}",
                                                     subtitle=[_trend_text(t) for t in trends])
    )  # fmt: skip
    return Figure(finished(chart), frame, f"{what} against {x_title}")


def _trend_point(row: dict[str, Any], against: str) -> dict[str, Any]:
    place = row.get("crossover", row.get("epochs"))
    status = {"reached": "crossed"}.get(row["status"], row["status"])
    bound = {"not_reached": row.get("lower_bound"), "ahead_throughout": row.get("upper_bound")}
    low, high = row.get("ci95") or (None, None)
    others = {
        key: value
        for key, value in row["group"].items()
        if key not in (against, "unique_tokens") and not key.startswith("labels.")
    }
    return {
        "key": row["group"].get(against),
        "place": place if status == "crossed" else bound[status],
        "low": low,
        "high": high,
        "status": status,
        "series": name_of(str(others.pop("objective", ""))) or group_text(others) or "all",
    }


def _ends(frame: pl.DataFrame) -> np.ndarray:
    columns = [frame[name].cast(pl.Float64).drop_nulls() for name in ("place", "low", "high")]
    return np.concatenate([column.to_numpy() for column in columns])


def _bounded_marks(frame: pl.DataFrame, x: Any, y: Any, colour: Any) -> list[Any]:
    exact = frame.filter(pl.col("status") == "crossed")
    layers: list[Any] = []
    ranged = exact.filter(pl.col("low").is_not_null() & pl.col("high").is_not_null())
    if ranged.height:
        layers.append(
            alt.Chart(ranged).mark_rule(strokeWidth=1.5).encode(
                x, alt.Y("low:Q"), alt.Y2("high:Q"), colour
            )
        )  # fmt: skip
    layers.append(alt.Chart(exact).mark_point(filled=True, size=70, opacity=1).encode(x, y, colour))
    for status, shape in (("not_reached", "triangle-up"), ("ahead_throughout", "triangle-down")):
        bounds = frame.filter(pl.col("status") == status)
        if bounds.height:
            layers.append(
                alt.Chart(bounds)
                .mark_point(filled=False, size=90, shape=shape, strokeWidth=1.8)
                .encode(x, y, colour)
            )
    return layers


def _power_laws(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Each series' fitted line over the keys that it has."""
    rows = []
    for series in frame["series"].unique().to_list():
        own = frame.filter((pl.col("series") == series) & (pl.col("place") > 0))
        keys = own["key"].to_numpy().astype(float)
        trend = power_law_trend(keys, own["place"].to_numpy(), own["status"].to_list())
        if trend.exponent is None:
            continue
        for key in np.geomspace(keys.min(), keys.max(), 40):
            place, interval = trend.predict(float(key))
            low, high = interval or (None, None)
            rows.append({"key": key, "place": place, "low": low, "high": high, "series": series})
    return pl.DataFrame(rows, infer_schema_length=None) if rows else None


def _fitted_lines(lines: pl.DataFrame, x: Any, y: Any, colour: Any) -> list[Any]:
    """The power laws, and where 95 % of further places are expected."""
    layers: list[Any] = []
    band = lines.drop_nulls(["low", "high"])
    if band.height:
        layers.append(
            alt.Chart(band)
            .mark_area(opacity=0.15, clip=True)
            .encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour)
        )
    layers.append(
        alt.Chart(lines)
        .mark_line(strokeDash=[5, 3], strokeWidth=1.5, clip=True)
        .encode(x, y, colour)
    )
    return layers


def _trend_text(trend: dict[str, Any]) -> str:
    objective = trend["group"].get("objective")
    who = f"{name_of(objective)}: " if objective else ""
    if trend.get("exponent") is None:
        return who + (trend.get("note") or "").split(";")[0]
    told = f"{who}power {trend['exponent']:.3g}"
    if trend["ci95"] and None not in trend["ci95"]:
        told += f" (95 %: {trend['ci95'][0]:.3g} to {trend['ci95'][1]:.3g})"
    else:
        told += " (no interval: too few crossed)"
    if trend["n_censored"]:
        told += f"; {trend['n_censored']} bound{'s' * (trend['n_censored'] > 1)}"
    return told


def effective_data_figure(found: list[dict[str, Any]]) -> Figure:
    """How many unique tokens the baseline needs to match the challenger, against the
    challenger's own. Arrows are bounds: outside the baseline's measured range."""
    rows = []
    for row in found:
        limit = {"lower": row["range"][1], "upper": row["range"][0], None: None}[row["bound"]]
        low, high = row["ci95"] or (None, None)
        rows.append(
            {
                "key": float(row["unique_tokens"]),
                "place": row["effective_unique_tokens"] or limit,
                "low": low,
                "high": high,
                "status": {"lower": "not_reached", "upper": "ahead_throughout"}.get(
                    row["bound"], "crossed"
                ),
                "series": f"{short(row['group']['n_params'])} parameters",
                "ratio": row["ratio"],
            }
        )
    frame = pl.DataFrame(rows, infer_schema_length=None)
    keys = frame["key"].to_numpy()
    span = np.concatenate([keys / 1.5, keys * 1.5 * 3, _ends(frame)])
    challenger, baseline = name_of(found[0]["challenger"]), name_of(found[0]["baseline"])
    x = log_axis(
        "key:Q", f"unique tokens of {challenger}", np.concatenate([keys / 1.5, keys * 1.5])
    )
    y = log_axis("place:Q", f"unique tokens {baseline} needs to match", span, channel=alt.Y)
    series = sorted(frame["series"].unique().to_list())
    colour: Any = alt.Color(
        "series:N", title=None,
        scale=alt.Scale(domain=series, range=[COLOURS["mdlm"], *OTHERS][: len(series)]),
        legend=alt.Legend(orient="bottom") if len(series) > 1 else None,
    )  # fmt: skip
    layers = [*_ratio_lines(keys, x, y), *_bounded_marks(frame, x, y, colour)]
    metric = found[0]["metric"]
    chart = alt.layer(*layers).properties(
        width=430,
        height=320,
        title=alt.TitleParams(
            f"What unique tokens are worth, by {found[0]['at']} {metric}",
            subtitle="triangles: bounds, outside the range of budgets measured",
        ),
    )
    return Figure(finished(chart), frame, f"effective data by {metric}")


def _ratio_lines(keys: np.ndarray, x: Any, y: Any) -> list[Any]:
    """As many tokens, and three times as many."""
    ends = np.array([keys.min() / 1.5, keys.max() * 1.5])
    layers = []
    for factor, text in ((1, "equal"), (3, "3 times")):
        line = pl.DataFrame({"key": ends, "place": ends * factor, "told": ["", text]})
        layers.append(
            alt.Chart(line).mark_line(color=FAINT, strokeDash=[3, 3], strokeWidth=1).encode(x, y)
        )
        layers.append(
            alt.Chart(line.tail(1))
            .mark_text(align="right", dx=-4, dy=-6, color="#666666", fontSize=11, clip=True)
            .encode(x, y, text="told:N")
        )
    return layers
