"""The head of a page: results folder, study, and what to do where there are no results."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import streamlit as st

from workbench.errors import WorkbenchError
from workbench.store import database_path
from workbench.viewing.cached_store import (
    Source,
    metrics,
    results_folder,
    runs,
    source,
    stamp_of,
    studies,
)
from workbench.viewing.chosen_runs import chip, chosen_runs
from workbench.viewing.launch import main_script
from workbench.viewing.notes import sidebar
from workbench.viewing.page_width import (
    MARGIN,
    NARROW,
    NARROW_MARGIN,
    controls,
    is_narrow,
    watch_width,
)
from workbench.viewing.text import plain
from workbench.viewing.url_state import Link

REFRESH_S = 3.0
_STUDY = "study last chosen"
_BANNER = "page that says how to begin"
AXES = {
    "tokens": "training tokens", "epochs": "epochs", "flops": "training FLOPs",
    "flops_per_unique": "FLOPs per unique token",
}  # fmt: skip

# A box whose key begins with OPEN_AT_END is drawn from its end: there it stands when it is opened.
OPEN_AT_END = "end of"
_HEAD = "page-head"
_UNSEEN = "unseen"  # what watches the page, and takes no room on it
_STYLE = f"""<style>
.stMainBlockContainer {{padding: 66px {MARGIN}px {MARGIN}px;}}
@media (max-width: {NARROW}px) {{
  .stMainBlockContainer {{padding: 60px {NARROW_MARGIN}px {MARGIN}px;}}
  .stMainBlockContainer h2 {{font-size: 1.4rem; padding: 0;}}
  .st-key-{_HEAD} {{gap: 0.2rem;}}
  .stMainBlockContainer h3 {{font-size: 1.2rem;}}
}}
.st-key-{_UNSEEN} {{position: absolute; left: 0; width: 1px; overflow: hidden;}}
[data-testid="stCaptionContainer"] {{color: inherit; opacity: 0.85;}}
[data-testid="stBaseButton-primary"]:enabled {{background: #3f6283; border-color: #3f6283;}}
[data-testid="stMultiSelect"] :has(> span[title]) {{background: #3f6283; color: white;}}
[class*="st-key-{OPEN_AT_END.replace(" ", "-")}"] {{
  flex-direction: column-reverse; justify-content: flex-start;
}}
</style>"""


@dataclass
class Page:
    """The store and the selection of a page."""

    where: Source
    link: Link
    _row: Any = None
    """Where the choices go that stand before the first figure."""
    _above: Any = None
    """Where the study goes on a narrow page."""
    _below: Any = None
    """Where a message goes in place of what the choices lead to."""

    def choices(self) -> Any:
        """The row of all choices before the page's first figure: the same one whenever it is asked
        for. On a narrow page it is a closed box, with the study alone above it, so that the figure
        is on the first screen."""
        if self._row is None:
            if is_narrow():
                self._above = st.container()
                with st.expander("Choices", icon=":material/tune:"):
                    self._row = controls()
            else:
                self._row = controls()
            self._below = st.container()
        return self._row

    def stop(self, text: str) -> NoReturn:
        """End the page with a text on why there is nothing to show, below the choices."""
        with self._below or nullcontext():
            stop(text)

    def study(self, every: str | None = None, *, above: bool = True, **widget: Any) -> str:
        """The study to look at; it stays chosen from page to page.

        Args:
            every: the name of a choice that stands for all studies.
            above: whether it stands above the other choices where the page is narrow.
        """
        names = [every] if every else []
        names += [str(row["study"]) for row in studies(self.where)]
        last = st.session_state.get(_STUDY)
        if last in names:
            self.link.follow("study", last)
        with (self._above if above else None) or nullcontext():
            study = self.link.choose("Study", names, "study", **widget)
        st.session_state[_STUDY] = study
        if self.where.only and study != every:
            own = {str(row["run_id"]) for row in runs(self.where, study)}
            if own.isdisjoint(self.where.only):
                self.link.notices.caption(
                    plain(f"No chosen run is in the study {study}: all of its runs are shown.")
                )
        return study

    def metric(self, study: str, *, only: Sequence[str] | None = None, **widget: Any) -> str:
        """A metric of a study, the held-out loss at first."""
        known = metrics(self.where, study) if only is None else list(only)
        if not known:
            self.stop(f"Study {study} has no metric yet that this page can show.")
        return self.link.choose("Metric", known, "metric", **widget)

    def axis(self, **widget: Any) -> str:
        """The axis to draw along."""
        return self.link.choose("Along", list(AXES), "axis", labels=AXES, usual="tokens", **widget)


def begin(title: str, about: str, *, live: bool = True, restricted: bool = True) -> Page:
    """Draw the head of a page, and end the page if the store cannot be read.

    Args:
        live: whether to draw the page again whenever the store changes.
        restricted: whether the page shows the chosen runs alone, where some are chosen.
    """
    icon = str(main_script().parent / "icon.svg")
    st.set_page_config(
        page_title=f"{title} · workbench", page_icon=icon, layout="wide",
        initial_sidebar_state="collapsed",
    )  # fmt: skip
    st.html(_STYLE)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key=_HEAD):
        st.header(title, anchor=False, width="content")
        st.caption(about, width="content")
        head = st.container(width="content")
        with st.container(key=_UNSEEN, width="content"):
            watch_width()
            if live:
                _watch()
    try:
        where = source()
    except WorkbenchError as error:
        st.error(plain(error))
        st.stop()
    if where.shipped:
        _about_shipped(where, title)
    link = Link(title.lower().replace(" ", "-"), st.container())
    only = chosen_runs(where, link) if restricted else None
    if only:
        with head:
            chip(link, only)
    sidebar(where)
    return Page(replace(where, only=only), link)


@st.fragment(run_every=REFRESH_S)
def _watch() -> None:
    """Draw the page again if the store has changed.

    This is a fragment: the check draws nothing, so that selection and scroll position stay.
    """
    now = stamp_of(results_folder())
    if st.session_state.setdefault("stamp seen", now) != now:
        st.session_state["stamp seen"] = now
        st.rerun()


def stop(text: str) -> NoReturn:
    """End the page with a text on why there is nothing to show."""
    st.info(plain(text), icon=":material/info:")
    st.stop()


def _about_shipped(where: Source, title: str) -> None:
    """Say that these are not the reader's own results; on the page that was opened first also how
    to make some."""
    results = results_folder()
    if where.results == results.resolve():
        st.caption("The studies that come with the workbench: read-only, and none of your own.")
        return
    if st.session_state.setdefault(_BANNER, title) != title:
        st.caption("No results of your own: the studies that come with the workbench, read-only.")
        return
    with st.container(border=True):
        if where.folders:
            st.markdown(
                f"**{where.folders} run folders, but no store of them.** Until it is made again, "
                "these are the studies that come with the workbench, read-only:"
            )
            st.code(f"workbench ingest --rebuild --results {results}", language="bash")
            return
        st.markdown(
            "**No results of your own yet.** Until there are, these are the studies that come "
            "with the workbench, read-only: small ones of two CPU cores, and `reference`, the "
            "paper's own Figure 1 (arXiv 2511.03276), digitised. Four small models make the first "
            "of yours in minutes, and appear here as they train:"
        )
        st.code(f"workbench run quickstart --results {results}", language="bash")
        if database_path(results).exists():
            st.caption("The store exists, but has no study.")
