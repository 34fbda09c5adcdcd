"""Pictures of a fitted law: what it predicts, where it errs, what the data leave open."""

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.figures.theme import (
    FAINT,
    INK,
    Figure,
    colour_of,
    finished,
    linear_axis,
    log_axis,
    name_of,
    save,
)
from workbench.analysis.fitting.options import FitOptions
from workbench.analysis.fitting.result import Fit
from workbench.analysis.law import Law, Rows
from workbench.analysis.laws import LAWS
from workbench.analysis.laws.isoflop import Budget, budgets
from workbench.errors import InputError

_SIDE = 300
_CELLS = 60


def _name(fit: Fit) -> str:
    return fit.law + (f", {name_of(fit.objective_name)}" if fit.objective_name else "")


def _rows(fit: Fit) -> pl.DataFrame:
    if fit.table is None or fit.predicted is None:
        raise InputError(f"--figure: {fit.law} predicts no losses, so there is nothing to draw.")
    table = fit.table
    unique = table.total_tokens if table.unique_tokens is None else table.unique_tokens
    return pl.DataFrame(
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
            "fit": [_name(fit)] * len(table),
            "objective": [fit.objective_name or "ar"] * len(table),
        }
    )


def predicted_figure(fits: list[Fit]) -> Figure:
    """Predicted against seen losses: on the line the law is right."""
    rows = pl.concat([_rows(fit) for fit in fits])
    span = np.r_[rows["seen"].to_numpy(), rows["predicted"].to_numpy()]
    x = log_axis("seen:Q", "loss seen (nats a token)", span)
    y = log_axis("predicted:Q", "loss predicted (nats a token)", span, channel=alt.Y)
    ends = pl.DataFrame({"seen": [span.min(), span.max()], "predicted": [span.min(), span.max()]})
    chart = alt.layer(
        alt.Chart(ends).mark_line(color=FAINT, strokeDash=[4, 3]).encode(x, y),
        alt.Chart(rows)
        .mark_point(size=28, filled=True, opacity=0.7)
        .encode(x, y, _colour(rows), tooltip=["name", "seen", "predicted"]),
    ).properties(width=_SIDE, height=_SIDE, title=_title(fits))
    return Figure(finished(chart), rows, "predicted against seen")


def _title(fits: list[Fit]) -> alt.TitleParams:
    told = [
        f"{_name(fit)}: R2 {fit.r2:.4f}, {fit.n:,} runs"
        if fit.r2 is not None
        else f"{_name(fit)}: {fit.n:,} runs"
        for fit in fits
    ]
    return alt.TitleParams(fits[0].formula.split(", ")[0], subtitle=told)


def _colour(rows: pl.DataFrame) -> Any:
    names = rows["fit"].unique(maintain_order=True).to_list()
    objectives = dict(zip(rows["fit"].to_list(), rows["objective"].to_list(), strict=True))
    others = 0
    palette = []
    for name in names:
        known = objectives[name] in ("ar", "mdlm") and len(set(objectives.values())) == len(names)
        palette.append(colour_of(objectives[name] if known else "", others))
        others += not known
    return alt.Color(
        "fit:N",
        title=None,
        scale=alt.Scale(domain=names, range=palette),
        legend=alt.Legend(orient="bottom", columns=1) if len(names) > 1 else None,
    )


def residuals_figure(fits: list[Fit]) -> Figure:
    """Residuals against compute, size and epochs: structure here is what the law misses."""
    rows = pl.concat([_rows(fit) for fit in fits])
    y = linear_axis("residual:Q", "predicted - seen (% of loss)")
    panels = []
    for column, title in (
        ("compute", "training FLOPs"), ("n_params", "parameters"), ("epochs", "epochs"),
    ):  # fmt: skip
        if rows[column].n_unique() < 2:
            continue
        x = log_axis(f"{column}:Q", title, rows[column].to_numpy(), most=5)
        zero = alt.Chart(pl.DataFrame({"residual": [0.0]})).mark_rule(color=FAINT).encode(y)
        points = (
            alt.Chart(rows)
            .mark_point(size=24, filled=True, opacity=0.7)
            .encode(x, y, _colour(rows), tooltip=["name", "residual"])
        )
        panels.append(alt.layer(zero, points).properties(width=260, height=220))
    return Figure(finished(alt.hconcat(*panels)), rows, "residuals")


