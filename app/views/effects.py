"""Effects: what each swept key changes with all else equal, and which value of a tuned one is best.

Texts by their denoising steps are here too, where they were measured.
"""

from functools import partial
from typing import Any

import streamlit as st

from workbench.analysis.table_rows import best_value_table_row, effect_table_row
from workbench.analysis.text_quality import text_table_row
from workbench.api.chosen import Chosen
from workbench.api.results import Results
from workbench.figures import best_value_figure, effects_figure, text_quality_figure
from workbench.viewing.cached_store import cached, differing, metrics
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.page_width import controls
from workbench.viewing.selection import where_choice
from workbench.viewing.text import notes, refusals, table

SHOWN = {"effects": "each change, all else equal", "variants": "each configuration"}
AT = {"best": "best value", "last": "last value"}
_USUAL_KEY = "training.lr"

page = begin("Effects", "What each swept key changes, and what that costs.")
with page.choices():
    study = page.study(width=220)
    metric = page.metric(study, width=220)
    show: Any = page.link.choose("Show", list(SHOWN), "show", labels=SHOWN, usual="effects",
                                 width=240)  # fmt: skip
    at: Any = page.link.choose("Of each run", list(AT), "at", labels=AT, usual="best", width=160)
    only = where_choice(page, study)
asked = Results(page.where.results).study(study)
conditions = [str(one) for one in only]

with refusals():
    ask = asked.effects if show == "effects" else asked.variants
    answer = cached(
        page.where, lambda: ask(metric, at, where=conditions),
        "effects", show, study, metric, at, only,
    )  # fmt: skip
    alone = [row for row in answer.document if row["kind"] != "interaction"]
    draw(
        page.where, lambda: effects_figure(alone), "effects", show, study, metric, at, only,
        chosen=Chosen(
            study, "effects", {"metric": metric, "at": at, "show": show, "where": conditions}
        ),
    )  # fmt: skip
    table([effect_table_row(row) for row in alone])
    together = [row for row in answer.document if row["kind"] == "interaction"]
    if together:
        with st.expander("Two changes together, beyond the sum of both"):
            table([effect_table_row(row) for row in together])
    notes(answer.notes)

st.subheader("The best value of a key", anchor=False)
numbers = [
    key
    for key, values in differing(page.where, study).items()
    if sum(isinstance(one, int | float) and not isinstance(one, bool) for one in values) > 1
    and not key.endswith(".seed")
]
if numbers:
    with controls():
        key = page.link.choose(
            "Key", numbers, "key", first=_USUAL_KEY if _USUAL_KEY in numbers else numbers[0],
            width=260,
        )  # fmt: skip
    with refusals():
        best = cached(
            page.where, lambda: asked.best_values(key, metric, at, where=conditions),
            "best values", study, metric, key, at, only,
        )  # fmt: skip
        draw(
            page.where, lambda: best_value_figure(best.document),
            "best values", study, metric, key, at, only,
            chosen=Chosen(
                study, "best_value",
                {"key": key, "metric": metric, "at": at, "where": conditions},
            ),
        )  # fmt: skip
        table([best_value_table_row(row) for row in best.document])
        notes(best.notes)
else:
    notes([f"No key of study {study} has two values that are numbers."])
page.link.write()

if any(name.startswith("text_nll@") for name in metrics(page.where, study)):
    st.subheader("Generated texts", anchor=False)
    with refusals():
        texts = cached(
            page.where, partial(asked.text_quality, where=conditions), "texts", study, only
        )
        draw(
            page.where, lambda: text_quality_figure(texts.document), "texts", study, only,
            chosen=Chosen(study, "text_quality", {"where": conditions}),
        )  # fmt: skip
        table([text_table_row(row) for row in texts.document])
        notes(texts.notes)
