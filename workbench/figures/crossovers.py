"""Where one objective overtakes the other: a panel a group."""

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Curve, Floats, Loader, load_curves
from workbench.analysis.pairing import Pair, Side, finished_runs, make_pairs, mean_curve, side_name
from workbench.analysis.run_keys import identity
from workbench.figures.axes import Beginning, beginning, linear_axis, log_axis, metric_title
from workbench.figures.exact_columns import with_keys
from workbench.figures.figure import Figure
from workbench.figures.lead import HEIGHT as LEAD_HEIGHT
from workbench.figures.lead import lead_frame, lead_layers
from workbench.figures.names import distinct, group_names
from workbench.figures.points import DOTTED, POINTS, thinned
from workbench.figures.text_size import level_lines, wrapped_to
from workbench.figures.theme import (
    AXIS_TITLES,
    INK,
    OTHERS,
    SIZES,
    Style,
    finished,
    heading,
    key_text,
    measured,
    place_text,
    series_channels,
    styles_of,
)
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import BASELINE, CHALLENGER, display_name
from workbench.recipe.sides import criteria

_WIDTH, _HEIGHT = 290, 230
_SPREAD = 2.0
"""Panels whose values span ranges that differ by more than this factor have axes of their own."""


def crossover_figure(
    results: Path,
    study: str,
    metric: str,
    axis: str,
    rows: list[dict[str, Any]],
    load: Loader = load_curves,
) -> Figure:
    """One panel for each group: baseline and challenger against the axis, and their crossover.

    The crossover is a dotted line, its 95 % interval a band. An open triangle means that the
    crossover, if any, lies beyond it, in its direction. Below the curves of a crossover by its band
    stands the lead with that band (see `figures.lead`).

    Args:
        rows: what `crossovers` returned for the same study, metric and axis, or some of it:
            only these groups are drawn.
        load: reads curves: from the store, or from a cache of it.
    """
    loaded = load(results, study, metric)
    sides = (rows[0]["baseline"], rows[0]["challenger"])
    match = loaded.compare.get("match")
    by_group = {identity(row["group"]): row for row in rows}
    pairs = [
        finished_runs(pair)[0]
        for pair in make_pairs(loaded, *sides, tuple(match) if match else None)
        if identity(pair.group) in by_group
    ]
    answers = [by_group[identity(pair.group)] for pair in pairs]
    titles = group_names([pair.group for pair in pairs])
    names = _legend_names(pairs[0], sides, metric)
    styles = _styles(sides)
    strict = rows[0].get("definition") == "best_so_far"
    limit = max(4, POINTS // (2 * len(pairs)))
    frames = [
        _pair_frame(pair, axis, names, limit).with_columns(panel=pl.lit(title))
        for pair, title in zip(pairs, titles, strict=True)
    ]
    if strict:
        frames = [_with_best(frame, names[0], higher_is_better(metric)) for frame in frames]
    leads = [
        lead_frame(results, pair, row, metric) for pair, row in zip(pairs, answers, strict=True)
    ]
    begin = beginning(
        (
            part["x"].to_numpy()
            for frame in frames
            for part in frame.partition_by("curve", maintain_order=True)
        ),
        keep=[place for row in answers for place in (row["crossover"], *(row.get("ci95") or ()))],
    )
    span = begin.inside(pl.concat(frames)["x"].to_numpy())
    domain = _common_domain(frames, begin)
    panels = [
        _panel(frame, lead, answer, metric, names, styles, span, domain, begin, head)
        for frame, lead, answer, head in zip(
            frames, leads, answers, _heads(answers, titles), strict=True
        )
    ]
    drawn = [
        lead.with_columns(panel=pl.lit(title))
        for lead, title in zip(leads, titles, strict=True) if lead is not None
    ]  # fmt: skip
    exact = [
        _with_runs(frame.drop("behind"), pair, names)
        for frame, pair in zip(frames, pairs, strict=True)
    ]
    data = pl.concat([*exact, *drawn], how="diagonal_relaxed")
    subject = "where diffusion overtakes AR" if sides == (BASELINE, CHALLENGER) else "crossover"
    notes = ["against the best so far (thin line), as if stopped in time"] if strict else []
    title = heading(f"{study}: {subject}, by {metric}", [*notes, *begin.note(axis)])
    chart = alt.concat(*panels, columns=3, title=title)
    return Figure(finished(chart), data, f"{study}: crossover on {metric}")


def _heads(answers: list[dict[str, Any]], titles: list[str]) -> list[alt.TitleParams]:
    """The titles of panels, in lines as wide as a panel, and as many for each, so that panels
    beside each other are level."""
    names = level_lines([wrapped_to(title, _WIDTH, SIZES.title, bold=True) for title in titles])
    below = level_lines([wrapped_to(verdict(a), _WIDTH, SIZES.label) for a in answers])
    return [alt.TitleParams(name, subtitle=lines) for name, lines in zip(names, below, strict=True)]


def _common_domain(frames: list[pl.DataFrame], begin: Beginning) -> Floats | None:
    """The values of all panels, where their ranges are alike; None for a range for each."""
    values = [begin.values(frame, "y") for frame in frames]
    ranges = [float(np.ptp(own)) for own in values]
    return None if max(ranges) > _SPREAD * min(ranges) else np.concatenate(values)


def _styles(sides: tuple[Side, Side]) -> list[Style]:
    """The styles of the sides' objectives; a variant of the same objective gets another colour."""
    named = (criteria(side).get("training.objective", side_name(side)) for side in sides)
    baseline, challenger = (str(of[0] if isinstance(of, list) else of) for of in named)
    known = styles_of([baseline, challenger])
    ours = known[baseline]
    theirs = known[challenger]
    if theirs == ours:
        theirs = Style(OTHERS[0], [6, 3], "square")
    return [ours, theirs]


def _legend_names(pair: Pair, sides: tuple[Side, Side], metric: str) -> list[str]:
    names = []
    ways = (side_text, lambda side: ", ".join(f"{k} {v}" for k, v in criteria(side).items()))
    called = distinct([str(criteria(side)) for side in sides], sides, ways)
    for name, curves in zip(called, (pair.baseline, pair.challenger), strict=True):
        imported = all(curve.imported for curve in curves)
        kind = measured(curves[0].estimator, higher_is_better(metric))
        names.append(name + kind + (", imported" if imported else ""))
    return names


def side_text(side: Side) -> str:
    """A side in words: "AR, dropout 0.1", or "masked diffusion or block diffusion"."""
    parts: list[str] = []
    for key, value in criteria(side).items():
        values = value if isinstance(value, list) else [value]
        if key == "training.objective":
            parts.insert(0, " or ".join(map(display_name, values)))
        else:
            parts.append(" or ".join(key_text(key, one) for one in values))
    return ", ".join(parts)


def _pair_frame(pair: Pair, axis: str, names: list[str], limit: int) -> pl.DataFrame:
    parts = []
    for name, curves in zip(names, (pair.baseline, pair.challenger), strict=True):
        x, y = _drawn(curves, axis, limit)
        behind = f"run {curves[0].run_id}" if len(curves) == 1 else f"{len(curves)} seeds"
        rows = pl.DataFrame({"x": x, "y": y})
        parts.append(rows.with_columns(curve=pl.lit(name), behind=pl.lit(behind)))
    return pl.concat(parts)


def _drawn(curves: list[Curve], axis: str, limit: int) -> tuple[Floats, Floats]:
    x, y = mean_curve(curves, axis)
    x, y = x[x > 0], y[x > 0]  # a logarithm has no place for the start
    chosen = thinned(x, y, limit)
    return x[chosen], y[chosen]


def _with_runs(frame: pl.DataFrame, pair: Pair, names: list[str]) -> pl.DataFrame:
    """The frame with the exact keys of the pair, and the runs and seeds behind each curve."""
    curves = dict(zip(names, (pair.baseline, pair.challenger), strict=True))
    behind = [curves[name] for name in frame["curve"]]
    return with_keys(
        frame,
        [pair.group] * frame.height,
        [[curve.run_id for curve in own] for own in behind],
        [[curve.keys.get("training.seed") for curve in own] for own in behind],
    )


def _with_best(frame: pl.DataFrame, baseline: str, higher: bool) -> pl.DataFrame:
    """The frame with a column "best": the baseline's best so far, for the stricter definition."""
    best = pl.col("y").cum_max() if higher else pl.col("y").cum_min()
    parts = [
        frame.filter(pl.col("curve") == baseline).with_columns(best=best),
        frame.filter(pl.col("curve") != baseline).with_columns(best=pl.lit(None, pl.Float64)),
    ]
    return pl.concat(parts)


def _panel(
    frame: pl.DataFrame,
    lead: pl.DataFrame | None,
    answer: dict[str, Any],
    metric: str,
    names: list[str],
    styles: list[Style],
    span: Floats,
    domain: Floats | None,
    begin: Beginning,
    head: alt.TitleParams,
) -> Any:
    colour, dash, _ = series_channels(names, styles, field="curve:N")
    title = AXIS_TITLES[answer["axis"]]
    x = log_axis("x:Q", title if lead is None else "", span, most=5)
    y = linear_axis(
        "y:Q", metric_title(metric), begin.values(frame, "y") if domain is None else domain
    )
    base = alt.Chart(frame)
    layers = _interval(answer, frame)
    if "best" in frame.columns:
        own = base.transform_filter("isValid(datum.best)")
        layers.append(
            own.mark_line(strokeWidth=1, color=styles[0].colour, clip=True).encode(
                x, alt.Y("best:Q")
            )
        )
    layers.append(base.mark_line(strokeWidth=2, clip=True).encode(x, y, colour, dash))
    if frame.height <= 2 * DOTTED:
        dots = base.mark_point(filled=True, size=16, opacity=1, clip=True)
        layers.append(dots.encode(x, y, colour))
    rule = _crossover_rule(answer)
    layers += rule or _bound(answer, frame, names[1], styles[1], span)
    curves = alt.layer(*layers, width=_WIDTH, height=_HEIGHT, title=head)
    if lead is None:
        return curves
    below = [
        *_interval(answer, frame),
        *lead_layers(lead, log_axis("x:Q", title, span, most=5), metric, begin),
        *rule,
    ]
    panel = alt.layer(*below, width=_WIDTH, height=LEAD_HEIGHT)
    return alt.vconcat(curves, panel, spacing=6)


def _interval(answer: dict[str, Any], frame: pl.DataFrame) -> list[Any]:
    """The 95 % interval as a band, up to the end of the measured range where a limit is beyond."""
    if not answer.get("ci95"):
        return []
    low, high = answer["ci95"]
    ends = (float(frame["x"].min()), float(frame["x"].max()))  # type: ignore[arg-type]
    band = pl.DataFrame({"low": [low or ends[0]], "high": [high or ends[1]]})
    mark = alt.Chart(band).mark_rect(color="#999999", opacity=0.3)
    return [mark.encode(x=alt.X("low:Q"), x2="high:Q")]


def _crossover_rule(answer: dict[str, Any]) -> list[Any]:
    if not answer["crossover"]:  # a logarithm has no place for zero
        return []
    at = pl.DataFrame({"x": [float(answer["crossover"])]})
    return [alt.Chart(at).mark_rule(strokeDash=[2, 2], color=INK).encode(alt.X("x:Q"))]


def _bound(
    answer: dict[str, Any], frame: pl.DataFrame, name: str, style: Style, span: Floats
) -> list[Any]:
    """A triangle at the bound, on the challenger's curve; nothing where no bound is known. A bound
    before the axis is marked where the axis begins: what lies beyond it lies beyond that too."""
    early = answer["status"] == "ahead_throughout"
    place = answer["upper_bound" if early else "lower_bound"]
    if place is None:
        return []
    own = frame.filter(pl.col("curve") == name)
    bound = max(float(place), float(own["x"][0]), float(span.min()))
    level = float(np.interp(bound, own["x"].to_numpy(), own["y"].to_numpy()))
    mark = alt.Chart(pl.DataFrame({"x": [bound], "y": [level]})).mark_point(
        shape="triangle-left" if early else "triangle-right", size=170, filled=True, fill="white",
        stroke=style.colour, strokeWidth=2, opacity=1,
    )  # fmt: skip
    return [mark.encode(alt.X("x:Q"), alt.Y("y:Q"))]


def verdict(answer: dict[str, Any]) -> str:
    """The status of a comparison in a line, such as "overtakes at 3.2 epochs"."""
    axis = answer["axis"]
    if answer["status"] == "not_reached":
        return f"not reached by {place_text(answer['last_x'], axis)}"
    if answer["status"] == "ahead_throughout":
        return f"ahead throughout, from {place_text(answer['upper_bound'], axis)} on"
    if answer["status"] == "undecided":
        behind = answer["lower_bound"]
        since = "" if behind is None else f", behind until {place_text(behind, axis).split()[0]}"
        return f"undecided by {place_text(answer['last_x'], axis)}{since}"
    text = f"overtakes at {place_text(answer['crossover'], axis)}"
    interval = answer.get("ci95")
    if interval:
        low, high = (None if end is None else place_text(end, axis).split()[0] for end in interval)
        if low and high:
            text += f" (95 %: {low} to {high})"
        elif low:
            text += f" (95 %: from {low}; no upper limit)"
        else:
            text += f" (95 %: to {high}; no lower limit)" if high else " (95 %: not bounded)"
    return text
