"""SQL: one question at a time, read-only, in a process of its own."""

import io

import streamlit as st

from workbench.figures.any_table import quick_figure, spans_decades
from workbench.figures.theme import csv_frame
from workbench.store import schema_rows
from workbench.store.query_process import ROWS, TIME_S, query_in_subprocess
from workbench.viewing.cached_store import cached
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.page_width import controls
from workbench.viewing.text import note, refusals, table

SHOWN = 5_000
EXAMPLES = {
    "Best of every run": """SELECT objective, unique_tokens, seed, value, epoch
FROM best WHERE metric = 'val_loss'
ORDER BY objective, unique_tokens, seed""",
    "Curves to plot": """SELECT tokens, value, objective, unique_tokens
FROM curves WHERE metric = 'val_loss' AND unique_tokens < 1e9
ORDER BY run_id, tokens""",
    "Crossovers stored": """SELECT study, metric, axis, unique_tokens, status, crossover, last_x
FROM crossovers ORDER BY ALL""",
    "Runs by state": """SELECT study, state, count(*) AS runs
FROM study_runs JOIN runs USING (run_id) GROUP BY ALL ORDER BY ALL""",
    "A key of the configuration": """SELECT run_id, config->>'$.training.lr' AS lr, value
FROM runs JOIN final USING (run_id) WHERE metric = 'val_loss'""",
    "What was measured": """SELECT metric, count(*) AS records, any_value(estimator) AS estimator
FROM metrics GROUP BY metric ORDER BY metric""",
}

page = begin(
    "SQL",
    f"One SELECT, read-only, of at most {TIME_S:.0f} s and {ROWS:,} rows; no files, no network.",
    live=False,
    restricted=False,
)
editor, schema = st.columns([3, 2], gap="medium")
with editor:
    first = EXAMPLES["Best of every run"]
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.caption("Examples:", width="content")
        for name, example in EXAMPLES.items():
            if st.button(name, type="tertiary"):
                page.link.set("q", example)
    sql = page.link.text("Question", "q", first=first, area=True, height=210)
    st.caption("Ctrl+Enter asks. `curves`, `final` and `best` are views of `metrics` and `runs`.")
with schema:
    tables = list(dict.fromkeys(row["table"] for row in schema_rows()))
    shown = page.link.choose("Columns of", tables, "table", first="runs", usual="runs")
    of_table = [
        {k: v for k, v in row.items() if k != "table"}
        for row in schema_rows()
        if row["table"] == shown
    ]
    table(of_table, height=250)

frame = None
with refusals(), st.spinner("asking"):
    frame = cached(page.where, lambda: query_in_subprocess(page.where.results, sql), "asked", sql)
if frame is None:
    page.link.write()
    st.stop()
answer = frame

st.dataframe(frame.head(SHOWN), hide_index=True, placeholder="")
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    cut = f", of which {SHOWN:,} are shown" if frame.height > SHOWN else ""
    full = " (no more are answered)" if frame.height == ROWS else ""
    st.caption(f"{frame.height:,} rows{cut}{full}.", width="content")
    for kind, mime in (("CSV", "text/csv"), ("Parquet", "application/vnd.apache.parquet")):

        def file(kind: str = kind) -> bytes:
            buffer = io.BytesIO()
            if kind == "CSV":
                csv_frame(answer).write_csv(buffer)
            else:
                answer.write_parquet(buffer)
            return buffer.getvalue()

        st.download_button(
            kind, data=file, file_name=f"answer.{kind.lower()}", mime=mime, type="tertiary",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip

numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
if numbers and frame.height:
    st.subheader("Quick chart", anchor=False)
    names = frame.columns
    with controls():
        x = page.link.choose("Across", names, "x", first=numbers[0], width=200)
        y = page.link.choose(
            "Upwards", numbers, "y", first="value" if "value" in numbers else numbers[-1], width=200
        )
        few = [n for n in names if frame[n].n_unique() <= 12 and n not in (x, y)]
        usual = "objective" if "objective" in few else "none"
        colour = page.link.choose("Colour", ["none", *few], "colour", first=usual, width=200)
        lines = page.link.toggle("lines", "lines")
        log_x = page.link.toggle("log x", "logx", first=spans_decades(frame[x]))
        log_y = page.link.toggle("log y", "logy")
    draw(
        page.where,
        lambda: quick_figure(
            answer, x, y, None if colour == "none" else colour,
            lines=lines, log_x=log_x, log_y=log_y,
        ),
        "quick", sql, x, y, colour, lines, log_x, log_y,
    )  # fmt: skip
else:
    note("Nothing to draw: the answer has no numbers.")
page.link.write()
