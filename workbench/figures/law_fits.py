"""Pictures of a fit: what it predicts, where it errs, what the data leave open."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.errors import InputError
from workbench.figures.axes import linear_axis, log_axis
from workbench.figures.figure import Figure
from workbench.figures.theme import (
    FAINT,
    INK,
    colour_of,
    finished,
    heading,
    ramp,
    series_channels,
    series_styles,
    short,
)
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit
from workbench.laws.isoflop import Budget, budgets
from workbench.laws.law import Law
from workbench.laws.registry import LAWS
from workbench.recipe.objectives import display_name

_SIDE = 300
_RISE = 6.0
"""How far above its lowest value a profile is drawn, in heights of the threshold."""


def fit_name(fit: Fit) -> str:
    """The law, and the objective that it was fitted to."""
    return fit.law + (f", {display_name(fit.objective_name)}" if fit.objective_name else "")


def fit_rows(fit: Fit) -> pl.DataFrame:
    """A fit's runs with the loss seen and predicted; residuals in percent of the loss.

    Raises:
        InputError: the fit predicts no losses.
    """
    if fit.table is None or fit.predicted is None:
        raise InputError(f"--figure: {fit.law} predicts no losses, so there is nothing to draw.")
    table = fit.table
    unique = table.total_tokens if table.unique_tokens is None else table.unique_tokens
    frame = pl.DataFrame(
        {
            "name": table.name,
            "n_params": table.n_params,
            "total_tokens": table.total_tokens,
            "unique_tokens": unique,
            "epochs": table.total_tokens / unique,
            "compute": table.compute,
            "seen": table.loss,
            "predicted": fit.predicted,
            "residual": 100 * np.log(fit.predicted / table.loss),
        }
    )
    return frame.with_columns(
        fit=pl.lit(fit_name(fit)), objective=pl.lit(fit.objective_name, pl.String)
    )


def _channels(rows: pl.DataFrame) -> tuple[Any, Any]:
    """Colour and shape of fits: their objectives', where each fit has another objective."""
    fits = rows.group_by("fit", maintain_order=True).agg(pl.col("objective").first())
    names, objectives = fits["fit"].to_list(), fits["objective"].to_list()
    legend = alt.Legend(orient="bottom", columns=1, offset=8) if len(names) > 1 else None
    colour, _, shape = series_channels(names, series_styles(objectives), field="fit:N")
    colour.legend = shape.legend = legend
    return colour, shape


def predicted_figure(fits: list[Fit]) -> Figure:
    """Predicted against seen losses; a point on the diagonal is predicted exactly."""
    rows = pl.concat([fit_rows(fit) for fit in fits])
    span = np.r_[rows["seen"].to_numpy(), rows["predicted"].to_numpy()]
    x = log_axis("seen:Q", "loss seen", span)
    y = log_axis("predicted:Q", "loss predicted", span, channel=alt.Y)
    ends = pl.DataFrame({"seen": [span.min(), span.max()], "predicted": [span.min(), span.max()]})
    subtitle = [
        f"{fit_name(fit)}: {fit.n:,} rows" + ("" if fit.r2 is None else f", R2 {fit.r2:.4f}")
        for fit in fits
    ]
    points = alt.Chart(rows).mark_point(size=30, filled=True, opacity=0.75)
    chart = alt.layer(
        alt.Chart(ends).mark_line(color=FAINT, strokeDash=[4, 3]).encode(x, y),
        points.encode(x, y, *_channels(rows), tooltip=["name", "seen", "predicted"]),
    ).properties(
        width=_SIDE,
        height=_SIDE,
        title=alt.TitleParams("Predicted against seen", subtitle=subtitle),
    )
    return Figure(finished(chart), rows, "predicted against seen")


def residuals_figure(fits: list[Fit]) -> Figure:
    """Residuals against compute, size, unique tokens and epochs.

    Structure in them is what the law misses.
    """
    rows = pl.concat([fit_rows(fit) for fit in fits])
    y = linear_axis("residual:Q", "predicted - seen (% of loss)")
    panels = []
    for column, title in (
        ("compute", "training FLOPs"), ("n_params", "parameters"),
        ("unique_tokens", "unique tokens"), ("epochs", "epochs"),
    ):  # fmt: skip
        if rows[column].n_unique() < 2:
            continue
        x = log_axis(f"{column}:Q", title, rows[column].to_numpy(), most=5)
        zero = alt.Chart(pl.DataFrame({"residual": [0.0]})).mark_rule(color=FAINT).encode(y)
        points = alt.Chart(rows).mark_point(size=28, filled=True, opacity=0.7)
        points = points.encode(x, y, *_channels(rows), tooltip=["name", "residual"])
        panels.append(alt.layer(zero, points).properties(width=280, height=200))
    chart = alt.concat(*panels, columns=2).properties(title=heading("Residuals"))
    return Figure(finished(chart), rows, "residuals")


