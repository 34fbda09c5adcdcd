"""Choosing runs by the keys in which they differ."""

import json
from typing import Any

import streamlit as st

from workbench.conditions import Conditions, one_of
from workbench.figures.theme import key_text
from workbench.viewing.cached_store import differing
from workbench.viewing.page import Page

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


def controls() -> Any:
    """A row of widgets that wraps where the window is narrow."""
    return st.container(horizontal=True, vertical_alignment="bottom", gap="small")
