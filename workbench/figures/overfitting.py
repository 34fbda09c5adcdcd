"""What validation loss hides: loss against accuracy, and the gap between true and other endings."""

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Floats, chosen, load_curves
from workbench.analysis.overfitting import onset_trends
from workbench.analysis.run_keys import identity
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.figures.axes import Beginning, beginning, linear_axis, log_axis, metric_title
from workbench.figures.figure import Figure
from workbench.figures.legend import series_names
from workbench.figures.names import group_names
from workbench.figures.points import POINTS, Family, by_number, distinguishing_keys, families
from workbench.figures.theme import (
    AXIS_TITLES,
    DASHES,
    finished,
    heading,
    series_channels,
    styles_of,
)
from workbench.figures.trends import crossover_trend_figure

_WIDTH, _HEIGHT = 290, 230


def loss_against_accuracy_figure(
    results: Path,
    study: str,
    loss: str = "val_loss",
    accuracy: str = "cloze_acc",
    where: Conditions = (),
) -> Figure:
    """Each run's path through loss and accuracy, from its first point (open) to its last (filled).

    A path that turns right and up has a loss that rises while accuracy still improves (arXiv
    2511.03276, Figures 8 and 9).

    Where the two were measured at different tokens, accuracy is interpolated to the tokens of the
    loss.

    Args:
        where: draw only the runs that meet these conditions.

    Raises:
        InputError: no run has both metrics over a common range of tokens.
    """
    pairs = _both(results, study, loss, accuracy, "tokens", where)
    parts = []
    for (first, second), (series, label) in zip(pairs, _names(pairs, loss), strict=True):
        joined = _joined(first, second, "loss", "accuracy")
        parts.append(
            joined.with_columns(
                objective=pl.lit(first.objective),
                series=pl.lit(series),
                label=pl.lit(label),
                order=pl.int_range(pl.len()),
                place=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("first"))
                .when(pl.int_range(pl.len()) == pl.len() - 1).then(pl.lit("last"))
                .otherwise(pl.lit("between")),
            )
        )  # fmt: skip
    rows = pl.concat(parts).rename({"x": "tokens"})
    if rows.is_empty():
        raise InputError(f"study {study}: no run has {loss} and {accuracy} at common tokens.")
    chart = _ways(rows, loss, accuracy).properties(
        title=heading(
            f"{study}: {accuracy} against {loss} along training",
            "from the first evaluation (open) to the last (filled)",
        )
    )
    return Figure(finished(chart), rows, f"{study}: {loss} and {accuracy}")


def _both(
    results: Path, study: str, first_metric: str, second_metric: str, axis: str, where: Conditions
) -> list[tuple[Family, Family]]:
    """The configurations that have both metrics."""
    ours, theirs = (
        {
            identity(family.keys): family
            for family in families(
                chosen(load_curves(results, study, metric), where), axis, limit=POINTS // 4
            )
        }
        for metric in (first_metric, second_metric)
    )
    pairs = [(family, theirs[key]) for key, family in ours.items() if key in theirs]
    differing = distinguishing_keys([family for family, _ in pairs])
    pairs.sort(key=lambda pair: [by_number(json.dumps(pair[0].keys.get(key))) for key in differing])
    if not pairs:
        raise InputError(f"study {study}: no run has both {first_metric} and {second_metric}.")
    return pairs


def _names(pairs: list[tuple[Family, Family]], metric: str) -> list[tuple[str, str]]:
    """The names of each pair's colour and panel, equal for no two of them."""
    every = [first for first, _ in pairs]
    keys = distinguishing_keys(every)
    labels = group_names([{key: family.keys.get(key) for key in keys} for family in every])
    return list(zip(series_names(every, metric), labels, strict=True))


def _joined(first: Family, second: Family, first_name: str, second_name: str) -> pl.DataFrame:
    """Both values where the first was measured, over the range that both cover."""
    x, at = first.frame["x"].to_numpy(), second.frame["x"].to_numpy()
    inside = (x >= at[0]) & (x <= at[-1])
    values = np.interp(x[inside], at, second.frame["value"].to_numpy())
    return pl.DataFrame(
        {"x": x[inside], first_name: first.frame["value"].to_numpy()[inside], second_name: values}
    )


