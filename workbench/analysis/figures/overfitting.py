"""What validation loss hides: loss against accuracy, and the gap between true and other endings."""

from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from workbench.analysis.curves import load_curves
from workbench.analysis.figures.curves import Family, families, telling_keys
from workbench.analysis.figures.theme import (
    AXIS_TITLES,
    DASHES,
    Figure,
    finished,
    group_text,
    linear_axis,
    log_axis,
    measured,
    metric_title,
    name_of,
    series_scale,
)
from workbench.analysis.pairing import identity
from workbench.errors import InputError

_WIDTH, _HEIGHT = 290, 230


def loss_against_accuracy_figure(
    results: Path, study: str, loss: str = "val_loss", accuracy: str = "cloze_acc"
) -> Figure:
    """The way of each run through loss and accuracy, from its first point (open) to its last
    (filled): a way that turns right and up has a loss that rises while accuracy still improves
    (arXiv 2511.03276, Figures 8 and 9).

    Raises:
        InputError: no run has both metrics.
    """
    losses = _by_keys(families(load_curves(results, study, loss), "tokens"))
    others = _by_keys(families(load_curves(results, study, accuracy), "tokens"))
    members = [losses[key] for key in losses if key in others]
    if not members:
        raise InputError(f"study {study}: no run has both {loss} and {accuracy}.")
    told = telling_keys(members)
    parts = []
    for key, family in losses.items():
        if key not in others:
            continue
        joined = family.frame.select("x", loss="value").join(
            others[key].frame.select("x", accuracy="value"), on="x", how="inner"
        )
        label = group_text({name: family.keys.get(name) for name in told})
        parts.append(
            joined.with_columns(
                objective=pl.lit(family.objective),
                series=pl.lit(name_of(family.objective) + measured(family.estimator)),
                label=pl.lit(label),
                order=pl.int_range(pl.len()),
                end=pl.int_range(pl.len()) == pl.len() - 1,
            )
        )
    rows = pl.concat(parts)
    return Figure(finished(_ways(rows, loss, accuracy)), rows, f"{study}: {loss} and {accuracy}")


def _by_keys(every: list[Family]) -> dict[str, Family]:
    return {identity(family.keys): family for family in every}


def _ways(rows: pl.DataFrame, loss: str, accuracy: str) -> alt.ConcatChart:
    series = rows["series"].unique(maintain_order=True).to_list()
    objectives = dict(zip(rows["series"].to_list(), rows["objective"].to_list(), strict=True))
    colours, _, _ = series_scale(series, objectives)
    x = alt.X(
        "loss:Q", title=metric_title(loss), scale=alt.Scale(zero=False),
        axis=alt.Axis(gridOpacity=0.6, tickCount=6),
    )  # fmt: skip
    y = linear_axis("accuracy:Q", metric_title(accuracy, rows["accuracy"].to_numpy()))
    colour: Any = alt.Color(
        "series:N", title=None, scale=alt.Scale(domain=series, range=colours),
        legend=alt.Legend(orient="bottom", columns=1, symbolType="stroke", symbolSize=400),
    )  # fmt: skip
    panels = []
    for label in rows["label"].unique(maintain_order=True).to_list():
        own = alt.Chart(rows.filter(pl.col("label") == label))
        ends = alt.Chart(
            rows.filter((pl.col("label") == label) & ((pl.col("order") == 0) | pl.col("end")))
        )
        fill = alt.FillOpacity(
            "end:N", scale=alt.Scale(domain=[False, True], range=[0, 1]), legend=None
        )
        panels.append(
            alt.layer(
                own.mark_line(strokeWidth=1.6, opacity=0.9).encode(
                    x, y, colour, alt.Order("order:Q"), alt.Detail("series:N")
                ),
                own.mark_point(filled=True, size=12, opacity=1).encode(x, y, colour),
                ends.mark_point(size=90, strokeWidth=2, filled=False).encode(
                    x,
                    y,
                    colour,
                    alt.Fill(
                        "series:N", scale=alt.Scale(domain=series, range=colours), legend=None
                    ),
                    fill,
                ),
            ).properties(width=_WIDTH, height=_HEIGHT, title=label)
        )
    return alt.concat(*panels, columns=3).resolve_scale(x="shared", y="shared")