def contour_figure(fit: Fit) -> Figure:
    """Predicted loss over parameters and tokens, the runs on it, and the sizes that are best for
    their compute. Where the law knows unique tokens, it is drawn at the median of them.

    Raises:
        InputError: the law does not predict a loss from N and D.
    """
    law = LAWS[fit.law]
    if not isinstance(law, Law) or fit.table is None:
        raise InputError(f"--figure: {fit.law} has no loss over parameters and tokens.")
    runs = _rows(fit)
    n = _range(runs["n_params"].to_numpy())
    d = _range(runs["total_tokens"].to_numpy())
    unique = float(runs["unique_tokens"].median())  # type: ignore[arg-type]
    grid_n, grid_d = (g.ravel() for g in np.meshgrid(n, d, indexing="ij"))
    u = np.full(len(grid_n), unique) if law.needs_unique else grid_d
    loss = law.predict(fit.params, Rows.of(grid_n, grid_d, u))
    step_n, step_d = (n[1] / n[0]) ** 0.5, (d[1] / d[0]) ** 0.5
    cells = pl.DataFrame(
        {
            "n_params": grid_n, "total_tokens": grid_d, "loss": loss,
            "n0": grid_n / step_n, "n1": grid_n * step_n,
            "d0": grid_d / step_d, "d1": grid_d * step_d,
        }
    )  # fmt: skip
    x = log_axis("d0:Q", "training tokens", np.r_[d[0] / step_d, d[-1] * step_d])
    y = log_axis("n0:Q", "parameters", np.r_[n[0] / step_n, n[-1] * step_n], channel=alt.Y)
    colour = alt.Color(
        "loss:Q", title="predicted loss", bin=alt.Bin(maxbins=14),
        scale=alt.Scale(scheme="viridis", reverse=True),
    )  # fmt: skip
    tooltip = ["n_params", "total_tokens", "loss"]
    field = alt.Chart(cells).mark_rect(clip=True).encode(
        x, y, alt.X2("d1:Q"), alt.Y2("n1:Q"), colour, tooltip=tooltip
    )  # fmt: skip
    dots = (
        alt.Chart(runs)
        .mark_point(color="white", stroke=INK, filled=True, size=26, strokeWidth=0.8, opacity=1)
        .encode(alt.X("total_tokens:Q"), alt.Y("n_params:Q"), tooltip=["name", "seen", "predicted"])
    )
    best = _best_line(law, fit, n, d, unique)
    line = (
        alt.Chart(best)
        .mark_line(color="white", strokeWidth=2.5, strokeDash=[6, 3], clip=True)
        .encode(alt.X("total_tokens:Q"), alt.Y("n_params:Q"), alt.Order("compute:Q"))
    )
    told = f"at {unique:,.0f} unique tokens; " if law.needs_unique else ""
    chart = alt.layer(field, line, dots).properties(
        width=400, height=320,
        title=alt.TitleParams(_name(fit), subtitle=f"{told}dashed: best size for its compute"),
    )  # fmt: skip
    return Figure(finished(chart), cells.select(tooltip), f"{_name(fit)}: predicted loss")


def _range(values: np.ndarray) -> np.ndarray:
    low, high = values.min() / 1.5, values.max() * 1.5
    return np.geomspace(low, max(high, low * 10), _CELLS)


def _best_line(law: Law, fit: Fit, n: np.ndarray, d: np.ndarray, unique: float) -> pl.DataFrame:
    rows = []
    for compute in np.geomspace(6 * n[0] * d[0], 6 * n[-1] * d[-1], 60):
        sizes = np.geomspace(n[0], n[-1], 300)
        tokens = compute / 6 / sizes
        u = np.full(len(sizes), unique) if law.needs_unique else tokens
        place = int(np.argmin(law.predict(fit.params, Rows.of(sizes, tokens, u))))
        if 0 < place < len(sizes) - 1 and d[0] <= tokens[place] <= d[-1]:
            rows.append((compute, sizes[place], tokens[place]))
    return pl.DataFrame(
        rows,
        schema={"compute": pl.Float64, "n_params": pl.Float64, "total_tokens": pl.Float64},
        orient="row",
    )


