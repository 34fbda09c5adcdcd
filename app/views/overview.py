"""Overview: the studies, the runs that train now, the failed ones, and the newest curves."""

import streamlit as st

from workbench.figures import curves_figure
from workbench.figures.theme import short
from workbench.viewing.cached_store import metrics, spent
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.selection import controls
from workbench.viewing.text import note, plain, refusals, table
from workbench.viewing.unfinished_runs import ended_early, log_lines, unfinished

SHARE = {"done": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)}

page = begin("Overview", "Studies, what runs now, what it has cost.")
rows = spent(page.where)


@st.fragment(run_every=2)
def going_on() -> None:
    """Show the runs that train now, from their folders."""
    with refusals():
        now = [row for row in unfinished(page.where) if row["state"] == "running"]
        if not now:
            return
        st.subheader("Training now", anchor=False)
        progress_rows = [
            {k: v for k, v in row.items() if k not in ("error", "state")} for row in now
        ]
        table(
            progress_rows,
            column_config={
                "progress": st.column_config.ProgressColumn(
                    format="percent", min_value=0, max_value=1
                )
            },
        )


def failures() -> None:
    """Show the runs that ended early, with the last lines of their logs."""
    with refusals():
        ended = [row for row in ended_early(unfinished(page.where)) if row["state"] != "cancelled"]
        if not ended:
            return
        st.subheader("Not finished", anchor=False)
        st.caption(
            "`workbench run` goes on with what was interrupted; `workbench retry` tries the rest."
        )
        for row in ended[:20]:
            title = f"{row['run']} · {row['study']} · {row['state']} at step {row['step']:,}"
            with st.expander(plain(title)):
                st.text(row["error"] or "No error was recorded: its process ended.")
                st.code(log_lines(page.where, row["run"]) or "(its log is empty)", language=None)
        if len(ended) > 20:
            note(f"and {len(ended) - 20} more: see the page Runs.")


with st.container(horizontal=True, gap="medium"):
    for label, value in (
        ("Studies", str(len(rows))),
        ("Runs", f"{sum(row['runs'] for row in rows):,}"),
        ("Finished", f"{sum(row['finished'] for row in rows):,}"),
        ("Failed", f"{sum(row['failed'] for row in rows):,}"),
        ("Training tokens", short(sum(row["tokens"] or 0 for row in rows))),
        ("Training FLOPs", f"{sum(row['training FLOPs'] or 0 for row in rows):.3g}"),
    ):
        st.metric(label, value, border=True, width=170)

going_on()
st.subheader("Studies", anchor=False)
table(rows, column_config=SHARE)
if any(row["training FLOPs"] is None for row in rows):
    note("Imported runs without FLOPs are not counted in them.")

with controls():
    study = page.study(width=220)
    if metrics(page.where, study):
        metric = page.metric(study, width=220)
        axis = page.axis(width=220)
page.link.write()
if metrics(page.where, study):
    draw(
        page.where,
        lambda: curves_figure(page.where.results, study, [metric], axis),
        "curves", study, [metric], axis,
    )  # fmt: skip
else:
    note(f"Study {study} has no numbers yet.")
failures()
