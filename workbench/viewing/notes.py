"""Notes, tags, views and chosen figures: what the app writes, and where it may.

All of it goes into one file of the results folder (`runs.notes`); the store is never written.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from workbench.api.chosen import Chosen
from workbench.errors import WorkbenchError
from workbench.runs.notes import Note, read_notes, remove_note, write_note
from workbench.store.parquet.layout import is_dataset
from workbench.viewing.cached_store import Source
from workbench.viewing.links import link_to, this_address
from workbench.viewing.text import note, plain, refusals

READ_ONLY = "WORKBENCH_READ_ONLY"
REPORT = "report"
"""What a report is called at first."""
_REPORT_KEY = "report that figures are added to"


def may_write(where: Source) -> bool:
    """Whether notes can be written here: on a folder of one's own, unless the app is read-only."""
    if where.shipped or os.environ.get(READ_ONLY) or is_dataset(where.results):
        return False
    return os.access(where.results, os.W_OK)


def known_notes(where: Source) -> Mapping[tuple[str, str], Note]:
    """The notes; none where they are damaged, which the page Notes describes."""
    try:
        return read_notes(where.results)
    except WorkbenchError:
        return {}


def current_report() -> str:
    """The name of the report that figures are added to."""
    return str(st.session_state.get(_REPORT_KEY, REPORT))


def set_report(name: str) -> None:
    st.session_state[_REPORT_KEY] = name


def sidebar(where: Source) -> None:
    """Draw the named views, and what gives the page's present view a name, beside the page."""
    notes = known_notes(where)
    views = [one for (kind, _), one in notes.items() if kind == "view"]
    writing = may_write(where)
    if not (views or writing):
        return
    with st.sidebar:
        st.subheader("Views", anchor=False)
        for view in views:
            link_to(view.name, view.address, icon=":material/bookmark:")
        if not views:
            note("No view has a name yet.")
        if writing:
            with st.form("name this view", clear_on_submit=True, border=False):
                name = st.text_input("Name this view", placeholder="Crossover of the small models")
                if st.form_submit_button("Save", icon=":material/bookmark_add:"):
                    _save_view(where, name.strip(), notes)


def _save_view(where: Source, name: str, notes: Mapping[tuple[str, str], Note]) -> None:
    seen = notes.get(("view", name))
    view = replace(seen or Note("view", name), address=this_address())
    with refusals():
        write_note(where.results, view, seen=seen)
        st.rerun()


def editor(where: Source, kind: str, name: str) -> None:
    """Show the note and tags of a study or run, and let them be changed where that is allowed."""
    seen = known_notes(where).get((kind, name))
    if seen is not None and (seen.text or seen.tags):
        tags = " ".join(f":gray-badge[{plain(tag)}]" for tag in seen.tags)
        st.markdown(f":material/sticky_note_2: {plain(seen.text)} {tags}")
    if not may_write(where):
        return
    label = "Note" if seen is None else "Change the note"
    with st.popover(label, type="tertiary", icon=":material/edit_note:", key=f"note {kind} {name}"):
        # Its first values are part of the form's name: what others write meanwhile is a new form.
        version = f"{kind} {name} {seen.changed if seen else ''}"
        with st.form(f"form of {version}", border=False):
            text = st.text_area("Note", seen.text if seen else "", key=f"text of {version}")
            tags_text = st.text_input(
                "Tags, by commas", ", ".join(seen.tags) if seen else "", key=f"tags of {version}"
            )
            if st.form_submit_button("Save"):
                tags_given = dict.fromkeys(tag.strip() for tag in tags_text.split(","))
                changed = replace(
                    seen or Note(kind, name), text=text, tags=tuple(filter(None, tags_given))
                )
                with refusals():
                    if changed.text or changed.tags:
                        write_note(where.results, changed, seen=seen)
                    elif seen is not None:
                        remove_note(where.results, kind, name)
                    st.rerun()


def add_to_report(where: Source, chosen: Chosen, key: str) -> None:
    """Draw a button that adds a figure to the report, where notes may be written."""
    if may_write(where) and st.button(
        "Add to report", key=f"report {key}", type="tertiary", icon=":material/playlist_add:"
    ):
        name = current_report()
        with refusals():
            seen = read_notes(where.results).get(("report", name))
            old = seen or Note("report", name)
            only = None if where.only is None else list(where.only)
            figures = (*old.figures, replace(chosen, runs=only).document())
            write_note(where.results, replace(old, figures=figures), seen=seen)
            st.toast(f"Added to the report {plain(name)}: see the page Notes.")
