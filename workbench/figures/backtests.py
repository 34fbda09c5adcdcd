"""What a law predicted of runs that it was not fitted to, and what they came to."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.figures.axes import log_axis
from workbench.figures.figure import Figure
from workbench.figures.theme import FAINT, finished, heading, ramp, short
from workbench.recipe.objectives import display_name

_WIDTH, _HEIGHT = 300, 200


def backtest_figure(rows: list[dict[str, Any]]) -> Figure:
    """Loss against compute: the runs that were fitted (grey), those held out (filled), and what the
    best law said of these, with the interval of a single run (band).

    A panel for each split and objective; lines join the lengths of one size on one text.

    Args:
        rows: of `laws.backtest.scores`.
    """
    best: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in rows:
        if not row["naive"]:
            best.setdefault((row["train"], row["objective"]), row)
    frames = [_cell_rows(row) for row in best.values()]
    together = pl.concat(frames)
    colour = _colour(together)
    panels = [_panel(frame, row, colour) for frame, row in zip(frames, best.values(), strict=True)]
    columns = len({objective for _, objective in best})
    chart = alt.concat(*panels, columns=columns).properties(
        title=heading(
            "Predictions of runs that were not fitted",
            "grey: fitted; points: held out; lines and bands: predicted, 95 % interval of a run",
        )
    )
    return Figure(finished(chart), together, "backtests")


def _colour(frame: pl.DataFrame) -> Any:
    order = frame.sort("unique_tokens")["unique"].unique(maintain_order=True).to_list()
    return alt.Color(
        "unique:N", title="unique tokens", sort=order,
        scale=alt.Scale(domain=order, range=ramp(len(order))), legend=alt.Legend(orient="bottom"),
    )  # fmt: skip


def _cell_rows(row: dict[str, Any]) -> pl.DataFrame:
    """The held-out configurations, each the mean of its runs."""
    frame = pl.DataFrame(row["held_out"], schema_overrides={"low": pl.Float64, "high": pl.Float64})
    return frame.with_columns(
        along=pl.lit(row["along"]),
        objective=pl.lit(row["objective"], pl.String),
        predictor=pl.lit(row["predictor"]),
        line=pl.format("{} {}", pl.col("n_params").cast(pl.Int64), "unique_tokens"),
        unique=pl.col("unique_tokens").map_elements(short, return_dtype=pl.String),
    )


def _panel(frame: pl.DataFrame, row: dict[str, Any], colour: Any) -> Any:
    fitted = pl.DataFrame(row["fitted"], schema=["compute", "loss"], orient="row")
    span = np.r_[fitted["compute"].to_numpy(), frame["compute"].to_numpy()]
    losses = np.r_[
        fitted["loss"].to_numpy(), frame["loss"].to_numpy(), frame["predicted"].to_numpy()
    ]
    x = log_axis("compute:Q", "training FLOPs", span, most=5)
    y, predicted, low = (
        log_axis(f"{field}:Q", "loss", losses, channel=alt.Y, most=5)
        for field in ("loss", "predicted", "low")
    )
    tooltip = ["n_params", "unique_tokens", "total_tokens", "loss", "predicted", "low", "high"]
    base = alt.Chart(frame)
    layers = [alt.Chart(fitted).mark_point(size=14, color=FAINT, opacity=0.5).encode(x, y)]
    if frame["low"].is_not_null().all():
        ends = (x, low, alt.Y2("high:Q"), colour)
        layers.append(base.mark_area(opacity=0.18, clip=True).encode(*ends, alt.Detail("line:N")))
        layers.append(base.mark_rule(strokeWidth=3, opacity=0.25, clip=True).encode(*ends))
    layers += [
        base.mark_line(strokeWidth=1.6).encode(x, predicted, colour, alt.Detail("line:N")),
        base.mark_point(filled=True, size=36, opacity=1).encode(x, y, colour, tooltip=tooltip),
    ]
    coverage = "" if row["coverage"] is None else f", coverage {row['coverage']:.2f}"
    name = "" if row["objective"] is None else f"{display_name(row['objective'])}: "
    return alt.layer(*layers).properties(
        width=_WIDTH,
        height=_HEIGHT,
        title=alt.TitleParams(
            f"{name}{row['predictor']}",
            subtitle=f"fitted to {row['train']}; error {100 * row['rmse_log']:.2g} %{coverage}",
        ),
    )
