"""A page's selection, stored in the address bar, so that a link shows another person the same."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import streamlit as st

_STALE_S = 2.0
Given = dict[str, list[str]]


class Link:
    """The widgets of one page by name, with their values in the page's address.

    Each widget starts with the value in the address. `write` writes the chosen values back, after
    all widgets are drawn.

    If the address differs from what this session wrote last, somebody opened a link or went back,
    and the address wins. The exception is an address that was replaced a moment ago: the browser
    sent it before it had the new one.

    A value is never pushed into an existing widget: Streamlit can lose it on the way to the
    browser when the page is drawn again at once. Instead a new widget that starts with the value
    takes its place.
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
        """The widget's key and its first value: from the address, else the choice before, else
        `first`."""
        key = self._key("value", name)
        if self._opened and name in self._given:
            try:
                value = read(self._given[name])
            except (ValueError, IndexError):
                value = None
            if value is not None and good(value):
                self.set(name, value)
        value = st.session_state.get(key, first)
        if not good(value):
            value = first
        # Other options make another widget, so that no old value that is no option remains.
        same = crc32(json.dumps(list(options)).encode()) if options else 0
        generation = st.session_state.get(self._key("generation", name), 0)
        return self._key(name, str(generation), str(same)), value

    def set(self, name: str, value: Any) -> None:
        """Set a value for the user, before the widget is drawn."""
        st.session_state[self._key("value", name)] = value
        generation = self._key("generation", name)
        st.session_state[generation] = st.session_state.get(generation, 0) + 1

    def _remember(self, name: str, value: Any, values: Sequence[Any], usual: Any = None) -> None:
        """Remember a choice, for the session and for the address.

        The usual choice is left out of the address, unless it depends on the data.
        """
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
        labels: dict[str, str] | None = None,
        usual: str | None = None,
        **widget: Any,
    ) -> str:
        """Let the user choose one of the options.

        Args:
            first: chosen at first; the first option by default.
            labels: the texts of options that are not shown by their own name.
            usual: a choice that is left out of the address.
        """
        start = first if first in options else options[0]
        key, value = self._start(name, lambda g: g[0], lambda v: v in options, start, options)
        names = labels or {}
        value = st.selectbox(
            label,
            options,
            options.index(value),
            lambda o: names.get(o, o),
            key=key,
            **widget,
        )
        self._remember(name, value, [value], usual)
        return str(value)

    def choose_many(
        self,
        label: str,
        options: Sequence[str],
        name: str,
        *,
        first: Sequence[str] = (),
        labels: dict[str, str] | None = None,
        **widget: Any,
    ) -> list[str]:
        """Let the user choose any number of the options."""
        names = labels or {}
        key, value = self._start(
            name,
            lambda given: [v for v in given if v in options] or (None if any(given) else []),
            lambda values: all(v in options for v in values),
            [v for v in first if v in options],
            options,
        )
        values = st.multiselect(
            label, options, value, key=key, format_func=lambda o: names.get(o, o), **widget
        )
        # An empty choice is in the address too, where something is chosen at first.
        if values or first:
            self._remember(name, values, values or [""])
        else:
            st.session_state[self._key("value", name)] = []
        return [str(value) for value in values]

    def toggle(self, label: str, name: str, *, first: bool = False, **widget: Any) -> bool:
        """Let the user choose yes or no."""
        key, value = self._start(name, lambda given: given[0] == "1", lambda v: True, first)
        value = bool(st.toggle(label, value, key=key, **widget))
        self._remember(name, value, [int(value)], None if first else 0)
        return value

    def slide(
        self,
        label: str,
        options: Sequence[float],
        name: str,
        *,
        first: float,
        **widget: Any,
    ) -> float:
        """Let the user choose one of an ordered list of numbers."""
        key, value = self._start(
            name, lambda given: float(given[0]), lambda v: v in options, first, options
        )
        value = float(st.select_slider(label, options, value, key=key, **widget))
        self._remember(name, value, [f"{value:g}"])
        return value

    def number(
        self, label: str, low: int, high: int, name: str, *, first: int, **widget: Any
    ) -> int:
        """Let the user enter a whole number."""
        key, value = self._start(
            name, lambda given: int(given[0]), lambda v: low <= v <= high, first
        )
        value = int(st.number_input(label, low, high, value, key=key, **widget))
        self._remember(name, value, [value], first)
        return value

    def text(
        self, label: str, name: str, *, first: str = "", area: bool = False, **widget: Any
    ) -> str:
        """Let the user enter a line, or an area, of text."""
        key, value = self._start(name, lambda given: given[0], lambda v: True, first)
        text_widget = st.text_area if area else st.text_input
        value = str(text_widget(label, value, key=key, **widget) or "")
        self._remember(name, value, [value], first)
        return value

    def write(self) -> None:
        """Write the chosen values into the page's address."""
        if self._opened or not self._last or self._last[-1][0] != self._chosen:
            st.query_params.from_dict(self._chosen)
            now = time.monotonic()
            before = [(given, now) for given, _ in self._last[-2:]]
            st.session_state[self._key("link")] = [*before, (self._chosen, now)]
