"""Crossover: where the challenger overtakes for good, how sure that is, and how it moves."""

from typing import Any

import streamlit as st

from workbench.analysis.bounds import bound_note
from workbench.analysis.crossover import crossovers, table_row
from workbench.analysis.effective_data import effective_data
from workbench.analysis.interval_notes import definition_notes, notes_of
from workbench.analysis.table_rows import effective_table_row, trend_table_row
from workbench.analysis.trends import crossover_trends
from workbench.api.chosen import Chosen
from workbench.figures import crossover_figure, crossover_trend_figure, effective_data_figure
from workbench.viewing.cached_store import cached, loader
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.page_width import controls, is_narrow
from workbench.viewing.text import notes, refusals, table

DEFINITIONS = {
    "usual": "band, or point by point for imported curves",
    "band": "band: the smoothed lead and its uncertainty",
    "point": "point by point",
    "best_so_far": "the best so far, as if AR were stopped in time",
}
OVER = {
    "seeds+documents": "seeds and documents",
    "seeds": "seeds alone",
    "documents": "documents alone",
}
PANELS = 12

page = begin(
    "Crossover", "From a crossover on, to the last point compared, the challenger is better."
)
results = page.where.results
with page.choices():
    study = page.study(width=220)
    metric = page.metric(study, width=220)
    axis = page.axis(width=220)
    definition = page.link.choose(
        "What a crossover is",
        list(DEFINITIONS),
        "definition",
        labels=DEFINITIONS,
        usual="usual",
        width=330,
    )
    over = page.link.choose(
        "Intervals over", list(OVER), "over", labels=OVER, usual="seeds+documents", width=200
    )

asked = {
    "metric": metric, "axis": axis, "definition": None if definition == "usual" else definition,
    "over": over,
}  # fmt: skip
rows: list[dict[str, Any]] = []
with refusals():
    rows = cached(
        page.where,
        lambda: crossovers(
            results, study, metric, axis,
            definition=None if definition == "usual" else definition,  # type: ignore[arg-type]
            over=over,  # type: ignore[arg-type]
            load=loader(page.where),
        ),
        "crossovers", study, metric, axis, definition, over,
    )  # fmt: skip
if not rows:  # refused, with the reason
    page.link.write()
    st.stop()

# A phone has no room for the table above the figure.
first, second = st.container(), st.container()
answer, figures = (second, first) if is_narrow() else (first, second)
with answer:
    table([table_row(row) for row in rows])
    bound = bound_note(rows)
    notes([*definition_notes(rows), *notes_of(rows), bound and f"Note: {bound}"])

part = 0
if len(rows) > PANELS:
    last = -(-len(rows) // PANELS)
    with figures, controls():
        part = page.link.number("Page of figures", 1, last, "part", first=1, width=160) - 1
page_rows = rows[part * PANELS : (part + 1) * PANELS]
with figures:
    draw(
        page.where,
        lambda: crossover_figure(results, study, metric, axis, page_rows, loader(page.where)),
        "crossover", study, metric, axis, definition, over, part,
        chosen=Chosen(study, "crossover", asked) if len(rows) <= PANELS else None,
    )  # fmt: skip

varying = [
    key
    for key in dict.fromkeys(key for row in rows for key in row["group"])
    if len({str(row["group"].get(key)) for row in rows}) > 1
]
if varying:
    st.subheader("How it moves", anchor=False)
    with controls():
        against = page.link.choose("Along", varying, "against", width=260)
    with refusals():
        trends = crossover_trends(rows, against)
        table([trend_table_row(row) for row in trends])
        draw(
            page.where,
            lambda: crossover_trend_figure(rows, trends),
            "trend", study, metric, axis, definition, over, against,
            chosen=Chosen(study, "crossover_trend", asked | {"against": against}),
        )  # fmt: skip
page.link.write()

if "unique_tokens" in varying:
    st.subheader("What unique tokens are worth", anchor=False)
    with refusals():
        worth = cached(
            page.where,
            lambda: effective_data(results, study, metric, over=over),  # type: ignore[arg-type]
            "worth", study, metric, over,
        )  # fmt: skip
        table([effective_table_row(row) for row in worth])
        notes([*notes_of(worth), *(row["note"] and f"{row['note']}." for row in worth)])
        draw(
            page.where, lambda: effective_data_figure(worth), "effective", study, metric, over,
            chosen=Chosen(study, "effective_data", {"metric": metric, "over": over}),
        )  # fmt: skip
