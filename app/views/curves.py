"""Curves: any metrics along any axis, with colours, dashes and panels for any key."""

from functools import partial
from typing import Any, cast

from workbench.api.chosen import Chosen
from workbench.figures import curves_figure, paper_arrangement_figure, put_together_figure
from workbench.figures.learning_curves import Look
from workbench.viewing.cached_store import loader, metrics
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin, stop
from workbench.viewing.selection import controls, key_choice, where_choice

VIEWS = {
    "panels": "a panel a metric",
    "paper": "the paper's rows, published curves behind",
    "together": "all budgets together, a panel an objective",
}
BANDS = {"range": "least to greatest", "t95": "95 % t interval", "none": "none"}
SMOOTHING = {
    "0": "none", "0.5": "moving average, 0.5", "0.8": "moving average, 0.8",
    "0.9": "moving average, 0.9", "0.97": "moving average, 0.97", "spline": "smoothing spline",
}  # fmt: skip

page = begin("Curves", "Any metrics along any axis. Seeds of one configuration are drawn together.")
with controls():
    study = page.study(width=220)
    known = metrics(page.where, study)
    if not known:
        stop(f"Study {study} has no numbers yet.")
    chosen = page.link.choose_many("Metrics", known, "metric", first=known[:1], width=340)
    axis = page.axis(width=210)
    view = page.link.choose(
        "Arranged as", list(VIEWS), "view", labels=VIEWS, usual="panels", width=320
    )
if not chosen:
    page.link.write()
    stop("Choose a metric.")

results = page.where.results
if view == "panels":
    with controls():
        colour = key_choice(page, "Colour", study, "colour", none="objective", width=220)
        dash = key_choice(page, "Dash", study, "dash", none="all that differs", width=220)
        facet = key_choice(page, "A panel for each", study, "facet", none="metric", width=220)
        only = where_choice(page, study)
    with controls():
        smooth = page.link.choose(
            "Smoothing", list(SMOOTHING), "smooth", labels=SMOOTHING, usual="0", width=220
        )
        band = page.link.choose(
            "Band over seeds", list(BANDS), "band", labels=BANDS, usual="range", width=220
        )
        log_x = page.link.toggle("log x", "logx", first=True)
        log_y = page.link.toggle("log y", "logy")
    look = Look(log_x=log_x, log_y=log_y)
    page.link.write()
    options = {
        "metric": chosen, "axis": axis, "facet": facet, "dash": dash, "colour": colour,
        "smoothing": smooth if smooth == "spline" else float(smooth), "band": band,
        "where": [str(one) for one in only], "log_x": log_x, "log_y": log_y,
    }  # fmt: skip
    smoothing: Any = smooth if smooth == "spline" else float(smooth)
    draw(
        page.where,
        lambda: curves_figure(
            results, study, chosen, axis, facet=facet, dash=dash, colour=colour,
            smoothing=smoothing, band=cast("Any", band), where=only, look=look,
            load=loader(page.where),
        ),
        "curves", study, chosen, axis, facet, dash, colour, smooth, band, only, look,
        chosen=Chosen(study, "curves", options),
    )  # fmt: skip
elif view == "paper":
    page.link.write()
    draw(
        page.where,
        lambda: paper_arrangement_figure(results, study, chosen, axis),
        "paper", study, chosen, axis,
        chosen=Chosen(study, "paper_arrangement", {"metric": chosen, "axis": axis}),
    )  # fmt: skip
else:
    shade = key_choice(page, "Shade by", study, "shade", none="what differs first", width=220)
    page.link.write()
    for metric in chosen:
        draw(
            page.where,
            partial(put_together_figure, results, study, metric, axis, shade),
            "together", study, metric, axis, shade,
            chosen=Chosen(study, "put_together", {"metric": metric, "axis": axis, "shade": shade}),
        )  # fmt: skip
