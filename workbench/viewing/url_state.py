"""A page's selection, kept in the address bar, so that a link shows another person the same."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import streamlit as st

_STALE_S = 2.0
Given = dict[str, list[str]]


class Link:
    """The widgets of one page by name. Each starts as the address says, and what is chosen is
    written back by `write`, once all of them stand.

    The address wins where it is not what this session wrote last: somebody opened a link, or went
    back. An address that was replaced a moment ago is one that the browser sent too early.

    A value is never pushed into a widget that stands: Streamlit can lose it on the way to the
    browser when the page is drawn again at once. A new widget takes its place, which starts
    with the value.
    """

    def __init__(self, page: str) -> None:
        self.page = page
        self._given: Given = {k: st.query_params.get_all(k) for k in st.query_params}
        self._last: list[tuple[Given, float]] = st.session_state.get(self._key("link"), [])
        now = time.monotonic()
        stale = any(g == self._given and now - until < _STALE_S for g, until in self._last[:-1])
        ours = bool(self._last) and self._last[-1][0] == self._given
        self._opened = not (ours or stale)
        self._chosen: Given = {}

    def _key(self, *names: str) -> str:
        return ":".join((self.page, *names))

    def _start(
        self,
        name: str,
        read: Callable[[list[str]], Any],
        good: Callable[[Any], bool],
        first: Any,
        options: Sequence[Any] = (),
    ) -> tuple[str, Any]:
        """The widget's key and what it starts with: what the address says, what was chosen
        before, or the first."""
        kept = self._key("value", name)
        if self._opened and name in self._given:
            try:
                value = read(self._given[name])
            except (ValueError, IndexError):
                value = None
            if value is not None and good(value):
                self.set(name, value)
        value = st.session_state.get(kept, first)
        if not good(value):
            value = first
        # Other options make another widget, which does not hold what is no option any more.
        same = crc32(json.dumps(list(options)).encode()) if options else 0
        generation = st.session_state.get(self._key("generation", name), 0)
        return self._key(name, str(generation), str(same)), value

    def set(self, name: str, value: Any) -> None:
        """Choose for the user, before the widget is drawn."""
        st.session_state[self._key("value", name)] = value
        generation = self._key("generation", name)
        st.session_state[generation] = st.session_state.get(generation, 0) + 1

    def _keep(self, name: str, value: Any, values: Sequence[Any], usual: Any = None) -> None:
        """What is as usual need not stand in the address; what depends on the data has to."""
        st.session_state[self._key("value", name)] = value
        if usual is None or list(values) != [usual]:
            self._chosen[name] = [str(value) for value in values]

    def choose(
        self,
        label: str,
        options: Sequence[str],
        name: str,
        *,
        first: str | None = None,
        told: dict[str, str] | None = None,
        usual: str | None = None,
        **more: Any,
    ) -> str:
        """One of the options, which are shown as text.

        Args:
            first: chosen at first; the first option by default.
            told: what options are called, where that is not their own name.
            usual: a choice that the address need not tell.
        """
        start = first if first in options else options[0]
        key, value = self._start(name, lambda g: g[0], lambda v: v in options, start, options)
        names = told or {}
        value = st.selectbox(
            label, options, options.index(value), lambda o: names.get(o, o), key=key, **more
        )
        self._keep(name, value, [value], usual)
        return str(value)

    def choose_many(
        self,
        label: str,
        options: Sequence[str],
        name: str,
        *,
        first: Sequence[str] = (),
        told: dict[str, str] | None = None,
        **more: Any,
    ) -> list[str]:
        """Any of the options."""
        names = told or {}
        key, value = self._start(
            name,
            lambda given: [v for v in given if v in options] or (None if any(given) else []),
            lambda values: all(v in options for v in values),
            [v for v in first if v in options],
            options,
        )
        values = st.multiselect(
            label, options, value, key=key, format_func=lambda o: names.get(o, o), **more
        )
        # Nothing chosen is told too, where something is chosen at first.
        if values or first:
            self._keep(name, values, values or [""])
        else:
            st.session_state[self._key("value", name)] = []
        return [str(value) for value in values]

    def toggle(self, label: str, name: str, *, first: bool = False, **more: Any) -> bool:
        """Yes or no."""
        key, value = self._start(name, lambda given: given[0] == "1", lambda v: True, first)
        value = bool(st.toggle(label, value, key=key, **more))
        self._keep(name, value, [int(value)], None if first else 0)
        return value

    def slide(
        self, label: str, options: Sequence[float], name: str, *, first: float, **more: Any
    ) -> float:
        """One of an ordered list of numbers."""
        key, value = self._start(
            name, lambda given: float(given[0]), lambda v: v in options, first, options
        )
        value = float(st.select_slider(label, options, value, key=key, **more))
        self._keep(name, value, [f"{value:g}"])
        return value

    def number(self, label: str, low: int, high: int, name: str, *, first: int, **more: Any) -> int:
        """A whole number."""
        key, value = self._start(
            name, lambda given: int(given[0]), lambda v: low <= v <= high, first
        )
        value = int(st.number_input(label, low, high, value, key=key, **more))
        self._keep(name, value, [value], first)
        return value

    def text(
        self, label: str, name: str, *, first: str = "", area: bool = False, **more: Any
    ) -> str:
        """A line, or an area, of text."""
        key, value = self._start(name, lambda given: given[0], lambda v: True, first)
        widget = st.text_area if area else st.text_input
        value = str(widget(label, value, key=key, **more) or "")
        self._keep(name, value, [value], first)
        return value

    def write(self) -> None:
        """The address as it is now."""
        if self._opened or not self._last or self._last[-1][0] != self._chosen:
            st.query_params.from_dict(self._chosen)
            now = time.monotonic()
            before = [(given, now) for given, _ in self._last[-2:]]
            st.session_state[self._key("link")] = [*before, (self._chosen, now)]
