"""What AR and diffusion cost (arXiv 2511.03276, Figure 12)."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.figures.theme import (
    DASHES,
    Figure,
    colour_of,
    finished,
    group_text,
    log_axis,
    name_of,
    short,
)
from workbench.flops import generation_rows
from workbench.sizes import ModelShape

_LENGTHS = [2**k for k in range(4, 13)]
_FIXED = 512


def generation_flops_figure(shape: ModelShape) -> Figure:
    """FLOPs of generating: against the length, with a step a token, and against the number of
    steps at 512 tokens, where AR's cost is a level line."""
    by_length = generation_rows(shape, _LENGTHS, None)
    by_steps = generation_rows(shape, [_FIXED], [2**k for k in range(10)])
    left = _long(by_length, "tokens").with_columns(panel=pl.lit("length"))
    right = _long(by_steps, "steps").with_columns(panel=pl.lit("steps"))
    ratios = ", ".join(
        f"{row['ratio']:,.4g}x at {row['tokens']:,}" for row in (by_length[0], by_length[-1])
    )
    same = by_steps[0]["ratio"]
    panels = [
        _panel(left, "tokens generated", "as many steps as tokens", f"diffusion over AR: {ratios}"),
        _panel(right, "denoising steps", f"{_FIXED} tokens", f"one step: {same:.3g}x of AR"),
    ]
    chart = alt.hconcat(*panels).resolve_scale(color="shared")
    title = f"inference FLOPs, {short(shape.n_params)} parameters"
    return Figure(finished(chart), pl.concat([left, right]), title)


def _long(rows: list[dict[str, Any]], x: str) -> pl.DataFrame:
    names = {"ar_flops": f"{name_of('ar')} with KV cache", "diffusion_flops": name_of("mdlm")}
    frame = pl.DataFrame(rows).select(pl.col(x).cast(pl.Float64).alias("x"), *names)
    return frame.unpivot(list(names), index="x", variable_name="who", value_name="flops").select(
        "x", pl.col("who").replace_strict(names), "flops"
    )


def _panel(rows: pl.DataFrame, x_title: str, title: str, subtitle: str) -> alt.Chart:
    names = rows["who"].unique(maintain_order=True).to_list()
    scale = alt.Scale(domain=names, range=[colour_of("ar"), colour_of("mdlm")])
    legend = alt.Legend(orient="bottom", columns=1, symbolType="stroke", symbolSize=400)
    dashes = alt.Scale(domain=names, range=list(DASHES[:2]))
    return (
        alt.Chart(rows)
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=28, filled=True))
        .encode(
            log_axis("x:Q", x_title, rows["x"].to_numpy()),
            log_axis("flops:Q", "inference FLOPs", rows["flops"].to_numpy(), channel=alt.Y),
            alt.Color("who:N", title=None, scale=scale, legend=legend),
            alt.StrokeDash("who:N", title=None, scale=dashes, legend=legend),
        )
        .properties(width=310, height=250, title=alt.TitleParams(title, subtitle=subtitle))
    )


def training_flops_figure(found: list[dict[str, Any]]) -> Figure:
    """Training FLOPs to the best value of each objective; an arrow where it still improves, so
    that the cost is a lower bound (Figure 12, left).

    Args:
        found: what `flops_to_best` returned.
    """
    rows = []
    for row in found:
        for side in ("baseline", "challenger"):
            one = row[side]
            rows.append(
                {
                    "group": group_text(row["group"]),
                    "who": name_of(one["name"]),
                    "objective": one["name"],
                    "flops": one["flops"],
                    "value": one["value"],
                    "bound": one["bound"] == "lower",
                }
            )
    frame = pl.DataFrame(rows)
    names = frame["who"].unique(maintain_order=True).to_list()
    colours = [colour_of("ar"), colour_of("mdlm")][: len(names)]
    scale = alt.Scale(domain=names, range=colours)
    x = log_axis("flops:Q", "training FLOPs to the best value", frame["flops"].to_numpy() * 1.0)
    y = alt.Y("group:N", title=None, sort=None, axis=alt.Axis(labelLimit=400))
    colour = alt.Color("who:N", title=None, scale=scale, legend=alt.Legend(orient="bottom"))
    spans = frame.group_by("group", maintain_order=True).agg(
        low=pl.col("flops").min(), high=pl.col("flops").max()
    )
    layers: list[Any] = [
        alt.Chart(spans).mark_rule(color="#bbbbbb").encode(alt.X("low:Q"), alt.X2("high:Q"), y),
        alt.Chart(frame.filter(~pl.col("bound")))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(x, y, colour),
    ]
    bounds = frame.filter(pl.col("bound"))
    if bounds.height:
        layers.append(
            alt.Chart(bounds)
            .mark_point(filled=False, size=90, shape="triangle-right", strokeWidth=1.8)
            .encode(x, y, colour)
        )
    told = np.unique([_ratio(row) for row in found])
    chart = alt.layer(*layers).properties(
        width=380, height=70 + 34 * len(found),
        title=alt.TitleParams(
            f"Training FLOPs to the best {found[0]['metric']}",
            subtitle=["triangles: lower bounds, still improving", "; ".join(told)],
        ),
    )  # fmt: skip
    return Figure(finished(chart), frame, "training FLOPs to the best value")


def _ratio(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return "no ratio"
    sign = {"lower": "more than ", "upper": "less than ", None: ""}[row["ratio_bound"]]
    return f"{sign}{row['ratio']:,.3g}x at {short(row['group']['unique_tokens'])} unique tokens"
