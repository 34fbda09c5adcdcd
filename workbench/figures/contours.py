"""Loss over parameters and tokens, as contour lines."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.curves import Floats
from workbench.errors import InputError
from workbench.figures.axes import even_ticks, log_axis
from workbench.figures.figure import Figure
from workbench.figures.law_fits import fit_name, fit_rows
from workbench.figures.theme import INK, colour_of, finished, short
from workbench.laws.fitting.result import Fit
from workbench.laws.law import Law, Rows
from workbench.laws.registry import LAWS

_CELLS = 70
_LEVELS = 9
_LABEL_GAP = 0.07  # of the axis: labels of lines closer to each other than this would meet
# The corners of a cell, and between which of them each of its edges lies.
_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))
_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0))


def contour_figure(fit: Fit, unique_tokens: float | None = None) -> Figure:
    """Lines of equal predicted loss over parameters and tokens, the runs, and the sizes that are
    best for their compute, 6 N D.

    Args:
        unique_tokens: for laws that depend on them; the runs' median by default.
            Runs of other budgets are drawn as open points.

    Raises:
        InputError: the law does not predict a loss from N and D.
    """
    law = LAWS.get(fit.law)
    if not isinstance(law, Law) or fit.table is None:
        raise InputError(f"--figure: {fit.law} has no loss over parameters and tokens.")
    runs = fit_rows(fit)
    median = runs["unique_tokens"].quantile(0.5, interpolation="lower")
    unique = float(unique_tokens or median or np.nan)
    runs = runs.with_columns(
        here=(pl.col("unique_tokens") == unique) if law.needs_unique else pl.lit(True)
    )
    n, d = _range(runs["n_params"].to_numpy()), _range(runs["total_tokens"].to_numpy())
    grid_n, grid_d = (g.ravel() for g in np.meshgrid(n, d, indexing="ij"))
    loss = _loss(law, fit, grid_n, grid_d, unique).reshape(len(n), len(d))
    segments = pl.concat(
        [
            _segments(n, d, loss, level)
            for level in even_ticks(float(loss.min()), float(loss.max()), _LEVELS)
        ]
    )
    title = alt.TitleParams(
        f"{fit_name(fit)}: predicted loss",
        subtitle=[
            *([f"at {short(unique)} unique tokens; open points: runs on others"]
              if law.needs_unique else []),
            "black: the best size for its compute",
            *_open_note(fit),
        ],
    )  # fmt: skip
    chart = alt.layer(*_layers(segments, runs, _best_line(law, fit, n, d, unique), n, d, fit))
    chart = chart.properties(width=420, height=330, title=title)
    return Figure(finished(chart), segments, f"{fit_name(fit)}: predicted loss")


def unidentified(fit: Fit) -> list[str]:
    """The parameters that the runs do not bound on both sides, and that were not given."""
    return [n for n, known in fit.identified.items() if not known and n not in fit.fixed]


def _open_note(fit: Fit) -> list[str]:
    names = unidentified(fit)
    if not names:
        return []
    return [f"dotted: the runs leave {', '.join(names)} open, and other contours fit them as well"]


def _layers(
    segments: pl.DataFrame, runs: pl.DataFrame, best: pl.DataFrame, n: Floats, d: Floats, fit: Fit
) -> list[Any]:
    x = log_axis("total_tokens:Q", "training tokens", d)
    y = log_axis("n_params:Q", "parameters", n, channel=alt.Y)
    colour = alt.Color("loss:Q", scale=alt.Scale(scheme="viridis", reverse=True), legend=None)
    lines = alt.Chart(segments).mark_rule(strokeWidth=1.6, strokeCap="round", tooltip=None)
    if unidentified(fit):  # each piece of a contour is a few pixels long: one dot
        lines = lines.mark_rule(strokeWidth=2, strokeDash=[1, 100], strokeCap="round", tooltip=None)
    ends = segments.group_by("loss", maintain_order=True).agg(
        pl.col("total_tokens", "n_params").sort_by("place").last()
    )
    level = pl.col("total_tokens") >= d[-3]  # it leaves at the right, else at the top
    right = alt.Chart(_spaced(ends.filter(level), "n_params", n)).mark_text(
        align="right", dx=-2, dy=-7, color=INK
    )
    top = alt.Chart(_spaced(ends.filter(~level), "total_tokens", d)).mark_text(
        align="left", dx=3, dy=7, color=INK
    )
    points = alt.Chart(runs).mark_point(size=30, strokeWidth=1.2, opacity=1)
    own = colour_of(fit.objective_name) if fit.objective_name else INK
    fill: Any = alt.condition("datum.here", alt.value(own), alt.value("white"))
    layers = [
        lines.encode(x, y, alt.X2("total_tokens_2:Q"), alt.Y2("n_params_2:Q"), colour),
        *(words.encode(x, y, alt.Text("loss:Q", format="~g")) for words in (right, top)),
        points.encode(x, y, color=alt.value(own), fill=fill, tooltip=["name", "seen", "predicted"]),
    ]
    if best.height:
        dash = [1, 5] if unidentified(fit) else [6, 3]
        line = alt.Chart(best).mark_line(color=INK, strokeWidth=2, strokeDash=dash, clip=True)
        layers.append(line.encode(x, y, alt.Order("compute:Q")))
    return layers


def _spaced(ends: pl.DataFrame, column: str, axis: Floats) -> pl.DataFrame:
    """The ends of lines whose labels have room, chosen from the lowest loss on."""
    places: list[float] = []
    chosen = []
    for row in ends.sort("loss").to_dicts():
        place = float(np.log(row[column] / axis[0]) / np.log(axis[-1] / axis[0]))
        if all(abs(place - other) > _LABEL_GAP for other in places):
            places.append(place)
            chosen.append(row)
    return pl.DataFrame(chosen, schema=ends.schema)


def _loss(law: Law, fit: Fit, n: Floats, d: Floats, unique: float) -> Floats:
    u = np.full(len(n), unique) if law.needs_unique else d
    return law.predict(fit.params, Rows.of(n, d, u))


def _range(values: Floats) -> Floats:
    low, high = values.min() / 1.5, values.max() * 1.5
    return np.geomspace(low, max(high, low * 10), _CELLS)


def _segments(n: Floats, d: Floats, loss: Floats, level: float) -> pl.DataFrame:
    """The line loss = level by marching squares: a straight piece in each cell that it crosses,
    linear in the logarithms. Cells that it crosses twice get both pieces."""
    log_n, log_d = np.log(n), np.log(d)
    above = loss > level
    corners = [above[i : i + len(n) - 1, j : j + len(d) - 1] for i, j in _CORNERS]
    mixed = np.argwhere(np.any(corners, axis=0) & ~np.all(corners, axis=0))
    rows = []
    for i, j in mixed:
        cuts = []
        for first_corner, second_corner in _EDGES:
            (a, b), (e, f) = _CORNERS[first_corner], _CORNERS[second_corner]
            first, second = loss[i + a, j + b], loss[i + e, j + f]
            if (first > level) == (second > level):
                continue
            share = (level - first) / (second - first)
            cuts.append(
                (
                    log_n[i + a] + share * (log_n[i + e] - log_n[i + a]),
                    log_d[j + b] + share * (log_d[j + f] - log_d[j + b]),
                )
            )
        for start in range(0, len(cuts) - 1, 2):
            (n0, d0), (n1, d1) = cuts[start], cuts[start + 1]
            rows.append((level, *np.exp([d0, n0, d1, n1]), float(d0 + n0)))
    names = ("loss", "total_tokens", "n_params", "total_tokens_2", "n_params_2", "place")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")


def _best_line(law: Law, fit: Fit, n: Floats, d: Floats, unique: float) -> pl.DataFrame:
    rows = []
    for compute in np.geomspace(6 * n[0] * d[0], 6 * n[-1] * d[-1], 60):
        sizes = np.geomspace(n[0], n[-1], 300)
        tokens = compute / 6 / sizes
        place = int(np.argmin(_loss(law, fit, sizes, tokens, unique)))
        # At the end of the sizes drawn, the best one lies outside.
        if 0 < place < len(sizes) - 1 and d[0] <= tokens[place] <= d[-1]:
            rows.append((compute, sizes[place], tokens[place]))
    names = ("compute", "n_params", "total_tokens")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")
