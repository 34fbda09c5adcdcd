"""Effects of a study's factors, one under the other, with their intervals."""

from typing import Any

import altair as alt
import polars as pl

from workbench.analysis.bounds import bounded_sides
from workbench.errors import InputError
from workbench.figures.axes import linear_axis
from workbench.figures.exact_columns import with_keys
from workbench.figures.figure import Figure
from workbench.figures.names import distinct
from workbench.figures.theme import FAINT, finished, group_text, heading, key_text, short
from workbench.metrics import higher_is_better

_WIDTH, _ROW = 320, 28
BETTER, WORSE, UNDECIDED, UNKNOWN = "better", "worse", "undecided", "no interval"
_COLOURS = {BETTER: "#009E73", WORSE: "#b00020", UNDECIDED: "#777777", UNKNOWN: "#777777"}
_SHAPES = {BETTER: "circle", WORSE: "square", UNDECIDED: "diamond", UNKNOWN: "cross"}
_MOST = 40


def effects_figure(rows: list[dict[str, Any]]) -> Figure:
    """The effect of each change and its 95 % interval, one under the other; the faint line goes
    from the lowest to the highest of the pairs' own effects.

    Args:
        rows: what `effects` or `variants` returned; those without an effect are left out.

    Raises:
        InputError: no row has an effect, or more have one than a figure has room for.
    """
    rows = [row for row in rows if row["effect"] is not None]
    if not rows:
        raise InputError("no change by itself was measured: there is nothing to draw.")
    if len(rows) > _MOST:
        raise InputError(
            f"{len(rows)} effects are more than the {_MOST} that a figure has room for. Choose "
            "fewer runs by --where, or ask for the table."
        )
    names = distinct([str(place) for place in range(len(rows))], rows, (_name,))
    frame = pl.DataFrame(
        [{"change": name, **_point(row)} for name, row in zip(names, rows, strict=True)],
        infer_schema_length=None,
        schema_overrides=dict.fromkeys(("low", "high", "flops_ratio"), pl.Float64),
    )
    metric, at = rows[0]["metric"], rows[0]["at"]
    ends = pl.concat([frame[name] for name in ("lowest", "highest", "low", "high")]).drop_nulls()
    values = pl.concat([ends, pl.Series([0.0])]).to_numpy()
    what = f"change of {at} {metric}"
    x, low, lowest = (linear_axis(f"{n}:Q", what, values, channel=alt.X)
                      for n in ("effect", "low", "lowest"))  # fmt: skip
    y = alt.Y("change:N", sort=None, title=None, axis=alt.Axis(labelLimit=420, ticks=False))
    kinds = [kind for kind in _COLOURS if kind in frame["verdict"].to_list()]
    colour = alt.Color(
        "verdict:N", title=None, legend=alt.Legend(orient="bottom", columns=3, offset=8),
        scale=alt.Scale(domain=kinds, range=[_COLOURS[kind] for kind in kinds]),
    )  # fmt: skip
    shape = alt.Shape(
        "verdict:N", title=None, legend=alt.Legend(orient="bottom", columns=3, offset=8),
        scale=alt.Scale(domain=kinds, range=[_SHAPES[kind] for kind in kinds]),
    )  # fmt: skip
    tips = ["change:N", "effect:Q", "low:Q", "high:Q", "lowest:Q", "highest:Q", "pairs:Q",
            "n_seeds:Q", "flops_ratio:Q"]  # fmt: skip
    base = alt.Chart(frame)
    zero = alt.Chart(pl.DataFrame({"effect": [0.0]})).mark_rule(color=FAINT).encode(x)
    span = base.mark_rule(color="#bbbbbb", strokeWidth=5, opacity=0.5)
    interval = frame.filter(pl.col("low").is_not_null())
    layers = [
        zero,
        span.encode(lowest, alt.X2("highest:Q"), y),
        alt.Chart(interval).mark_rule(strokeWidth=1.5).encode(low, alt.X2("high:Q"), y, colour),
        base.mark_point(filled=True, size=55, opacity=1).encode(x, y, colour, shape, tooltip=tips),
    ]
    several = (frame["pairs"] > 1).any()
    subtitle = [
        "mean over pairs that differ in nothing else",
        *(_methods(rows) or ["no intervals"]),
    ]
    subtitle += ["grey: from the lowest to the highest of the pairs"] if several else []
    if any(bounded_sides(row) for row in rows):
        subtitle.append("losses of diffusion and of random orders are upper bounds (NELBO)")
    title = f"{rows[0]['study']}: what each change does to the {at} {metric}"
    chart = alt.layer(*layers).properties(
        width=_WIDTH, height=_ROW * len(rows), title=heading(title, subtitle)
    )
    keys = [{"study": row["study"]} for row in rows]
    runs, seeds = ([row[name] for row in rows] for name in ("runs", "run_seeds"))
    data = with_keys(frame, keys, runs, seeds)
    return Figure(finished(chart), data, title)


def _methods(rows: list[dict[str, Any]]) -> list[str]:
    """What intervals run over, the degrees of freedom of each aside."""
    found = (row["ci95_method"] for row in rows if row["ci95"] and row["ci95_method"])
    return [f"95 % {method}" for method in dict.fromkeys(one.partition(", ")[0] for one in found)]


def _point(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row["ci95"] or (None, None)
    verdict = UNKNOWN if row["ci95"] is None else UNDECIDED
    if low is not None and high is not None and not low <= 0 <= high:
        verdict = BETTER if (row["effect"] > 0) == higher_is_better(row["metric"]) else WORSE
    return {
        "effect": row["effect"], "low": low, "high": high, "lowest": row["lowest"],
        "highest": row["highest"], "verdict": verdict, "pairs": row["pairs"],
        "n_seeds": row["seeds"], "flops_ratio": row["flops_ratio"],
    }  # fmt: skip


def _name(row: dict[str, Any]) -> str:
    """A change in words, with what it costs."""
    if row["kind"] == "variant":
        name = group_text(row["changed"])
    else:
        name = key_text(row["factor"], row["level"])
        if row["kind"] == "interaction":
            name += f" and {key_text(row['other'], row['other_level'])}, beyond both"
        elif row["moves_with"]:
            name += f" (with {', '.join(key.rpartition('.')[2] for key in row['moves_with'])})"
    ratio = row["flops_ratio"]
    same = ratio is None or abs(ratio - 1) < 0.005
    return name if same else f"{name}, {short(ratio)} times the FLOPs"
