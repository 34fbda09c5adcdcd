"""What AR and diffusion cost (arXiv 2511.03276, Figure 12)."""

from typing import Any

import altair as alt
import polars as pl

from workbench.figures.axes import log_axis
from workbench.figures.exact_columns import with_rows
from workbench.figures.figure import Figure
from workbench.figures.theme import (
    finished,
    group_text,
    heading,
    series_channels,
    short,
    styles_of,
)
from workbench.planning.flops import generation_rows
from workbench.recipe.objectives import BASELINE, CHALLENGER, display_name
from workbench.recipe.sizes import ModelShape

_LENGTHS = tuple(2**k for k in range(4, 13))
_STEPS = tuple(2**k for k in range(10))
_FIXED = 512
_SIDES = (BASELINE, CHALLENGER)


def generation_flops_figure(
    shape: ModelShape, lengths: tuple[int, ...] = _LENGTHS, fixed: int = _FIXED
) -> Figure:
    """FLOPs of generating in three panels.

    They are against the length, with one step a token; the ratio of diffusion to AR; and against
    the number of steps at a fixed length, where AR's cost is a level line.
    """
    by_length = generation_rows(shape, lengths, None)
    by_steps = generation_rows(shape, [fixed], [k for k in _STEPS if k <= fixed] or [1])
    data = pl.concat(
        [
            _long(by_length, "tokens").with_columns(panel=pl.lit("length")),
            _long(by_steps, "steps").with_columns(panel=pl.lit("steps")),
        ]
    )
    left, right = (data.filter(pl.col("panel") == name) for name in ("length", "steps"))
    first, last = by_length[0], by_length[-1]
    ratios = f"{first['ratio']:,.3g}x at {first['tokens']:,} tokens, {last['ratio']:,.4g}x at "
    panels = [
        _panel(left, "tokens generated", "as many steps as tokens", ratios + f"{last['tokens']:,}"),
        _ratio_panel(left),
        _panel(
            right, "denoising steps", f"{fixed} tokens", f"one step: {by_steps[0]['ratio']:.3g}x AR"
        ),
    ]
    title = f"inference FLOPs, {short(shape.n_params)} parameters"
    chart = alt.hconcat(*panels).properties(title=heading(title))
    return Figure(finished(chart), data, title)


def _long(rows: list[dict[str, Any]], x: str) -> pl.DataFrame:
    """One row a length or number of steps, and a side."""
    return pl.DataFrame(
        [
            {
                "x": float(row[x]),
                "series": f"{display_name(side)}{' with KV cache' if side == BASELINE else ''}",
                "objective": side,
                "flops": float(row["ar_flops" if side == BASELINE else "diffusion_flops"]),
                "ratio": float(row["ratio"]),
            }
            for side in _SIDES
            for row in rows
        ]
    )


def _panel(rows: pl.DataFrame, x_title: str, title: str, subtitle: str) -> Any:
    names = rows["series"].unique(maintain_order=True).to_list()
    styles = list(styles_of(_SIDES).values())
    colour, dash, _ = series_channels(names, styles)
    x = log_axis("x:Q", x_title, rows["x"].to_numpy(), most=5)
    y = log_axis("flops:Q", "inference FLOPs", rows["flops"].to_numpy(), channel=alt.Y)
    base = alt.Chart(rows)
    return alt.layer(
        base.mark_line(strokeWidth=2).encode(x, y, colour, dash),
        base.mark_point(size=28, filled=True, opacity=1).encode(x, y, colour),
    ).properties(width=270, height=240, title=alt.TitleParams(title, subtitle=subtitle))