def nll_gap_figure(
    results: Path,
    study: str,
    true: str = "cloze_nll_true",
    other: str = "cloze_nll_other",
    axis: str = "epochs",
) -> Figure:
    """NLL of true and of other endings, and their gap (arXiv 2511.03276, Figure 9): accuracy
    follows the gap, which can widen while both losses rise.

    Raises:
        InputError: no run has both metrics.
    """
    ours = _by_keys(families(load_curves(results, study, true), axis))
    theirs = _by_keys(families(load_curves(results, study, other), axis))
    members = [ours[key] for key in ours if key in theirs]
    if not members:
        raise InputError(f"study {study}: no run has both {true} and {other}.")
    told = telling_keys(members)
    parts = []
    for family in members:
        joined = family.frame.select("x", true="value").join(
            theirs[identity(family.keys)].frame.select("x", other="value"), on="x", how="inner"
        )
        joined = joined.with_columns(gap=pl.col("other") - pl.col("true"))
        parts.append(
            joined.unpivot(["true", "other", "gap"], index="x", variable_name="what").with_columns(
                objective=pl.lit(family.objective),
                series=pl.lit(name_of(family.objective) + measured(family.estimator)),
                label=pl.lit(group_text({k: family.keys.get(k) for k in told})),
            )
        )
    rows = pl.concat(parts)
    return Figure(finished(_gaps(rows, axis)), rows, f"{study}: endings and their gap")


def _gaps(rows: pl.DataFrame, axis: str) -> alt.ConcatChart:
    series = rows["series"].unique(maintain_order=True).to_list()
    objectives = dict(zip(rows["series"].to_list(), rows["objective"].to_list(), strict=True))
    colours, _, _ = series_scale(series, objectives)
    names = {"true": "true ending", "other": "other endings", "gap": "gap: other - true"}
    rows = rows.with_columns(what=pl.col("what").replace_strict(names))
    legend = alt.Legend(orient="bottom", columns=1, symbolType="stroke", symbolSize=400)
    colour: Any = alt.Color(
        "series:N", title=None, scale=alt.Scale(domain=series, range=colours), legend=legend
    )
    dash = alt.StrokeDash(
        "what:N", title=None, legend=legend,
        scale=alt.Scale(domain=list(names.values()), range=list(DASHES[:3])),
    )  # fmt: skip
    panels = []
    x = log_axis("x:Q", AXIS_TITLES[axis], rows["x"].to_numpy(), most=5)
    for label in rows["label"].unique(maintain_order=True).to_list():
        own = rows.filter(pl.col("label") == label)
        y = linear_axis("value:Q", "NLL (nats a token)")
        panels.append(
            alt.Chart(own)
            .mark_line(strokeWidth=1.8)
            .encode(x, y, colour, dash)
            .properties(width=_WIDTH, height=_HEIGHT, title=label)
        )
    return alt.concat(*panels, columns=3).resolve_scale(y="shared")


def onset_figure(found: list[dict[str, Any]]) -> Figure:
    """The epoch of the lowest loss against unique tokens, an objective a colour; arrows are
    lower bounds (arXiv 2511.03276, Figure 11).

    Args:
        found: what `overfitting_onset` returned.
    """
    from workbench.analysis.figures.crossovers import crossover_trend_figure
    from workbench.analysis.overfitting import onset_trends

    sizes = {row["group"]["n_params"] for row in found}
    budgets = {row["group"]["unique_tokens"] for row in found}
    against = "n_params" if len(budgets) < 2 <= len(sizes) else "unique_tokens"
    trends = onset_trends(found, against)
    return crossover_trend_figure(found, trends, what="onset of overfitting")
