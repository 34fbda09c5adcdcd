"""Scaling laws: fit them, see how far a fit can be trusted, and ask for advice."""

from functools import partial

import streamlit as st

from workbench.api.chosen import Chosen
from workbench.figures import (
    contour_figure,
    isoflop_figure,
    predicted_figure,
    profile_figure,
    residuals_figure,
)
from workbench.figures.theme import short
from workbench.laws.advice import advice_lines, advice_rows, advise
from workbench.laws.evidence import gather
from workbench.laws.fitting.result import Fit, parameter_rows, summary
from workbench.laws.fitting.tournament import standings, verdicts
from workbench.laws.formula import latex, with_numbers
from workbench.laws.law import Law
from workbench.laws.predictors import Predictor, paired_predictors, published_predictors
from workbench.laws.registry import LAWS
from workbench.laws.request import SECOND_STEP
from workbench.messages import power_label
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name
from workbench.report.law_sections import fits_section, parameters_text
from workbench.viewing.cached_store import cached, metrics
from workbench.viewing.drawing import draw
from workbench.viewing.fit_cache import ALL, Fitted, Wish, cached_fit, fit_now, steps
from workbench.viewing.page import begin
from workbench.viewing.page_width import controls
from workbench.viewing.selection import where_choice
from workbench.viewing.text import note, notes, plain, refusals, table

AT = {"final": "where runs ended", "best": "where it was best"}
OUTSIDE = "outside the fitted range"

page = begin(
    "Scaling laws", "Loss as a function of parameters, tokens and unique tokens.", live=False
)
of_losses = {name: law.title for name, law in LAWS.usable().items() if name != SECOND_STEP}
laws = of_losses | {ALL: "all laws: a tournament"}
with page.choices():
    study = page.study(width=220)
    known = metrics(page.where, study)
    losses = [m for m in known if not higher_is_better(m)]
    law = page.link.choose(
        "Law", list(laws), "law", first="data_constrained", labels=laws, width=360
    )
    at = page.link.choose("Loss taken", list(AT), "at", labels=AT, usual="final", width=200)
with page.choices():
    if losses:
        metric = page.link.choose("Metric", losses, "metric", width=180)
    chosen_runs = where_choice(page, study)
    fixed = page.link.text(
        "Fixed parameters", "fixed", placeholder="alpha=0.34, beta=0.28", width=240
    )
    resamples = page.link.slide(
        "Resamples", [0, 50, 100, 200, 500, 1000], "resamples", first=200, width=180
    )
    starts = page.link.slide("Starts", [8, 16, 32, 64, 128], "starts", first=32, width=140)
    joint = page.link.toggle("all objectives as one", "joint")
    two_stage = page.link.toggle("one epoch first", "stages")

fitted: Fitted | None = None
if not losses:
    note(f"Study {study} has no loss to fit yet.")
else:
    wish = Wish(
        study, metric, at, law, fixed, joint, two_stage, int(starts), int(resamples), chosen_runs
    )
    fitted = cached_fit(page.where, wish)
    if st.button("Fit", type="primary", icon=":material/play_arrow:", disabled=fitted is not None):
        with refusals():
            fitted = fit_now(page.where, wish)


def formulas(fits: list[Fit]) -> None:
    """Show the law, and what it became for each objective, with the interval of each number."""
    st.subheader(LAWS[law].title, anchor=False)
    formula(fits[0].formula)
    for fit in fits:
        st.caption(plain(display_name(str(fit.objective_name)) if fit.objective_name else "all"))
        numbers = with_numbers(fit.formula, fit.params)
        if numbers != fit.formula:
            formula(numbers)
        note(parameters_text(fit.row()))


def formula(text: str) -> None:
    """Show a formula as it is printed, or in the words of a law that has none."""
    printed = latex(text)
    if printed is None:
        st.markdown(plain(text))
    else:
        st.latex(r"\rule{0pt}{2em}" + printed)  # room above: a fraction would be cut there


