"""The runs that the user has chosen: those of every page's figures and answers, and of its link.

They are chosen by rows on the page Runs. `cached_store.cached` restricts what is loaded to them, so
no page has to.
"""

from collections.abc import Sequence

import streamlit as st

from workbench.viewing.cached_store import Source, ask
from workbench.viewing.url_state import Link

_NAME = "runs"
_KEY = "runs chosen"
_CHANGES = "times that runs were chosen by other means than rows"
_LEAST = 5  # characters of an id in the address
_BETWEEN = "~"  # no id has it, and addresses have it as it is


def chosen_runs(where: Source, link: Link) -> tuple[str, ...] | None:
    """The ids of the chosen runs, or None where none are; those of an opened address first.

    An address that names a run that is not there is refused, as `Link.refuse` does.
    """
    known = ask(where, "SELECT run_id FROM runs ORDER BY run_id")["run_id"].to_list()
    given = link.take(_NAME)
    unknown: list[str] = []
    if given is not None:
        found, unknown = from_text(given[0], known)
        _put(found)
    elif link.opened:
        _put(())
    there = set(known)
    ids = tuple(run_id for run_id in st.session_state.get(_KEY, ()) if run_id in there)
    link.note(_NAME, to_text(ids, known))
    if unknown or link.is_refused(_NAME):
        link.refuse(_NAME, "the run", known, unknown)
    return ids or None


def to_text(ids: Sequence[str], known: Sequence[str]) -> str:
    """Ids as the address has them: of each as many characters as tell it from all known ones."""
    length = _LEAST
    while len({run_id[:length] for run_id in known}) < len(known):
        length += 1
    return _BETWEEN.join(run_id[:length] for run_id in ids)


def from_text(text: str, known: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The ids that an address has, and the pieces of it that are no run's or several runs'."""
    found: list[str] = []
    unknown = []
    for piece in filter(None, text.split(_BETWEEN)):
        fitting = [run_id for run_id in known if run_id.startswith(piece)]
        fitting = [piece] if piece in fitting else fitting
        if len(fitting) == 1:
            found += fitting
        else:
            unknown.append(piece)
    return tuple(dict.fromkeys(found)), unknown


def choose(link: Link, ids: Sequence[str]) -> None:
    """Choose these runs, for all pages; before a page is drawn."""
    st.session_state[_KEY] = tuple(ids)
    link.touch()


def times_changed() -> int:
    """How often the chosen runs were set by an address or the button: a table of rows with this in
    its key begins with them."""
    return int(st.session_state.get(_CHANGES, 0))


def chip(link: Link, ids: Sequence[str]) -> None:
    """Say in the page's head how many runs are chosen, with a button that chooses none."""
    runs = "1 run" if len(ids) == 1 else f"{len(ids):,} runs"
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", width="content"):
        st.badge(f"{runs} chosen", icon=":material/filter_alt:")
        st.button("clear", key=f"{link.page}:clear runs", type="tertiary", on_click=_clear,
                  args=(link,))  # fmt: skip


def _clear(link: Link) -> None:
    _put(())
    link.touch()


def _put(ids: Sequence[str]) -> None:
    """Choose runs by other means than rows of a table."""
    st.session_state[_KEY] = tuple(ids)
    st.session_state[_CHANGES] = times_changed() + 1
