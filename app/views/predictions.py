"""Predictions: a law beside the runs that it was not fitted to, and forecasts beside what came
true."""

import json

import streamlit as st

from workbench.analysis.forecast_scores import calibration, calibration_text, score_forecasts
from workbench.api.chosen import Chosen
from workbench.figures import forecasts_figure, law_compute_figure
from workbench.laws.backtest import ALONG
from workbench.laws.held_out_fit import NOTHING, fit_held_out
from workbench.laws.law import Law
from workbench.laws.registry import LAWS
from workbench.metrics import higher_is_better
from workbench.viewing.cached_store import cached, metrics
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.selection import where_choice
from workbench.viewing.text import note, notes, refusals

AT = {"last": "last value", "best": "best value"}
HELD_OUT = {
    "compute": "the runs of most compute", "size": "the largest runs",
    "unique_tokens": "the runs of most unique tokens", "epochs": "the runs of most epochs",
    NOTHING: "none",
}  # fmt: skip
_ASKED = "laws fitted on this page"

page = begin(
    "Predictions", "What laws and forecasts said of runs, and what these came to.", live=False
)
results = page.where.results
usable = {
    name: law.title
    for name, law in LAWS.usable().items()
    if isinstance(law, Law) and law.reads_runs
}
with page.choices():
    study = page.study(width=220)
    losses = [name for name in metrics(page.where, study) if not higher_is_better(name)]
if not losses:
    note(f"Study {study} has no loss to fit yet.")
else:
    with page.choices():
        metric = page.link.choose("Metric", losses, "metric", width=180)
        law = page.link.choose(
            "Law", list(usable), "law", first="data_constrained", labels=usable, width=360
        )
        at = page.link.choose("Of each run", list(AT), "at", labels=AT, usual="last", width=160)
        along = page.link.choose(
            "Held out", [*ALONG, NOTHING], "along", first="compute", labels=HELD_OUT,
            usual="compute", width=240,
        )  # fmt: skip
        only = where_choice(page, study)
    st.subheader("A law against compute", anchor=False)
    wish = json.dumps([study, metric, law, at, along, only], default=str)
    asked = st.session_state.setdefault(_ASKED, set())
    if st.button("Fit", type="primary", icon=":material/play_arrow:", disabled=wish in asked):
        asked.add(wish)
    if wish in asked:
        with refusals(), st.spinner("Fitting"):
            fits = cached(
                page.where,
                lambda: fit_held_out(
                    [study], results, law, along=along, metric=metric, at=at, where=only
                ),
                "held out", wish,
            )  # fmt: skip
            options = {
                "law": law, "along": along, "metric": metric, "at": at,
                "where": [str(one) for one in only],
            }  # fmt: skip
            draw(
                page.where, lambda: law_compute_figure(fits), "law against compute", wish,
                chosen=Chosen(study, "law_compute", options),
            )  # fmt: skip
page.link.write()

st.subheader("Forecasts", anchor=False)
with refusals():
    scores = cached(page.where, lambda: score_forecasts(results, study), "forecasts", study)
    draw(
        page.where, lambda: forecasts_figure(scores.rows, scores.left_out), "forecasts", study,
        chosen=Chosen(study, "forecasts"),
    )  # fmt: skip
    notes([calibration_text(row) for row in calibration(scores.rows)])
