"""Figures: one function each, shared by the command line and the app."""

from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from workbench.analysis.curves import load_curves
from workbench.analysis.pairing import make_pairs, mean_curve
from workbench.errors import InputError
from workbench.metrics import unit
from workbench.output import pretty

# Okabe & Ito's colours, which colour-blind readers can tell apart; dashes repeat them.
COLOURS = {"ar": "#0072B2", "mdlm": "#D55E00"}
_OTHERS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
_AXIS_TITLES = {
    "tokens": "training tokens",
    "epochs": "epochs",
    "flops": "training FLOPs",
    "flops_per_unique": "training FLOPs per unique token",
}
_NAMES = {"ar": "AR", "mdlm": "masked diffusion"}


def crossover_figure(
    results: Path, study: str, metric: str, axis: str, found: list[dict[str, Any]]
) -> alt.HConcatChart:
    """A panel a group: baseline and challenger against the axis, the crossover marked.

    Args:
        found: what `crossovers` returned for the same study, metric and axis.
    """
    loaded = load_curves(results, study, metric)
    sides = (found[0]["baseline"], found[0]["challenger"])
    match = loaded.compare.get("match")
    pairs = make_pairs(loaded, *sides, tuple(match) if match else None)
    examples = (pairs[0].baseline[0], pairs[0].challenger[0])
    names = [
        _side_name(side) + _what_is_measured(curve.estimator)
        for side, curve in zip(sides, examples, strict=True)
    ]
    colour = alt.Color(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=names, range=[_colour(side, i) for i, side in enumerate(sides)]),
        legend=alt.Legend(orient="bottom", symbolType="stroke", symbolSize=600, labelLimit=400),
    )
    panels = []
    for pair, answer in zip(pairs, found, strict=True):
        rows = []
        for name, curves in zip(names, (pair.baseline, pair.challenger), strict=True):
            x, y = mean_curve(curves, axis)
            rows += [{"x": a, "y": b, "curve": name} for a, b in zip(x, y, strict=True) if a > 0]
        panels.append(_panel(pl.DataFrame(rows), answer, metric, axis, colour, names))
    return (
        alt.hconcat(*panels)
        .resolve_scale(y="shared", color="shared")
        .configure_view(stroke="#d0d0d0")
    )


def _side_name(side: str | dict[str, Any]) -> str:
    if isinstance(side, str):
        return _NAMES.get(side, side)
    return ", ".join(f"{key.split('.')[-1]} {pretty(value)}" for key, value in side.items())


def _what_is_measured(estimator: str | None) -> str:
    """A bound is called a bound beside an exact likelihood."""
    kind = (estimator or "").partition("/")[0]
    return {"nll": " (NLL)", "nelbo": " (NELBO, an upper bound of the NLL)"}.get(kind, "")


def _colour(side: str | dict[str, Any], place: int) -> str:
    return COLOURS.get(side, _OTHERS[place]) if isinstance(side, str) else _OTHERS[place]


def _panel(
    frame: pl.DataFrame,
    answer: dict[str, Any],
    metric: str,
    axis: str,
    colour: alt.Color,
    names: list[str],
) -> alt.LayerChart | alt.FacetChart:
    title = f"{metric} ({unit(metric)})" if unit(metric) else metric
    x = alt.X(
        "x:Q",
        title=_AXIS_TITLES[axis],
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~s", tickCount=4, grid=False),
    )
    y = alt.Y("y:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(gridOpacity=0.5))
    dash = alt.StrokeDash(
        "curve:N", title=None, scale=alt.Scale(domain=names, range=[[1, 0], [6, 3]])
    )
    lines = alt.Chart(frame).mark_line(strokeWidth=2).encode(x, y, colour, dash)
    points = alt.Chart(frame).mark_point(filled=True, size=18, opacity=1).encode(x, y, colour)
    layers = [lines, points]
    if answer["crossover"] is not None:
        at = alt.Data(values=[{"x": answer["crossover"], "told": _told(answer["crossover"], axis)}])
        place = alt.X("x:Q")
        layers.append(alt.Chart(at).mark_rule(strokeDash=[2, 2], color="#555").encode(place))
        layers.append(
            alt.Chart(at)
            .mark_text(align="right", dx=-5, y=10, color="#333", fontSize=11)
            .encode(place, text="told:N")
        )
    subtitle = {
        "crossed": "",
        "not_reached": f"not reached by {_told(answer['last_x'], axis)}",
        "ahead_throughout": "ahead throughout",
    }[answer["status"]]
    heading = ", ".join(_key(key, value) for key, value in answer["group"].items())
    return alt.layer(*layers).properties(
        width=300, height=240, title=alt.TitleParams(heading, subtitle=subtitle, fontSize=12)
    )


def _key(key: str, value: Any) -> str:
    names = {"unique_tokens": "unique tokens", "n_params": "parameters"}
    return (
        f"{pretty(value)} {names[key]}" if key in names else f"{key.split('.')[-1]} {pretty(value)}"
    )


def _told(x: float, axis: str) -> str:
    if axis == "tokens":
        return f"{x / 1e6:.3g}M tokens" if x < 1e9 else f"{x / 1e9:.3g}B tokens"
    units = {"epochs": "epochs", "flops_per_unique": "FLOPs per unique token"}
    return f"{x:.3g} {units.get(axis, 'FLOPs')}"


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write a figure as .svg, .png, .pdf, .html or .json, by its suffix.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    if path.suffix not in (".svg", ".png", ".pdf", ".html", ".json"):
        raise InputError(f"--figure {path}: expected .svg, .png, .pdf, .html or .json.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"scale_factor": 2} if path.suffix == ".png" else {}
        chart.save(str(path), **options)
    except OSError as error:
        raise InputError(f"--figure {path}: cannot be written: {error.strerror}.") from None