def _ways(rows: pl.DataFrame, loss: str, accuracy: str) -> alt.ConcatChart:
    marks = alt.Legend(orient="bottom", columns=1, symbolSize=60, symbolDash=[1, 0], offset=8)
    colour, dash, shape = _series(rows, marks)
    shape.legend, dash.legend = marks, None
    x = alt.X(
        "loss:Q", title=metric_title(loss), scale=alt.Scale(zero=False),
        axis=alt.Axis(gridOpacity=0.6, tickCount=6),
    )  # fmt: skip
    y = linear_axis("accuracy:Q", metric_title(accuracy))
    panels = []
    for label in rows["label"].unique(maintain_order=True).to_list():
        own = alt.Chart(rows.filter(pl.col("label") == label))
        first = own.transform_filter("datum.place == 'first'")
        last = own.transform_filter("datum.place == 'last'")
        ways = own.mark_line(strokeWidth=1.6).encode(x, y, colour, dash, alt.Order("order:Q"))
        layers = [
            ways,
            own.mark_point(filled=True, size=12, opacity=1).encode(x, y, colour),
            first.mark_point(size=90, strokeWidth=2, fill="white", opacity=1).encode(
                x, y, colour, shape
            ),
            last.mark_point(size=90, filled=True, opacity=1).encode(x, y, colour, shape),
        ]
        made = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
        panels.append(made.properties(title=label) if label else made)
    return alt.concat(*panels, columns=3).resolve_scale(x="shared", y="shared")


def _series(rows: pl.DataFrame, legend: Any = None) -> tuple[Any, Any, Any]:
    series = rows["series"].unique(maintain_order=True).to_list()
    objectives = dict(zip(rows["series"].to_list(), rows["objective"].to_list(), strict=True))
    known = styles_of(objectives.values())
    ordered = sorted(series, key=lambda name: list(known).index(objectives[name]))
    return series_channels(ordered, [known[objectives[name]] for name in ordered], legend=legend)


def nll_gap_figure(
    results: Path,
    study: str,
    true: str = "cloze_nll_true",
    other: str = "cloze_nll_other",
    axis: str = "epochs",
    loss: str = "val_loss",
    where: Conditions = (),
) -> Figure:
    """NLL of true and of other endings, and below it their gap (arXiv 2511.03276, Figure 9).

    Accuracy follows the gap, which can widen while both NLLs rise.

    Args:
        loss: its lowest point is a dotted line where it lies before the end, as in the paper.
        where: draw only the runs that meet these conditions.

    Raises:
        InputError: no run has both metrics.
    """
    pairs = _both(results, study, true, other, axis, where)
    lowest = _lowest(results, study, loss, axis)
    parts = []
    for (first, second), (series, label) in zip(pairs, _names(pairs, true), strict=True):
        joined = _joined(first, second, "true", "other").with_columns(
            gap=pl.col("other") - pl.col("true")
        )
        parts.append(
            joined.unpivot(["true", "other", "gap"], index="x", variable_name="what").with_columns(
                objective=pl.lit(first.objective),
                series=pl.lit(series),
                label=pl.lit(label),
                lowest_loss_at=pl.lit(lowest.get(identity(first.keys)), pl.Float64),
            )
        )
    rows = pl.concat(parts)
    marked = f"; dotted line: lowest {loss}" if rows["lowest_loss_at"].is_not_null().any() else ""
    begin = beginning(
        (
            part["x"].to_numpy()
            for part in rows.filter(pl.col("what") == "gap").partition_by("series", "label")
        ),
        keep=rows["lowest_loss_at"].drop_nulls().to_list(),
    )
    notes = [f"gap: other - true endings{marked}", *begin.note(axis)]
    chart = _gaps(rows, axis, begin).properties(
        title=heading(f"{study}: likelihood of endings", notes)
    )
    return Figure(finished(chart), rows, f"{study}: endings and their gap")