def show(fitted: Fitted) -> None:
    """Show parameters, notes on them, and figures."""
    fits = fitted.fits
    if law == ALL:
        st.subheader("Tournament: predicting the runs of most compute", anchor=False)
        table(standings(fits))
        notes([*verdicts(fits), *(f"Not fitted: {line}" for line in fitted.missing)])
        return
    formulas(fits)
    st.subheader("Parameters", anchor=False)
    table(parameter_rows(fits))
    for fit in fits:
        notes(summary(fit))
    key = (wish.key(page.where),)
    alike = wish.keywords()

    def chosen(kind: str, fit: Fit | None = None) -> Chosen:
        """The figure as data; of one fit where the law was fitted to several objectives."""
        one = fit is not None and len(fits) > 1
        options = {"objective": str(fit.objective_name)} if one and fit is not None else {}
        return Chosen(study, kind, options, alike)

    if law == "critical_compute":
        return
    if law == "isoflop":
        for number, fit in enumerate(fits):
            draw(
                page.where,
                partial(isoflop_figure, fit),
                "isoflop",
                number,
                *key,
                chosen=chosen("isoflop", fit),
            )
        return
    predicted, errors, likely, lines = st.tabs(
        ["Predicted", "Residuals", "Identifiability", "Contours"]
    )
    with predicted:
        draw(
            page.where,
            lambda: predicted_figure(fits),
            "predicted",
            *key,
            chosen=chosen("predicted"),
        )
    with errors:
        draw(
            page.where,
            lambda: residuals_figure(fits),
            "residuals",
            *key,
            chosen=chosen("residuals"),
        )
    for number, fit in enumerate(fits):
        with likely:
            draw(
                page.where,
                partial(profile_figure, fit),
                "profiles",
                number,
                *key,
                chosen=chosen("profiles", fit),
            )
        with lines:
            draw(
                page.where,
                partial(contour_figure, fit),
                "contours",
                number,
                *key,
                chosen=chosen("contours", fit),
            )


if fitted is not None:
    with refusals():
        show(fitted)
else:
    with refusals():
        section = fits_section(page.where.results, study)
        if section is not None:
            st.subheader("Fits in the store", anchor=False)
            table(section.rows)
            notes(section.text)

st.subheader("Advice", anchor=False)
with controls():
    unique = page.link.slide(
        "Unique tokens", steps(4, 13), "unique", first=1e10, format_func=short, width=420
    )
    compute = page.link.slide(
        "Compute, 6 N D", steps(10, 27), "compute", first=1e21,
        format_func=power_label, width=420,
    )  # fmt: skip
page.link.write()


def advice(by: str, predictors: list[Predictor], source: str) -> None:
    """Show what one pair of laws advises, and why."""
    evidence = cached(page.where, lambda: gather(page.where.results), "evidence")
    answer = cached(
        page.where,
        lambda: advise(predictors, unique, compute, evidence=evidence),
        *("advice", source, unique, compute),
    )
    label = f"Train, by {by}"
    st.metric(label, display_name(str(answer["choice"])), border=True, width=320)
    rows = advice_rows(answer)
    outside = [f"{row['objective']}: {row.pop(OUTSIDE)}" for row in rows if row[OUTSIDE]]
    reasons = [f"{row['objective']}: {row.pop('reason')}." for row in rows]
    table([{key: value for key, value in row.items() if key != OUTSIDE} for row in rows])
    notes(reasons)  # they are sentences, which a table would cut
    notes([*advice_lines(answer), *(f"Outside the fitted range: {line}." for line in outside)])


usable = fitted is not None and isinstance(LAWS.get(law), Law) and not joint
if fitted is not None and usable:
    with refusals():
        advice("this fit", paired_predictors(fitted.fits), wish.key(page.where))
with refusals():
    advice("published laws", published_predictors(), "published laws")