def profile_figure(fit: Fit) -> Figure:
    """The objective along each parameter, all others fitted anew, with the limit of the 95 %
    likelihood interval (dashed) and the estimate. A curve that stays below the limit on one side
    leaves its parameter unidentified.

    Raises:
        InputError: the fit has no profiles.
    """
    law = LAWS.get(fit.law)
    if not fit.profiles or not isinstance(law, Law):
        raise InputError(f"--figure: {fit.law} has no free parameter to profile.")
    panels, parts = [], []
    colour = colour_of(fit.objective_name) if fit.objective_name else INK
    for profile in fit.profiles:
        parameter = law.parameter(profile.name)
        lowest = float(profile.objective.min())
        limit = profile.threshold / lowest - 1
        rise = profile.objective / lowest - 1
        values = np.asarray(parameter.to_value(profile.values))
        rows = pl.DataFrame({"value": values, "rise": 100 * rise}).with_columns(
            parameter=pl.lit(profile.name), threshold=pl.lit(100 * limit)
        )
        parts.append(rows)
        identified = bool(fit.identified.get(profile.name))
        panels.append(_profile(rows, fit.params[profile.name], parameter.log, identified, colour))
    chart = alt.concat(*panels, columns=3).properties(
        title=heading(f"{fit_name(fit)}: profile likelihoods", "dashed: limit of the 95 % interval")
    )
    return Figure(finished(chart), pl.concat(parts), f"{fit_name(fit)}: profiles")


def _profile(rows: pl.DataFrame, estimate: float, log: bool, identified: bool, colour: str) -> Any:
    name, limit = rows["parameter"][0], float(rows["threshold"][0])
    top = limit * _RISE
    near = rows.filter(pl.col("rise") <= top)["value"].to_numpy()
    # Points beyond the top are drawn and clipped, so that the line leaves the panel there.
    x = (
        log_axis("value:Q", name, near, most=4, powers=False)
        if log
        else alt.X(
            "value:Q", title=name, scale=alt.Scale(zero=False, domain=_ends(near)),
            axis=alt.Axis(tickCount=4, gridOpacity=0.6),
        )
    )  # fmt: skip
    y = alt.Y(
        "rise:Q", title="objective above lowest (%)", scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(tickCount=4, gridOpacity=0.6),
    )  # fmt: skip
    at = pl.DataFrame({"value": [estimate], "rise": [0.0]})
    threshold = pl.DataFrame({"rise": [limit]})
    return alt.layer(
        alt.Chart(threshold).mark_rule(strokeDash=[4, 3], color=INK).encode(y),
        alt.Chart(rows).mark_line(strokeWidth=2, color=colour, clip=True).encode(x, y),
        alt.Chart(at).mark_point(filled=True, size=60, color=colour, opacity=1).encode(x, y),
    ).properties(
        width=210,
        height=150,
        title=alt.TitleParams(
            f"{name} = {estimate:.4g}",
            subtitle="identified" if identified else "not identified",
            subtitleColor="#666666" if identified else "#b00020",
        ),
    )


def _ends(values: np.ndarray) -> list[float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low or abs(low) or 1.0)
    return [low - margin, high + margin]


def isoflop_figure(fit: Fit) -> Figure:
    """The parabola of each compute budget and its lowest point (Hoffmann et al. 2022, Figure 3).

    Raises:
        InputError: the fit is of another law, or has no budgets.
    """
    every = [] if fit.table is None or "k_N" not in fit.params else _budgets(fit)
    if fit.table is None or not every:
        raise InputError(f"--figure: {fit.law} has no compute budgets to draw.")
    runs, lines, lowest = [], [], []
    for budget in every:
        label = short(float(f"{budget.compute:.2g}"))
        own = fit.table.take(budget.rows)
        frame = pl.DataFrame({"n_params": own.n_params, "loss": own.loss})
        runs.append(frame.with_columns(budget=pl.lit(label)))
        lines.append(_parabola_line(budget, own.n_params).with_columns(budget=pl.lit(label)))
        if budget.inside:
            lowest.append({"n_params": budget.n_opt, "loss": budget.loss_opt, "budget": label})
    rows, curve = pl.concat(runs), pl.concat(lines)
    labels = rows["budget"].unique(maintain_order=True).to_list()
    x = log_axis("n_params:Q", "parameters", rows["n_params"].to_numpy())
    y = log_axis("loss:Q", "loss", rows["loss"].to_numpy(), channel=alt.Y)
    colour: Any = alt.Color(
        "budget:N", title="FLOPs", sort=labels,
        scale=alt.Scale(domain=labels, range=ramp(len(labels))[::-1]),
        legend=alt.Legend(orient="right", symbolLimit=40),
    )  # fmt: skip
    best = alt.Chart(pl.DataFrame(lowest)).mark_point(
        size=80, shape="diamond", filled=True, color=INK, opacity=1
    )
    chart = alt.layer(
        alt.Chart(curve).mark_line(strokeWidth=1.5).encode(x, y, colour),
        alt.Chart(rows).mark_point(size=24, filled=True, opacity=0.9).encode(x, y, colour),
        best.encode(x, y),
    ).properties(
        width=420, height=320,
        title=alt.TitleParams(
            f"{fit_name(fit)}: profiles of equal compute",
            subtitle=f"diamonds: lowest points, N = {fit.params['k_N']:.3g} "
            f"C^{fit.params['a']:.3f}",
        ),
    )  # fmt: skip
    return Figure(finished(chart), rows, "IsoFLOP profiles")


def _budgets(fit: Fit) -> list[Budget]:
    assert fit.table is not None
    return budgets(fit.table, FitOptions(resamples=0, delta=fit.huber_delta))


def _parabola_line(budget: Budget, sizes: np.ndarray) -> pl.DataFrame:
    n = np.geomspace(sizes.min(), sizes.max(), 40)
    loss = np.exp(np.polyval(budget.coefficients[::-1], np.log(n) - budget.centre))
    return pl.DataFrame({"n_params": n, "loss": loss})
