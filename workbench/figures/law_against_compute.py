"""Loss against compute: the runs that a law was fitted to, those that it was not, and the law with
its band, inside the data and beyond."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.errors import InputError
from workbench.figures.axes import log_axis
from workbench.figures.figure import Figure
from workbench.figures.law_fits import fit_name
from workbench.figures.theme import FAINT, finished, heading, key_text, ramp, short
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.held_out_fit import HeldOutFit, unique_of
from workbench.laws.law import Floats
from workbench.laws.prediction import predictions

_WIDTH, _HEIGHT = 290, 220
_PLACES = 30
_REACH = 3.0
_PANELS = 12
FITTED, HELD_OUT, LAW = "fitted", "held out", "law"


def law_compute_figure(fits: list[HeldOutFit], *, reach: float = _REACH) -> Figure:
    """Loss against training FLOPs, a panel for each objective and number of unique tokens, a colour
    for each size.

    Small points are the runs that were fitted, open ones those that were not, each with a line to
    what the law predicts of it: its error. Lines are the law at more and more tokens: solid inside
    the fitted range, dashed outside of it, in the band that has 95 % of single runs. Beyond the
    compute that was fitted the panel is shaded. That the law may be wrong out there is in no band.

    Args:
        reach: how far lines go beyond the runs of most compute, as a factor.

    Raises:
        InputError: a law that predicts no losses of runs, or the reach is below 1.
    """
    if not reach >= 1:
        raise InputError(f"reach {reach:g}: expected a factor of 1 or more.")
    frames = [_points(one) for one in fits]
    sizes = sorted({size for frame in frames for size in frame["n_params"].to_list()})
    colour = _colour(sizes)
    panels, parts = [], []
    for one, points in zip(fits, frames, strict=True):
        lines = _lines(one, points, reach)
        parts += [points, lines]
        limit = float(points.filter(part=FITTED)["compute"].max())  # type: ignore[arg-type]
        for unique in _panel_values(points):
            here = _here(unique)
            panels.append(
                _panel(points.filter(here), lines.filter(here), limit, one, unique, colour)
            )
    held = any(one.held_out is not None for one in fits)
    notes = ["small points: runs fitted" + ("; open: held out, with their errors" if held else "")]
    notes += ["lines: the law, dashed outside the fitted range; bands: 95 % of single runs"]
    notes += [f"shaded: beyond the compute that was fitted; fitted: {fits[0].train}"]
    columns = 4 if len(panels) % 4 == 0 else 3
    title = f"{fits[0].fit.table.source if fits[0].fit.table else ''}: loss against compute"
    chart = alt.concat(*panels, columns=columns).properties(title=heading(title, notes))
    return Figure(finished(chart), pl.concat(parts, how="diagonal_relaxed"), title)


def _points(one: HeldOutFit) -> pl.DataFrame:
    """The runs, fitted and held out, each with what the law predicts of it."""
    if one.fit.table is None:
        raise InputError(f"--figure: {one.fit.law} predicts no losses of runs.")
    parts = [_run_rows(one, one.fit.table, FITTED)]
    if one.held_out is not None:
        parts.append(_run_rows(one, one.held_out, HELD_OUT))
    return pl.concat(parts)


def _run_rows(one: HeldOutFit, table: LossTable, part: str) -> pl.DataFrame:
    predicted = predictions(one.fit, table.n_params, table.total_tokens, unique_of(table))
    ids = list(table.run_ids) or table.name.tolist()
    frame = pl.DataFrame(
        {
            "run_ids": ids,
            "n_params": table.n_params,
            "total_tokens": table.total_tokens,
            "unique_tokens": unique_of(table),
            "compute": table.compute,
            "loss": table.loss,
            "predicted": [row["loss"] for row in predicted],
            "low": [row["low"] for row in predicted],
            "high": [row["high"] for row in predicted],
        },
        schema_overrides=dict.fromkeys(("low", "high"), pl.Float64),
    )
    return _labelled(frame, one).with_columns(
        part=pl.lit(part), error_log=(pl.col("predicted") / pl.col("loss")).log()
    )


def _labelled(frame: pl.DataFrame, one: HeldOutFit) -> pl.DataFrame:
    return frame.with_columns(
        law=pl.lit(one.fit.law),
        objective=pl.lit(one.fit.objective_name, pl.String),
        size=pl.col("n_params").map_elements(_size, return_dtype=pl.String),
    )


def _size(n_params: float) -> str:
    return key_text("n_params", n_params)


def _panel_values(points: pl.DataFrame) -> list[float | None]:
    """The numbers of unique tokens that get a panel each; one for all of many, as where each run
    has its own."""
    values = sorted(set(points["unique_tokens"].to_list()))
    return list(values) if len(values) <= _PANELS else [None]


def _here(unique: float | None) -> pl.Expr:
    return pl.lit(True) if unique is None else pl.col("unique_tokens") == unique


def _lines(one: HeldOutFit, points: pl.DataFrame, reach: float) -> pl.DataFrame:
    """The law along compute at each size and number of unique tokens, and where that lies outside
    of what was fitted."""
    fitted = points.filter(part=FITTED)["compute"]
    most = float(points["compute"].max()) * reach  # type: ignore[arg-type]
    ends = (float(fitted.min()), float(fitted.max()))  # type: ignore[arg-type]
    one_pass = one.fit.table is not None and one.fit.table.unique_tokens is None
    keys = ["n_params"] if one_pass else ["n_params", "unique_tokens"]
    parts = []
    for own in points.partition_by(*keys, maintain_order=True):
        per_token = float((own["compute"] / own["total_tokens"]).median())  # type: ignore[arg-type]
        tokens = np.geomspace(float(own["total_tokens"].min()), most / per_token, _PLACES)  # type: ignore[arg-type]
        compute = per_token * tokens
        unique = tokens if one_pass else np.full(_PLACES, float(own["unique_tokens"][0]))
        rows = predictions(one.fit, np.full(_PLACES, float(own["n_params"][0])), tokens, unique)
        beyond = _beyond(rows, compute, ends)
        frame = pl.DataFrame(
            {
                "n_params": [row["n_params"] for row in rows],
                "total_tokens": tokens,
                "unique_tokens": unique,
                "compute": compute,
                "predicted": [row["loss"] for row in rows],
                "low": [row["low"] for row in rows],
                "high": [row["high"] for row in rows],
                "outside": beyond,
            },
            schema_overrides=dict.fromkeys(("low", "high"), pl.Float64),
        )
        parts.append(_labelled(frame, one))
    return pl.concat(parts).with_columns(part=pl.lit(LAW))


def _beyond(rows: list[dict[str, Any]], compute: Floats, ends: tuple[float, float]) -> list[bool]:
    """Whether each place is outside of what was fitted: in an input, or in the FLOPs of the runs,
    which are not 6 N D where attention is counted."""
    return [
        any(name != "compute" for name in row["outside"])
        or not ends[0] * (1 - 1e-6) <= flops <= ends[1] * (1 + 1e-6)
        for row, flops in zip(rows, compute, strict=True)
    ]


def _colour(sizes: list[float]) -> Any:
    names = [_size(size) for size in sizes]
    return alt.Color(
        "size:N", title=None, sort=names,
        scale=alt.Scale(domain=names, range=ramp(len(names))),
        legend=alt.Legend(orient="bottom", columns=2, symbolOpacity=1),
    )  # fmt: skip


def _panel(
    points: pl.DataFrame,
    lines: pl.DataFrame,
    limit: float,
    one: HeldOutFit,
    unique: float | None,
    colour: Any,
) -> Any:
    span = np.r_[points["compute"].to_numpy(), lines["compute"].to_numpy()]
    losses = np.r_[points["loss"].to_numpy(), lines["predicted"].to_numpy()]
    x = log_axis("compute:Q", "training FLOPs", span, most=4)
    y, predicted, low = (
        log_axis(f"{name}:Q", "loss", losses, channel=alt.Y, most=5, powers=False)
        for name in ("loss", "predicted", "low")
    )
    tips = [
        alt.Tooltip(f"{name}:{kind}", title=title)
        for name, kind, title in (
            ("part", "N", "run"), ("size", "N", "parameters"), ("total_tokens", "Q", "tokens"),
            ("loss", "Q", "loss"), ("predicted", "Q", "predicted"), ("low", "Q", "low"),
            ("high", "Q", "high"), ("run_ids", "N", "run id"),
        )
    ]  # fmt: skip
    detail = alt.Detail("n_params:Q")
    layers: list[Any] = []
    if limit < float(span.max()):
        ground = pl.DataFrame({"from": [limit], "to": [float(span.max()) * 2]})
        mark = alt.Chart(ground).mark_rect(color=FAINT, opacity=0.13, clip=True, tooltip=None)
        layers.append(mark.encode(alt.X("from:Q"), alt.X2("to:Q")))
    base = alt.Chart(lines.drop("part"))
    if lines["low"].is_not_null().all():
        area = base.mark_area(opacity=0.13, clip=True, tooltip=None)
        layers.append(area.encode(x, low, alt.Y2("high:Q"), colour, detail))
    dashed = base.mark_line(strokeWidth=1.3, strokeDash=[4, 3], clip=True, tooltip=None)
    layers.append(dashed.encode(x, predicted, colour, detail))
    inside = lines.filter(~pl.col("outside"))
    if inside.height:
        solid = alt.Chart(inside).mark_line(strokeWidth=2.2, clip=True, tooltip=None)
        layers.append(solid.encode(x, predicted, colour, detail))
    fitted, held = points.filter(part=FITTED), points.filter(part=HELD_OUT)
    if fitted.height:
        marks = alt.Chart(fitted).mark_point(filled=True, size=16, opacity=0.9, clip=True)
        layers.append(marks.encode(x, y, colour, tooltip=tips))
    if held.height:
        errors = alt.Chart(held).mark_rule(strokeWidth=1, opacity=0.8, clip=True, tooltip=None)
        layers.append(errors.encode(x, y, alt.Y2("predicted:Q"), colour))
        marks = alt.Chart(held).mark_point(size=34, fill="white", strokeWidth=1.6, opacity=1,
                                           clip=True)  # fmt: skip
        layers.append(marks.encode(x, y, colour, tooltip=tips))
    return alt.layer(*layers).properties(
        width=_WIDTH, height=_HEIGHT, title=_head(held, one, unique)
    )  # fmt: skip


def _head(held: pl.DataFrame, one: HeldOutFit, unique: float | None) -> alt.TitleParams:
    below = [] if unique is None else [f"{short(unique)} unique tokens"]
    if held.height:
        error = float(np.sqrt((held["error_log"] ** 2).mean()))  # type: ignore[arg-type]
        below.append(f"error of the {held.height} held out: {100 * error:.2g} %")
    return alt.TitleParams(fit_name(one.fit), subtitle="; ".join(below))
