"""A page's selection, stored in the address bar, so that a link shows another person the same.

Streamlit's own `bind="query-params"` does not serve here. In 1.67 it changes the address without an
entry in the browser's history, so that Back leaves the page; it drops what equals a default, also a
default that comes from the data and is another one tomorrow; and it takes what it does not know out
of the address without a word. `st.query_params` makes an entry of each change, and Streamlit says
which reruns come from Back and Forward.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from workbench.messages import suggestion
from workbench.viewing.text import plain

_PAGE = "page shown last"
_SHOWN = 12  # words that a message lists
Given = dict[str, list[str]]


@dataclass
class _Stored:
    """What a session remembers of one page."""

    values: dict[str, Any] = field(default_factory=dict)
    """The choices by name."""
    pending: Given = field(default_factory=dict)
    """What the opened address has and no widget has taken yet."""
    unknown: Given = field(default_factory=dict)
    """What the opened address asks for and there is not."""
    asked: Given = field(default_factory=dict)
    """All that it asks for, of a name of which something is unknown."""
    changed: bool = False
    """Whether the user has chosen something that the address does not have yet."""
    generations: dict[str, int] = field(default_factory=dict)
    opened: int = 0


class Link:
    """The widgets of one page by name, with their values in the page's address.

    An address that is opened, by a link or by Back and Forward, decides every widget: one that it
    does not name has its first value. A page opened without one has the choices made there before.
    From then on the widgets decide, and `write` brings the address up to date when the user has
    chosen something: till then it stays as it was opened.

    A value is never pushed into an existing widget: Streamlit can lose it on the way to the
    browser when the page is drawn again at once. Instead a new widget that starts with the value
    takes its place.

    Args:
        notices: where to say what an address asks for in vain.
    """

    def __init__(self, page: str, notices: DeltaGenerator) -> None:
        self.page, self.notices = page, notices
        self._given: Given = {k: st.query_params.get_all(k) for k in st.query_params}
        self._stored: _Stored = st.session_state.setdefault(f"link of {page}", _Stored())
        self._chosen: Given = {}
        self._names: list[str] = []
        run = get_script_run_ctx()
        by_history = run is not None and run.is_history_navigation
        self.opened = bool(self._given) and (by_history or st.session_state.get(_PAGE) != page)
        """Whether an address has been opened just now."""
        st.session_state[_PAGE] = page
        if self.opened:
            stored = self._stored
            stored.values, stored.unknown, stored.asked, stored.changed = {}, {}, {}, False
            stored.pending = dict(self._given)
            stored.opened += 1

    def take(self, name: str) -> list[str] | None:
        """What the opened address has of a name, once; None where it has nothing."""
        return self._stored.pending.pop(name, None)

    def is_refused(self, name: str) -> bool:
        """Whether the address asks for something of this name that there is not."""
        return name in self._stored.unknown

    def note(self, name: str, text: str) -> None:
        """Put into the address what no widget of this page chooses."""
        if text:
            self._chosen[name] = [text]

    def touch(self) -> None:
        """Note that the user has chosen something."""
        self._stored.changed = True

    def set(self, name: str, value: Any) -> None:
        """Set a value for the user, before the widget is drawn."""
        self._put(name, value)
        self.touch()

    def follow(self, name: str, value: Any) -> None:
        """Take over a value that was chosen on another page, unless the address has one."""
        stored = self._stored
        asked = name in stored.pending or name in stored.unknown
        if not asked and stored.values.get(name) != value:
            self._put(name, value)

    def _put(self, name: str, value: Any) -> None:
        self._stored.values[name] = value
        self._renew(name)

    def _renew(self, name: str) -> None:
        """Let another widget take the place of this one."""
        self._stored.generations[name] = self._stored.generations.get(name, 0) + 1

    def _start(
        self, name: str, parse: Callable[[str], Any], good: Callable[[Any], bool], first: Any,
        options: Iterable[Any] = (), *, many: bool = False,
    ) -> tuple[str, Any]:  # fmt: skip
        """The widget's key and its first value: from the address, else the choice before, else
        `first`."""
        stored = self._stored
        self._names.append(name)
        given = self.take(name)
        # What was unknown is asked for again: a run may begin, or a fit be made, meanwhile.
        texts = stored.asked.get(name, ()) if given is None else given if many else given[:1]
        parsed = [(text, parse(text)) for text in texts if text or not many]
        known = [value for _, value in parsed if value is not None]
        unknown = [text for text, value in parsed if value is None]
        if unknown and given is not None:
            stored.unknown[name], stored.asked[name] = unknown, list(texts)
        elif not unknown:
            self._found(name)
        if (given is not None or (texts and not unknown)) and (many or known):
            self._put(name, known if many else known[0])
        value = stored.values.get(name, first)
        if not good(value):
            value = first
        # Other options make another widget, so that no old value that is no option remains.
        same = crc32(repr(list(options)).encode())
        generation = f"{stored.opened}.{stored.generations.get(name, 0)}"
        return f"{self.page}:{name}:{generation}:{same}", value

    def _settle(
        self, name: str, label: str, value: Any, before: Any, known: Iterable[Any],
        shown: Sequence[str] | None, usual: Any = None,
    ) -> None:  # fmt: skip
        """Remember a choice, for the session and for the address; or refuse what the address asks
        for in vain.

        Args:
            before: what the widget began with.
            known: what there is to choose, for a message.
            shown: the value as the address has it; None leaves it out.
            usual: a choice that is left out of the address: no default that depends on the data.
        """
        stored = self._stored
        if value != before:
            self.touch()
            self._found(name)
        if name in stored.unknown:
            self.refuse(name, label, known)
        stored.values[name] = value
        if shown is not None and (usual is None or list(shown) != [str(usual)]):
            self._chosen[name] = list(shown)

    def refuse(
        self, name: str, label: str, known: Iterable[Any], unknown: Sequence[str] = ()
    ) -> None:
        """End the page with what the address asks for and there is not, and what there is.

        The address stays until the user chooses, or goes on without it.
        """
        stored = self._stored
        if unknown:
            stored.unknown[name] = list(unknown)
        asked, names = stored.unknown[name], list(map(str, known))
        near = suggestion(asked[0], names) if len(asked) == 1 else ""
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        there = f" There is: {', '.join(names[:_SHOWN])}{more}." if names else ""
        with self.notices:
            st.warning(
                plain(f"The link asks for {label} {', '.join(asked)}: unknown{near or '.'}{there}"),
                icon=":material/link_off:",
            )
            st.button("Go on without it", key=f"{self.page}:without {name}", on_click=self._forget,
                      args=(name,))  # fmt: skip
        st.stop()

    def _forget(self, name: str) -> None:
        self._found(name)
        self._renew(name)
        if self._stored.values.get(name) in (None, []):  # nothing of it was known
            self._stored.values.pop(name, None)
        self.touch()

    def _found(self, name: str) -> None:
        self._stored.unknown.pop(name, None)
        self._stored.asked.pop(name, None)

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
        key, before = self._start(
            name, lambda text: text if text in options else None, lambda v: v in options, start,
            options,
        )  # fmt: skip
        names = labels or {}
        if name in self._stored.unknown:
            before, widget = None, {"placeholder": "choose", **widget}
        value = st.selectbox(
            label,
            options,
            None if before is None else options.index(before),
            lambda o: names.get(o, o),
            key=key,
            **widget,
        )
        self._settle(name, label, value, before, options, [str(value)], usual)
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
        key, before = self._start(
            name,
            lambda text: text if text in options else None,
            lambda values: all(v in options for v in values),
            [v for v in first if v in options],
            options,
            many=True,
        )
        values = st.multiselect(
            label, options, before, key=key, format_func=lambda o: names.get(o, o), **widget
        )
        # An empty choice is in the address too, where something is chosen at first.
        shown = (values or [""]) if values or first else None
        self._settle(name, label, values, before, options, shown)
        return [str(value) for value in values]

    def toggle(self, label: str, name: str, *, first: bool = False, **widget: Any) -> bool:
        """Let the user choose yes or no."""
        key, before = self._start(name, {"1": True, "0": False}.get, lambda v: True, first)
        value = bool(st.toggle(label, before, key=key, **widget))
        usual = None if first else 0
        self._settle(name, label, value, before, ("0", "1"), [str(int(value))], usual)
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
        by_text = {f"{option:g}": option for option in options}

        def parse(text: str) -> float | None:
            try:
                return by_text.get(f"{float(text):g}")
            except ValueError:
                return None

        key, before = self._start(name, parse, lambda v: v in options, first, options)
        value = float(st.select_slider(label, options, before, key=key, **widget))
        self._settle(name, label, value, before, by_text, [f"{value:g}"])
        return value

    def number(
        self, label: str, low: int, high: int, name: str, *, first: int, **widget: Any
    ) -> int:
        """Let the user enter a whole number."""

        def parse(text: str) -> int | None:
            number = int(text) if text.lstrip("-").isdecimal() else None
            return number if number is not None and low <= number <= high else None

        key, before = self._start(name, parse, lambda v: low <= v <= high, first)
        value = int(st.number_input(label, low, high, before, key=key, **widget))
        self._settle(name, label, value, before, (f"{low} to {high}",), [str(value)], first)
        return value

    def text(
        self, label: str, name: str, *, first: str = "", area: bool = False, **widget: Any
    ) -> str:
        """Let the user enter a line, or an area, of text."""
        key, before = self._start(name, str, lambda v: True, first)
        text_widget = st.text_area if area else st.text_input
        value = str(text_widget(label, before, key=key, **widget) or "")
        self._settle(name, label, value, before, (), [value], first)
        return value

    def write(self) -> None:
        """Write the chosen values into the page's address, after all widgets are drawn.

        An address that was opened stays as it is until the user chooses something.
        """
        stored = self._stored
        if stored.changed or not self._given:
            st.query_params.from_dict(self._chosen)
            stored.pending, stored.changed = {}, False
        for name in stored.pending:
            near = suggestion(name, self._names)
            text = f"The link names {name}, which this page does not know{near or '.'}"
            self.notices.warning(plain(text), icon=":material/link_off:")
