"""Curves: any metrics along any axis, with colours, dashes and panels for any key."""

from functools import partial
from typing import Any, cast

from workbench.api.chosen import Chosen
from workbench.figures import curves_figure, paper_arrangement_figure, put_together_figure
from workbench.figures.learning_curves import Look
from workbench.figures.points import SPARSE, longest_place
from workbench.figures.theme import place_of, place_text
from workbench.viewing.cached_store import differing, loader, metrics
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.selection import key_choice, where_choice
from workbench.viewing.text import refusals

VIEWS = {
    "panels": "a panel a metric",
    "paper": "the paper's rows, published curves behind",
    "together": "all budgets together, a panel an objective",
}
BANDS = {"range": "least to greatest", "t95": "95 % t interval", "none": "none"}
SHARES = ("0.01", "0.02", "0.05", "0.1", "0.2")
AUTOMATIC, NO_PANELS = "automatic", "none"

page = begin("Curves", "Any metrics along any axis. Seeds of one configuration are drawn together.")
with page.choices():
    study = page.study(width=220)
    known = metrics(page.where, study)
    if not known:
        page.stop(f"Study {study} has no numbers yet.")
    chosen = page.link.choose_many("Metrics", known, "metric", first=known[:1], width=340)
    axis = page.axis(width=210)
    view = page.link.choose(
        "Arranged as", list(VIEWS), "view", labels=VIEWS, usual="panels", width=320
    )
if not chosen:
    page.link.write()
    page.stop("Choose a metric.")

results = page.where.results
if view == "panels":
    keys = list(differing(page.where, study))
    with page.choices():
        colour = key_choice(page, "Colour", study, "colour", none=AUTOMATIC, width=220)
        dash = key_choice(page, "Dash", study, "dash", none=AUTOMATIC, width=220)
        facet = page.link.choose(
            "A panel for each", [AUTOMATIC, NO_PANELS, *keys], "facet",
            labels={NO_PANELS: "metric"}, usual=AUTOMATIC, width=220,
        )  # fmt: skip
        only = where_choice(page, study)
    windows: dict[str, float] = {"0": 0.0}
    with refusals():
        longest = longest_place(loader(page.where)(results, study, chosen[0]), axis)
        windows |= {share: float(f"{float(share) * longest:.2g}") for share in SHARES}
    with page.choices():
        smooth = page.link.choose(
            "Smoothing", list(windows), "smooth", usual="0", width=220,
            labels={
                share: f"over {place_text(window, axis)}" if window else "none"
                for share, window in windows.items()
            },
            help=f"The mean over a window around each place, of curves of {SPARSE} points or more.",
        )  # fmt: skip
        band = page.link.choose(
            "Band over seeds", list(BANDS), "band", labels=BANDS, usual="range", width=220
        )
        limits = [
            page.link.text(label, name, placeholder="all", width=110)
            for label, name in (("x from", "from"), ("x to", "to"))
        ]
        log_x = page.link.toggle("log x", "logx", first=True)
        log_y = page.link.toggle("log y", "logy")
        single = page.link.toggle(
            "every curve", "single", help="In place of the median of more than 20 in a panel"
        )
    page.link.write()
    with refusals():
        x_from, x_to = map(place_of, limits)
        options: dict[str, Any] = {
            "metric": chosen, "axis": axis, "facet": None if facet == AUTOMATIC else facet,
            "dash": dash, "colour": colour, "smoothing": windows[smooth], "band": band,
            "where": [str(one) for one in only], "log_x": log_x, "log_y": log_y,
            "x_from": x_from, "x_to": x_to, "single": single,
        }  # fmt: skip
        draw(
            page.where,
            lambda: curves_figure(
                results, study, chosen, axis, facet=None if facet == AUTOMATIC else facet,
                dash=dash, colour=colour, smoothing=windows[smooth], band=cast("Any", band),
                where=only, look=Look(log_x, log_y, x_from, x_to), single=single,
                load=loader(page.where),
            ),
            "curves", study, chosen, axis, facet, dash, colour, smooth, band, only, limits, log_x,
            log_y, single,
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
    shade = key_choice(page, "Shade by", study, "shade", none="what differs most", width=220)
    page.link.write()
    for metric in chosen:
        draw(
            page.where,
            partial(put_together_figure, results, study, metric, axis, shade),
            "together", study, metric, axis, shade,
            chosen=Chosen(study, "put_together", {"metric": metric, "axis": axis, "shade": shade}),
        )  # fmt: skip
