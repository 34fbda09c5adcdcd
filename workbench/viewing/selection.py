"""Choosing runs: by the keys in which they differ, or by rows of a table."""

import json
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import streamlit as st

from workbench.conditions import Conditions, one_of
from workbench.figures.theme import key_text
from workbench.viewing.cached_store import differing
from workbench.viewing.chosen_runs import choose, times_changed
from workbench.viewing.page import Page
from workbench.viewing.text import note, table

NONE = "none"


def key_choice(
    page: Page, label: str, study: str, name: str, *, none: str, **widget: Any
) -> str | None:
    """A configuration key that differs within the study, or none."""
    keys = list(differing(page.where, study))
    chosen = page.link.choose(label, [NONE, *keys], name, labels={NONE: none}, usual=NONE, **widget)
    return None if chosen == NONE else chosen


def where_choice(page: Page, study: str) -> Conditions:
    """The conditions by which runs are chosen; none where nothing is chosen."""
    keys = differing(page.where, study)
    options = {
        f"{key}={json.dumps(value)}": (key, value)
        for key, values in keys.items()
        for value in values
    }
    labels = {option: key_text(key, value) for option, (key, value) in options.items()}
    picked = page.link.choose_many(
        "Only runs with", list(options), "where", labels=labels, placeholder="all runs", width=340,
    )  # fmt: skip
    chosen: dict[str, list[Any]] = {}
    for option in picked:
        key, value = options[option]
        chosen.setdefault(key, []).append(value)
    return tuple(one_of(key, values) for key, values in chosen.items())


def run_choice(
    page: Page, rows: Sequence[dict[str, Any]], members: Sequence[Sequence[str]]
) -> None:
    """A table whose chosen rows are the chosen runs of every page.

    Args:
        rows: what is shown.
        members: the ids of the runs of each row.
    """
    chosen = page.where.only or ()
    here = {run_id for ids in members for run_id in ids}
    outside = [run_id for run_id in chosen if run_id not in here]
    # Rows are chosen by their places, so other rows are another table.
    key = f"runs {crc32(repr(members).encode())} {times_changed()}"

    def changed() -> None:
        places = st.session_state[key]["selection"]["rows"]
        choose(page.link, [*outside, *(run_id for at in places for run_id in members[at])])

    begun_with = [at for at, ids in enumerate(members) if ids and set(ids) <= set(chosen)]
    table(
        rows, key=key, on_select=changed, selection_mode="multi-row",
        selection_default={"selection": {"rows": begun_with}},
    )  # fmt: skip
    if outside:
        note(f"{len(outside):,} of the chosen runs are not in this table.")