def _ratio_panel(rows: pl.DataFrame) -> Any:
    own = rows.filter(pl.col("objective") == CHALLENGER)
    x = log_axis("x:Q", "tokens generated", own["x"].to_numpy(), most=5)
    y = log_axis("ratio:Q", "diffusion / AR", own["ratio"].to_numpy(), channel=alt.Y, powers=False)
    base = alt.Chart(own).encode(x, y)
    return alt.layer(
        base.mark_line(strokeWidth=2, color="#555555"),
        base.mark_point(size=28, filled=True, opacity=1, color="#555555"),
    ).properties(
        width=170, height=240, title=alt.TitleParams("ratio", subtitle="steps as tokens")
    )  # fmt: skip


def training_flops_figure(rows: list[dict[str, Any]]) -> Figure:
    """Training FLOPs to the best value of each objective (Figure 12, left).

    An open triangle marks a value that still improves at the end: its cost is a lower bound.

    Args:
        found: rows with "group", "baseline" and "challenger" ("flops", "value", "bound", and
            "name" where they are not AR and diffusion), "ratio" and "ratio_bound", as of
            `analysis.cost.flops_to_best`.
    """
    frame = pl.DataFrame([_side(row, side) for row in rows for side in _names(row)])
    names = frame["series"].unique(maintain_order=True).to_list()
    objectives = dict(zip(frame["series"].to_list(), frame["objective"].to_list(), strict=True))
    known = styles_of(objectives.values())
    colour, _, shape = series_channels(names, [known[objectives[name]] for name in names])
    colour.legend = shape.legend = alt.Legend(orient="bottom", offset=8)
    x = log_axis("flops:Q", "training FLOPs to the best value", frame["flops"].to_numpy(), most=5)
    y = alt.Y("group:N", title=None, sort=None, axis=alt.Axis(labelLimit=420))
    spans = frame.group_by("group", maintain_order=True).agg(
        low=pl.col("flops").min(), high=pl.col("flops").max()
    )
    exact, bounds = frame.filter(~pl.col("bound")), frame.filter(pl.col("bound"))
    layers: list[Any] = [
        alt.Chart(spans).mark_rule(color="#bbbbbb").encode(alt.X("low:Q"), alt.X2("high:Q"), y)
    ]
    if exact.height:
        marks = alt.Chart(exact).mark_point(filled=True, size=80, opacity=1)
        layers.append(marks.encode(x, y, colour, shape))
    if bounds.height:
        marks = alt.Chart(bounds).mark_point(
            size=110, shape="triangle-right", strokeWidth=2, fill="white", opacity=1
        )
        layers.append(marks.encode(x, y, colour))
    metric = rows[0].get("metric", "value")
    subtitle = [_ratio(row) for row in rows[:6]]
    if bounds.height:
        subtitle.insert(0, "open triangles: lower bounds, still improving at the end")
    chart = alt.layer(*layers).properties(
        width=400, height=60 + 34 * len(rows),
        title=alt.TitleParams(f"Training FLOPs to the best {metric}", subtitle=subtitle),
    )  # fmt: skip
    of_sides = [(row, side) for row in rows for side in _names(row)]
    data = with_rows(frame, [row for row, _ in of_sides], [side for _, side in of_sides])
    return Figure(finished(chart), data, f"training FLOPs to the best {metric}")


def _names(row: dict[str, Any]) -> dict[str, str]:
    """The name of each side."""
    usual = dict(zip(("baseline", "challenger"), _SIDES, strict=True))
    return {side: str(row[side].get("name", name)) for side, name in usual.items()}


def _side(row: dict[str, Any], side: str) -> dict[str, Any]:
    values, name = row[side], _names(row)[side]
    return {
        "group": group_text(row["group"]),
        "series": display_name(name),
        "objective": name,
        "flops": float(values["flops"]),
        "value": values["value"],
        "bound": values["bound"] == "lower",
    }


def _ratio(row: dict[str, Any]) -> str:
    group = group_text(row["group"])
    if row["ratio"] is None:
        return f"{group}: both still improve, no ratio"
    sign = {"lower": "more than ", "upper": "less than ", None: ""}[row["ratio_bound"]]
    return f"{group}: {sign}{row['ratio']:,.3g}x"
