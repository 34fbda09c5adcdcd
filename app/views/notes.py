"""Notes: what people wrote about these results, their views, and reports of figures they chose."""

import shlex
from dataclasses import replace
from typing import Any

import streamlit as st

from workbench.api.chosen import chosen_page
from workbench.figures.figure import file_name
from workbench.report.answers import place_options
from workbench.runs.notes import Note, notes_path, read_notes, remove_note, write_note
from workbench.viewing.links import link_to
from workbench.viewing.notes import REPORT, current_report, editor, may_write, set_report
from workbench.viewing.page import begin, stop
from workbench.viewing.page_width import controls
from workbench.viewing.text import note, plain, refusals

page = begin("Notes", "Named views, notes and tags, and reports of figures that were chosen.")
results, writing = page.where.results, may_write(page.where)
notes: dict[tuple[str, str], Note] = {}
readable = False
with refusals():
    notes = read_notes(results)
    readable = True
if not readable:
    stop("Until that line is mended, no note is written, and nothing of the file is lost.")


def remove(entry: Note) -> None:
    """Draw a button that takes an entry out."""
    key = f"remove {entry.kind} {entry.name}"
    if writing and st.button("Remove", key=key, type="tertiary", icon=":material/delete:"):
        with refusals():
            remove_note(results, entry.kind, entry.name)
            st.rerun()


def move(report: Note, figures: list[dict[str, Any]]) -> None:
    """Write a report's figures in another order, or without one."""
    with refusals():
        write_note(results, replace(report, figures=tuple(figures)), seen=report)
        st.rerun()


def options_text(options: dict[str, Any]) -> str:
    """The options of a figure in a line, without what is not chosen."""
    return "; ".join(
        f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in options.items()
        if value not in (None, [], "")
    )


def figure(report: Note, place: int) -> None:
    """Show one figure of a report, with its text and its place in the order."""
    figures = [dict(one) for one in report.figures]
    one = figures[place]
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**{place + 1}. {plain(one.get('study'))}: {plain(one.get('figure'))}**")
        note(options_text(one.get("options", {})) or "as it is drawn at first")
        if not writing:
            note(str(one.get("text", "")))
            return
        key = f"{report.name} {place} {report.changed}"
        text = st.text_area("Your text", one.get("text", ""), key=f"text {key}", height=80)
        if text != one.get("text", ""):
            figures[place] = one | {"text": text}
            move(report, figures)
        with st.container(horizontal=True, gap="small"):
            up = st.button("Up", key=f"up {key}", type="tertiary", disabled=place == 0)
            last = place == len(figures) - 1
            down = st.button("Down", key=f"down {key}", type="tertiary", disabled=last)
            if up or down:
                figures.insert(place + (1 if down else -1), figures.pop(place))
                move(report, figures)
            if st.button("Remove", key=f"out {key}", type="tertiary"):
                move(report, figures[:place] + figures[place + 1 :])


st.subheader("Report", anchor=False)
reports = [name for kind, name in notes if kind == "report"]
with controls():
    name = page.link.choose(
        "Report", reports or [REPORT], "report", first=current_report(), width=240
    )
    if writing:
        with st.popover("New report", icon=":material/add:"), st.form("new", border=False):
            wanted = st.text_input("Its name")
            if st.form_submit_button("Begin") and wanted.strip():
                with refusals():
                    write_note(results, Note("report", wanted.strip()), seen=None)
                    page.link.set("report", wanted.strip())
                    st.rerun()
set_report(name)
report = notes.get(("report", name))
if report is None:
    note("No figure was chosen yet: every figure has a button Add to report beside its downloads.")
else:
    editor(page.where, "report", name)
    for place in range(len(report.figures)):
        figure(report, place)
    command = ["workbench", "report", "--chosen", name, *place_options(results)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.download_button(
            "Download as one HTML file",
            data=lambda: chosen_page(results, name),
            file_name=f"{file_name(name)}.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
            disabled=not report.figures,
        )
        remove(report)
    st.code(shlex.join(command), language="bash", wrap_lines=True)
page.link.write()

st.subheader("Views", anchor=False)
views = [entry for (kind, _), entry in notes.items() if kind == "view"]
for view in views:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        link_to(view.name, view.address, icon=":material/bookmark:")
        editor(page.where, "view", view.name)
        remove(view)
if not views:
    note("No view has a name yet: open the bar at the left of any page to name what it shows.")

st.subheader("Notes on studies and runs", anchor=False)
about = [entry for (kind, _), entry in notes.items() if kind in ("study", "run")]
tags = sorted({tag for entry in about for tag in entry.tags})
picked = st.pills("Tags", tags, selection_mode="multi") if tags else []
for entry in about:
    if set(picked) <= set(entry.tags):
        with st.container(border=True, gap="xsmall"):
            chosen = f"study={entry.name}" if entry.kind == "study" else f"run={entry.name}"
            link_to(f"{entry.kind} {entry.name}", f"runs?{chosen}")
            editor(page.where, entry.kind, entry.name)
if not about:
    note("Nothing was written yet: studies have a button Note on the first page, runs on theirs.")
note(f"All of it is in {notes_path(results)}, a line each.")
