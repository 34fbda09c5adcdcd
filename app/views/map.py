"""Map: crossovers, differences or winners over size and unique tokens."""

from typing import Any, cast

import streamlit as st

from workbench.analysis.bounds import bound_note
from workbench.analysis.crossover import crossovers, table_row
from workbench.analysis.difference import difference_table_row, differences
from workbench.analysis.interval_notes import definition_notes, notes_of
from workbench.api.chosen import Chosen
from workbench.figures import map_figure
from workbench.figures.maps import EPOCHS
from workbench.viewing.cached_store import cached
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.selection import where_choice
from workbench.viewing.text import notes, refusals, table

SHOWN = {
    "crossover": "where the challenger overtakes",
    "difference": "the difference of both",
    "winner": "who is ahead",
}
AT = {"last": "last value", "best": "best value"}
USUAL = "usual"
_CELLS = ("unique_tokens", "n_params")

page = begin("Map", "Size against unique tokens: what was measured, and nothing in between.")
results = page.where.results
with page.choices():
    study = page.study(width=220)
    metric = page.metric(study, width=220)
    show = page.link.choose("Show", list(SHOWN), "show", labels=SHOWN, usual="crossover", width=240)
    axis = page.axis(width=180) if show == "crossover" else "tokens"
    at = "last"
    if show != "crossover":
        at = page.link.choose("Of each run", list(AT), "at", labels=AT, usual="last", width=160)
    only = where_choice(page, study)

rows: list[dict[str, Any]] = []
with refusals():
    if show == "crossover":
        rows = cached(
            page.where,
            lambda: crossovers(results, study, metric, axis, where=only),
            "crossovers of a map", study, metric, axis, only,
        )  # fmt: skip
    else:
        rows = cached(
            page.where,
            lambda: differences(results, study, metric, at, where=only),
            "differences of a map", study, metric, at, only,
        )  # fmt: skip
if not rows:
    page.link.write()
    st.stop()

keys = list(dict.fromkeys(key for row in rows for key in row["group"] if key not in _CELLS))
with page.choices():
    facet = page.link.choose(
        "A panel for each", [USUAL, *keys, EPOCHS], "facet", usual=USUAL, width=260,
        labels={USUAL: "what differs within a cell", EPOCHS: "epochs compared"},
    )  # fmt: skip
page.link.write()
draw(
    page.where,
    lambda: map_figure(rows, cast("Any", show), facet=None if facet == USUAL else facet),
    "map", study, metric, show, axis, at, facet, only,
    chosen=Chosen(study, "map", {
        "show": show, "metric": metric, "axis": axis, "at": at,
        "facet": None if facet == USUAL else facet, "where": [str(one) for one in only],
    }),
)  # fmt: skip
if show == "crossover":
    table([table_row(row) for row in rows])
    notes(definition_notes(rows))
else:
    table([difference_table_row(row) for row in rows])
bound = bound_note(rows) if show == "crossover" else bound_note(rows, "value")
notes([*notes_of(rows), bound and f"Note: {bound}"])
