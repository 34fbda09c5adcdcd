"""Generated texts against denoising steps: a row of panels a measure, a column a length."""

from typing import Any

import altair as alt
import polars as pl

from workbench.analysis.run_keys import identity
from workbench.errors import InputError
from workbench.figures.axes import linear_axis, log_axis
from workbench.figures.exact_columns import with_keys
from workbench.figures.figure import Figure
from workbench.figures.names import distinct
from workbench.figures.theme import (
    FAINT,
    finished,
    group_text,
    heading,
    series_channels,
    series_styles,
)
from workbench.recipe.objectives import display_name

_WIDTH, _HEIGHT = 220, 130
_MEASURES = {
    "nll": "judge's NLL (nats)",
    "entropy": "entropy (nats)",
    "distinct": "distinct 4-grams",
    "copied": "copied",
}
_SHARES = ("distinct", "copied")
_MOST = 7


def text_quality_figure(rows: list[dict[str, Any]]) -> Figure:
    """What was measured of texts against the passes that made them, with 95 % intervals; dashed,
    the held-out text after the same prompts.

    Args:
        rows: as of `analysis.text_quality`. A sampler without steps takes a pass a token.

    Raises:
        InputError: more configurations than a figure has colours for.
    """
    made = [row for row in rows if row["sampler"] is not None]
    series = _names(made)
    names = list(dict.fromkeys(series))
    if len(names) > _MOST:
        raise InputError(
            f"{len(names)} configurations are more than the {_MOST} that a figure has room for. "
            "Choose fewer runs by --where, or ask for the table."
        )
    marks = [(mark, row) for row, name in zip(made, series, strict=True) for mark in _of(row, name)]
    levels = [(mark, row) for row in rows if row["sampler"] is None for mark in _of(row, None)]
    data = pl.DataFrame([mark for mark, _ in marks + levels], infer_schema_length=None)
    objectives = dict(zip(series, (row["objective"] for row in made), strict=True))
    legend = alt.Legend(orient="bottom", columns=2, symbolSize=60, offset=8)
    colour, _, shape = series_channels(
        names, series_styles([objectives[name] for name in names]), legend=legend
    )
    shape.legend = legend
    x = log_axis("passes:Q", "passes", data["passes"].drop_nulls().to_numpy(), at_values=True)
    panels = []
    for measure, title in _MEASURES.items():
        of_measure = data.filter(pl.col("measure") == measure)
        if of_measure.is_empty():
            continue
        ends = pl.concat([of_measure[name] for name in ("value", "low", "high")]).drop_nulls()
        y = linear_axis("value:Q", title, ends.to_numpy())
        panels += [
            _panel(of_measure.filter(pl.col("tokens") == length), x, y, colour, shape, length)
            for length in data["tokens"].unique().sort()
        ]
    title = f"{rows[0]['study']}: generated texts by length and passes"
    notes = [
        "means over seeds with 95 % intervals; dashed: held-out text after the same prompts",
        "a pass is a denoising step, or a token of a model that makes one after the other",
    ]
    if any(_is_useless(measure, row) for row in rows for measure in _MEASURES):
        notes.append("no interval where it would reach beyond what can be, such as a share below 0")
    chart = alt.concat(*panels, columns=data["tokens"].n_unique())
    behind = [row for _, row in marks + levels]
    exact = with_keys(
        data, [row["group"] for row in behind], [row["runs"] for row in behind], [()] * len(behind)
    )
    return Figure(finished(chart.properties(title=heading(title, notes))), exact, title)


def _names(made: list[dict[str, Any]]) -> list[str]:
    """A name for each configuration and way to make texts but for length and steps."""
    ways = [
        {"objective": row["objective"], **row["group"],
         **{key: row[key] for key in ("sampler", "temperature", "weights")}}
        for row in made
    ]  # fmt: skip
    differing = {key for key in {k for way in ways for k in way}
                 if len({identity({"": way.get(key)}) for way in ways}) > 1}  # fmt: skip

    def objective(way: dict[str, Any]) -> str:
        return display_name(str(way["objective"]))

    def short(way: dict[str, Any]) -> str:
        own = {k: v for k, v in way.items() if k in differing - {"objective"} and v is not None}
        if len({(one["objective"], one["sampler"]) for one in ways}) == len(
            {one["objective"] for one in ways}
        ):
            own.pop("sampler", None)  # follows from the objective
        return ", ".join(filter(None, (objective(way), group_text(own))))

    return distinct([identity(way) for way in ways], ways, (objective, short, identity))


def _of(row: dict[str, Any], series: str | None) -> list[dict[str, Any]]:
    """A mark for each measure that a row has."""
    passes = None if series is None else float(row["steps"] or row["tokens"])
    marks = []
    for measure in _MEASURES:
        found = row[measure]
        if found is not None and found["mean"] is not None:
            usable = found["ci95"] and not _is_useless(measure, row)
            low, high = found["ci95"] if usable else (None, None)
            marks.append(
                {"measure": measure, "tokens": row["tokens"], "series": series, "passes": passes,
                 "value": found["mean"], "low": low, "high": high}
            )  # fmt: skip
    return marks


def _is_useless(measure: str, row: dict[str, Any]) -> bool:
    """Whether an interval is too wide to be used, for it reaches where no value is."""
    low, high = (row[measure] or {}).get("ci95") or (0, 0)
    return bool(low < 0 or (measure in _SHARES and high > 1))


def _panel(own: pl.DataFrame, x: Any, y: Any, colour: Any, shape: Any, length: int) -> Any:
    base = alt.Chart(own.filter(pl.col("series").is_not_null()))
    held_out = own.filter(pl.col("series").is_null()).unique("value", maintain_order=True)
    layers = [
        alt.Chart(held_out).mark_rule(color=FAINT, strokeDash=[6, 3], strokeWidth=1.5).encode(y),
        base.mark_line(strokeWidth=1.8).encode(x, y, colour),
        base.mark_rule(strokeWidth=1.4).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour),
        base.mark_point(filled=True, size=36, opacity=1).encode(x, y, colour, shape),
    ]
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT, title=f"{length} tokens")