def profile_figure(fit: Fit) -> Figure:
    """The objective along each parameter, all others fitted anew. A curve that stays below the
    dashed line on one side leaves its parameter unidentified."""
    if not fit.profiles:
        raise InputError(f"--figure: {fit.law} has no free parameter to profile.")
    law = LAWS[fit.law]
    assert isinstance(law, Law)
    panels, parts = [], []
    for profile in fit.profiles:
        parameter = law.parameter(profile.name)
        values = parameter.to_value(profile.values)
        rise = profile.objective / fit.loss
        shown = rise < 1 + 6 * (profile.threshold / fit.loss - 1)
        rows = pl.DataFrame({"value": values[shown], "rise": rise[shown]})
        parts.append(rows.with_columns(parameter=pl.lit(profile.name)))
        x = (
            log_axis("value:Q", profile.name, values[shown], most=5)
            if parameter.log
            else alt.X("value:Q", title=profile.name, scale=alt.Scale(zero=False))
        )
        y = linear_axis("rise:Q", "objective / lowest")
        limit = pl.DataFrame({"rise": [profile.threshold / fit.loss]})
        panels.append(
            alt.layer(
                alt.Chart(limit).mark_rule(strokeDash=[4, 3], color=INK).encode(y),
                alt.Chart(rows).mark_line(strokeWidth=2, color=colour_of("ar")).encode(x, y),
            ).properties(
                width=220,
                height=160,
                title=alt.TitleParams(
                    profile.name,
                    subtitle="identified" if fit.identified[profile.name] else "not identified",
                ),
            )
        )
    chart = alt.concat(*panels, columns=3)
    return Figure(finished(chart), pl.concat(parts), f"{_name(fit)}: profiles")


def isoflop_figure(fit: Fit) -> Figure:
    """The parabola of each compute budget and its lowest point."""
    assert fit.table is not None
    every = budgets(fit.table, FitOptions(resamples=0))
    runs, lines, lowest = [], [], []
    for budget in every:
        label = f"{budget.compute:.1e}"
        own = fit.table.take(budget.rows)
        runs.append(
            pl.DataFrame({"n_params": own.n_params, "loss": own.loss, "budget": [label] * len(own)})
        )
        lines.append(_parabola_line(budget, own.n_params, label))
        if budget.inside:
            lowest.append({"n_params": budget.n_opt, "loss": budget.loss_opt, "budget": label})
    rows, curve = pl.concat(runs), pl.concat(lines)
    labels = rows["budget"].unique(maintain_order=True).to_list()
    x = log_axis("n_params:Q", "parameters", rows["n_params"].to_numpy())
    y = log_axis("loss:Q", "loss", rows["loss"].to_numpy(), channel=alt.Y)
    colour: Any = alt.Color(
        "budget:N", title="FLOPs", sort=labels,
        scale=alt.Scale(domain=labels, scheme="viridis", reverse=True),
        legend=alt.Legend(orient="right", symbolLimit=40),
    )  # fmt: skip
    chart = alt.layer(
        alt.Chart(curve).mark_line(strokeWidth=1.5).encode(x, y, colour),
        alt.Chart(rows).mark_point(size=22, filled=True, opacity=0.8).encode(x, y, colour),
        alt.Chart(pl.DataFrame(lowest))
        .mark_point(size=80, shape="diamond", filled=True, color=INK, opacity=1)
        .encode(x, y),
    ).properties(
        width=420, height=320,
        title=alt.TitleParams(
            "IsoFLOP profiles",
            subtitle=f"lowest points: N = {fit.params['k_N']:.3g} C^{fit.params['a']:.3f}",
        ),
    )  # fmt: skip
    return Figure(finished(chart), rows, "IsoFLOP profiles")


def _parabola_line(budget: Budget, sizes: np.ndarray, label: str) -> pl.DataFrame:
    n = np.geomspace(sizes.min(), sizes.max(), 40)
    loss = np.exp(np.polyval(budget.coefficients[::-1], np.log(n) - budget.centre))
    return pl.DataFrame({"n_params": n, "loss": loss, "budget": [label] * len(n)})


def save_fits(fits: list[Fit], folder: Path, suffix: str) -> list[str]:
    """Every figure that the fits have, with the data behind each, into a folder.

    Returns:
        a line for each file, and for each law that has none.

    Raises:
        InputError: an unknown suffix, or the folder cannot be written.
    """
    made: list[tuple[str, Figure]] = []
    lines: list[str] = []
    for law in dict.fromkeys(fit.law for fit in fits):
        own = [fit for fit in fits if fit.law == law]
        if law == "critical_compute":
            lines.append(f"{law} predicts no losses: no figures.")
            continue
        if law == "isoflop":
            made += [(_file(fit, "profiles"), isoflop_figure(fit)) for fit in own]
            continue
        made += [(f"{law}-predicted", predicted_figure(own))]
        made += [(f"{law}-residuals", residuals_figure(own))]
        for fit in own:
            made.append((_file(fit, "contours"), contour_figure(fit)))
            if fit.profiles:
                made.append((_file(fit, "likelihood"), profile_figure(fit)))
    for name, figure in made:
        path = folder / f"{name}.{suffix}"
        save(figure, path)
        lines.append(f"{path}: {figure.title}")
    return lines


def _file(fit: Fit, what: str) -> str:
    return "-".join(part for part in (fit.law, fit.objective_name, what) if part)
