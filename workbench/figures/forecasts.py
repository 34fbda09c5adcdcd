"""Forecasts beside what came true."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.forecast_scores import calibration
from workbench.errors import InputError
from workbench.figures.axes import log_axis
from workbench.figures.exact_columns import with_keys
from workbench.figures.figure import Figure
from workbench.figures.text_size import level_lines, wrapped_to
from workbench.figures.theme import FAINT, SIZES, finished, heading, short
from workbench.recipe.objectives import display_name

_SIDE = 300
INSIDE, OUTSIDE = "measured inside the 95 % interval", "outside it"
_COLOURS = {INSIDE: "#009E73", OUTSIDE: "#b00020"}
_SHAPES = {INSIDE: "circle", OUTSIDE: "cross"}
_KINDS = {"run": "losses", "crossover": "crossovers, training tokens"}


def forecasts_figure(rows: list[dict[str, Any]], left_out: Mapping[str, int]) -> Figure:
    """What was expected, with its 95 % interval, against what was measured: a panel for losses and
    one for crossovers, of each source of forecasts.

    On the diagonal a forecast came true. Only what is scored is drawn: never a forecast that was
    made after the fact. A triangle is a crossover that was not reached, or lies before the first
    point: what was measured is a bound, in its direction. Intervals that are open on one side end
    at the panel's.

    Args:
        rows, left_out: of `forecast_scores.score_forecasts`.

    Raises:
        InputError: no forecast can be scored yet; the message says why not.
    """
    not_scored = [f"not scored: {count}, {reason}" for reason, count in left_out.items()]
    if not rows:
        why = "; ".join(not_scored) or "there is none"
        raise InputError(f"forecasts: none can be compared with what was measured ({why}).")
    panels, parts = [], []
    scores = calibration(rows)
    for score, below in zip(scores, _heads(scores), strict=True):
        own = [row for row in rows if _belongs(row, score)]
        frame = pl.DataFrame([_point(row) for row in own], infer_schema_length=None,
                             schema_overrides=_FLOATS)  # fmt: skip
        panels.append(_panel(frame, score, below))
        parts.append(_exact(frame, own))
    study = rows[0]["study"] if len({row["study"] for row in rows}) == 1 else "all studies"
    title = f"{study}: forecasts and what came true"
    chart = alt.concat(*panels, columns=3).properties(
        title=heading(title, ["lines: 95 % intervals of forecasts", *not_scored])
    )
    return Figure(finished(chart), pl.concat(parts, how="diagonal_relaxed"), title)


_FLOATS = dict.fromkeys(("expected", "low", "high", "measured"), pl.Float64)


def _belongs(row: dict[str, Any], score: dict[str, Any]) -> bool:
    (own,) = calibration([row])
    return (own["kind"], own["source"]) == (score["kind"], score["source"])


def _point(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "objective": row["objective"],
        "of": f"{display_name(str(row['objective']))}, {short(row['n_params'])} parameters, "
        f"{short(row['unique_tokens'])} unique tokens",
        "metric": row["metric"],
        "measured": float(row["measured"]),
        "expected": row["expected"],
        "low": row["low"],
        "high": row["high"],
        "status": row.get("status", "crossed"),
        "verdict": INSIDE if row["inside"] else OUTSIDE,
        "total_tokens": row["total_tokens"],
        "forecast": row["forecast"],
        "source": row["source"],
    }


def _exact(frame: pl.DataFrame, rows: list[dict[str, Any]]) -> pl.DataFrame:
    keys = [{key: row[key] for key in ("n_params", "unique_tokens", "study")} for row in rows]
    ids = [[row["run_id"]] if row["run_id"] else [] for row in rows]
    return with_keys(frame, keys, ids, [[] for _ in rows]).drop("seeds")


def _panel(frame: pl.DataFrame, score: dict[str, Any], below: list[str]) -> Any:
    names = ("measured", "expected", "low", "high")
    every = np.concatenate([frame[name].drop_nulls().to_numpy() for name in names])
    positive = every[every > 0]
    span = positive if len(positive) else np.array([1.0, 10.0])
    start, end = float(span.min()) / 1.1, float(span.max()) * 1.1
    loss = score["kind"] == "run"
    what = frame["metric"][0] if loss else "training tokens"
    x = log_axis("measured:Q", f"measured ({what})", np.r_[span, start, end], most=5)
    y, low = (
        log_axis(f"{name}:Q", f"expected ({what})", np.r_[span, start, end], channel=alt.Y, most=5)
        for name in ("expected", "low")
    )
    colour = alt.Color(
        "verdict:N", title=None, legend=alt.Legend(orient="bottom", columns=1, offset=8),
        scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())),
    )  # fmt: skip
    shape = alt.Shape(
        "verdict:N", title=None, legend=alt.Legend(orient="bottom", columns=1, offset=8),
        scale=alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values())),
    )  # fmt: skip
    tips = [
        alt.Tooltip(f"{name}:{kind}", title=name.replace("_", " "))
        for name, kind in (
            ("of", "N"), ("measured", "Q"), ("expected", "Q"), ("low", "Q"), ("high", "Q"),
            ("status", "N"), ("source", "N"),
        )
    ]  # fmt: skip
    ends = pl.DataFrame({"measured": [start, end], "expected": [start, end]})
    # An open end runs to the end of the axis.
    ranged = frame.with_columns(
        low=pl.when(pl.col("low") > 0).then("low").otherwise(start),
        high=pl.col("high").fill_null(end).clip(start),
    )
    layers: list[Any] = [
        alt.Chart(ends).mark_line(color=FAINT, strokeDash=[4, 3], tooltip=None).encode(x, y),
        alt.Chart(ranged)
        .mark_rule(strokeWidth=2, opacity=0.6, clip=True)
        .encode(x, low, alt.Y2("high:Q"), colour, tooltip=tips),
    ]
    known = frame.drop_nulls("expected")
    exact = known.filter(status="crossed")
    if exact.height:
        marks = alt.Chart(exact).mark_point(filled=True, size=55, opacity=1)
        layers.append(marks.encode(x, y, colour, shape, tooltip=tips))
    for status, form in (("not_reached", "triangle-right"), ("ahead_throughout", "triangle-left")):
        bounds = ranged.filter(status=status).with_columns(
            # Where no crossover is expected, the mark stands at the end that is known.
            expected=pl.coalesce("expected", "low")
        )
        if bounds.height:
            marks = alt.Chart(bounds).mark_point(
                shape=form, size=90, filled=True, fill="white", strokeWidth=2, opacity=1
            )
            layers.append(marks.encode(x, y, alt.Stroke("verdict:N", legend=None,
                scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))),
                tooltip=tips))  # fmt: skip
    return alt.layer(*layers).properties(
        width=_SIDE, height=_SIDE,
        title=alt.TitleParams(_KINDS[score["kind"]], subtitle=below),
    )  # fmt: skip


def _heads(scores: list[dict[str, Any]]) -> list[list[str]]:
    """Below each panel's title its source and how its forecasts came out, in as many lines each."""
    return level_lines(
        [
            [
                line
                for text in (f"from {score['source']}:", _verdict(score))
                for line in wrapped_to(text, _SIDE, SIZES.label)
            ]
            for score in scores
        ]
    )


def _verdict(score: dict[str, Any]) -> str:
    low, high = score["coverage_ci95"]
    error = "" if score["mean_abs_log"] is None else f", error {100 * score['mean_abs_log']:.3g} %"
    inside = f"{score['coverage']:.0%} inside (95 %: {low:.0%} to {high:.0%})"
    return f"{score['n']} scored, {inside}{error}"