def _lowest(results: Path, study: str, loss: str, axis: str) -> dict[str, float]:
    """Where each configuration's loss is lowest, unless that is at its end."""
    try:
        every = families(load_curves(results, study, loss), axis)
    except InputError:
        return {}
    lowest = {}
    for family in every:
        place = int(family.frame["value"].arg_min() or 0)
        if place < family.frame.height - 1:
            lowest[identity(family.keys)] = float(family.frame["x"][place])
    return lowest


def _gaps(rows: pl.DataFrame, axis: str, begin: Beginning) -> alt.ConcatChart:
    names = {"true": "true ending", "other": "other endings"}
    ends = rows.filter(pl.col("what") != "gap").with_columns(
        what=pl.col("what").replace_strict(names, default=None)
    )
    marks = alt.Legend(orient="bottom", columns=1, symbolSize=60, symbolDash=[1, 0], offset=8)
    colour, _, shape = _series(rows, marks)
    shape.legend = marks
    dash = alt.StrokeDash(
        "what:N", title=None, sort=list(names.values()),
        scale=alt.Scale(domain=list(names.values()), range=list(DASHES[:2])),
        legend=alt.Legend(orient="bottom", columns=1, symbolSize=700, offset=8),
    )  # fmt: skip
    x = log_axis("x:Q", AXIS_TITLES[axis], begin.inside(rows["x"].to_numpy()), most=5)
    y, below = (
        alt.Y("value:Q", title=title, scale=alt.Scale(domain=_span(begin.values(part, "value"))),
              axis=alt.Axis(gridOpacity=0.6, tickCount=5, labelFlush=True))
        for title, part in (
            ("NLL (nats a token)", ends), ("gap of NLL", rows.filter(pl.col("what") == "gap"))
        )
    )  # fmt: skip
    panels = []
    for label in rows["label"].unique(maintain_order=True).to_list():
        own = alt.Chart(ends.filter(pl.col("label") == label))
        gaps = rows.filter((pl.col("label") == label) & (pl.col("what") == "gap"))
        gap = alt.Chart(gaps)
        at = alt.Chart(gaps.group_by("series", maintain_order=True).first().drop_nulls())
        rule = at.mark_rule(strokeDash=[2, 2], strokeWidth=1.5).encode(
            alt.X("lowest_loss_at:Q"), colour
        )
        endings = [
            own.mark_line(strokeWidth=1.8, clip=True).encode(x, y, colour, dash),
            own.mark_point(filled=True, size=26, opacity=1, clip=True).encode(x, y, colour, shape),
            rule,
        ]
        differences = [
            gap.mark_line(strokeWidth=1.8, clip=True).encode(x, below, colour),
            gap.mark_point(filled=True, size=26, opacity=1, clip=True).encode(
                x, below, colour, shape
            ),
            rule,
        ]
        panels.append(
            alt.vconcat(
                alt.layer(*endings).properties(width=_WIDTH, height=_HEIGHT, title=label),
                alt.layer(*differences).properties(width=_WIDTH, height=_HEIGHT // 2),
            )
        )
    return alt.concat(*panels, columns=3)


def _span(values: Floats) -> list[float]:
    """The domain of all panels' axes, so that their heights compare."""
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low or 1.0)
    return [low - margin, high + margin]


def onset_figure(rows: list[dict[str, Any]]) -> Figure:
    """The epoch of the lowest loss against unique tokens, one colour for each objective.

    It is against size where only that varies. Arrows are lower bounds (arXiv 2511.03276, Figure
    11).

    Args:
        found: what `overfitting_onset` returned.
    """
    sizes = {row["group"]["n_params"] for row in rows}
    budgets = {row["group"]["unique_tokens"] for row in rows}
    against = "n_params" if len(budgets) < 2 <= len(sizes) else "unique_tokens"
    return crossover_trend_figure(rows, onset_trends(rows, against), what="onset of overfitting")
