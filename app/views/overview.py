"""Overview: what went wrong, what trains now, what each study has found, and the newest curves."""

import shlex
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from workbench.api.chosen import Chosen
from workbench.figures import curves_figure
from workbench.figures.theme import short
from workbench.messages import duration, power_label
from workbench.report.answers import StudyAnswer, newest_first, place_options
from workbench.running.status import status_rows, summaries
from workbench.viewing.cached_store import cached, metrics, spent
from workbench.viewing.drawing import draw
from workbench.viewing.links import full_link, link_to
from workbench.viewing.notes import editor
from workbench.viewing.page import begin
from workbench.viewing.page_width import controls
from workbench.viewing.study_answers import answers_of, awaited, work_out
from workbench.viewing.text import note, notes, plain, refusals, table
from workbench.viewing.unfinished_runs import ended_early, log_lines, unfinished

SHARE = {"done": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)}
PROGRESS = {"progress": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)}
GOING = ("running", "planned", "submitted")
FIRST, FAILURES = 6, 3
# Where a study's further questions are answered.
LINKS = (
    ("Best runs", "runs", "list_alt"),
    ("What differs", "keys", "scatter_plot"),
    ("A larger run", "predictions", "query_stats"),
)

page = begin("Overview", "What each study has found, what runs now, what it has cost.")
rows = spent(page.where)


def failures() -> None:
    """Show the runs that ended early: why, the end of their logs, and what goes on with them."""
    ended = [row for row in ended_early(unfinished(page.where)) if row["state"] != "cancelled"]
    for study in dict.fromkeys(row["study"] for row in ended):
        own = [row for row in ended if row["study"] == study]
        states = dict.fromkeys(row["state"] for row in own)
        counts = ", ".join(f"{sum(r['state'] == s for r in own)} {s}" for s in states)
        with st.container(border=True, gap="xsmall"):
            st.markdown(f":material/error: **{plain(study)}: {plain(counts)}.** To go on:")
            goes_on = ["workbench", "retry", study, *place_options(page.where.results)]
            st.code(shlex.join(goes_on), language="bash", wrap_lines=True)
            for row in own[:FAILURES]:
                lines = log_lines(page.where, row["run"])
                last = row["error"] or lines.rpartition("\n")[2] or "its process ended"
                title = f"{row['run']} · {row['state']} at step {row['step']:,} · {last}"
                with st.expander(plain(title)):
                    st.text(row["error"] or "No error was recorded: its process ended.")
                    st.code(lines or "(its log is empty)", language=None, wrap_lines=True)
            if len(own) > FAILURES:
                note(f"and {len(own) - FAILURES} more: see the page Runs.")


@st.fragment(run_every=2)
def going_on() -> None:
    """Show what trains now and what waits, as `workbench status` does, from the run folders."""
    with refusals():
        going = {row["study"] for row in unfinished(page.where) if row["state"] in GOING}
        if not going:
            return
        now = status_rows(page.where.results, *sorted(going))
        running = [row for row in now if row["state"] == "running"]
        st.subheader("Training now" if running else "Waiting to train", anchor=False)
        notes(summaries(now))
        if running:
            table([_live(row) for row in running], column_config=PROGRESS)


def _live(row: dict[str, Any]) -> dict[str, Any]:
    left = row["seconds_left"]
    return {
        "study": row["study"],
        "run": row["run_id"],
        "objective": row["objective"],
        "seed": row["seed"],
        "progress": row["progress"],
        "step": row["step"],
        "of": row["steps"],
        "tokens a second": row["tokens_per_second"],
        "to go": None if left is None else duration(left),
        **{name: row[name] for name in ("job", "node") if row.get(name)},
    }


def answers(studies: Sequence[str]) -> Callable[[], None]:
    """What shows the studies' answers, and looks again until all are there."""
    waiting = bool(awaited(page.where, studies))

    @st.fragment(run_every=1.0 if waiting else None)
    def show() -> None:
        for study, (found, current) in answers_of(page.where, studies).items():
            answer(study, found, current)
        if waiting and not awaited(page.where, studies):
            st.rerun()

    return show


def answer(study: str, found: StudyAnswer | str | None, current: bool) -> None:
    """Show one study's answer, with what it rests on and what gives the same."""
    with st.container(border=True, gap="xsmall"):
        if not isinstance(found, StudyAnswer):
            text = found or "Its answer is being worked out."
            st.markdown(f"**{plain(study)}** · {plain(text)}")
            return
        st.markdown(f"**{plain(study)}** · {plain(found.sentence)}")
        again = () if current else ("New numbers have come since.",)
        st.caption(plain(" ".join((*found.caveats, *again))))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            link_to("See the figure", found.page, icon=":material/swap_calls:")
            chosen = found.page.partition("?")[2]
            for label, name, icon in LINKS:
                link_to(label, f"{name}?{chosen}", icon=f":material/{icon}:")
            with st.popover("Copy", type="tertiary", icon=":material/content_copy:"):
                st.caption("With the link to the page, and the command that says the same:")
                copied = found.text(full_link(found.page), found.command)
                st.code(copied, language=None, wrap_lines=True)
            editor(page.where, "study", study)


with refusals():
    failures()
going_on()

newest = cached(page.where, lambda: newest_first(page.where.results), "newest first")
st.subheader("What was found", anchor=False)
every = len(newest) > FIRST and page.link.toggle(f"all {len(newest)} studies", "all")
shown = newest if every else newest[:FIRST]
answers(shown)()

st.subheader("Studies", anchor=False)
with st.container(horizontal=True, gap="small"):
    for label, value in (
        ("Studies", str(len(rows))),
        ("Runs", f"{sum(row['runs'] for row in rows):,}"),
        ("Finished", f"{sum(row['finished'] for row in rows):,}"),
        ("Failed", f"{sum(row['failed'] for row in rows):,}"),
        ("Training tokens", short(sum(row["tokens"] or 0 for row in rows))),
        ("Training FLOPs", power_label(sum(row["training FLOPs"] or 0 for row in rows))),
    ):
        st.metric(label, value, border=True, width=170)
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
        chosen=Chosen(study, "curves", {"metric": [metric], "axis": axis}),
    )  # fmt: skip
else:
    note(f"Study {study} has no numbers yet.")
sizes = {str(row["study"]): row["runs"] for row in rows}
# Last, so that what is drawn does not wait for it; small studies first, whose answers come at once.
work_out(page.where, sorted(shown, key=lambda name: sizes.get(name, 0)))
