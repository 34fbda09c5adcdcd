"""How wide the page is, so that figures fill it and a narrow one begins with its figure."""

from typing import Any

import streamlit as st

MARGIN, NARROW_MARGIN = 48, 16
"""Pixels that the page's style leaves free on each side, and on a narrow page."""
NARROW = 640
"""A window of at most so many pixels is narrow: a phone's."""
_KEY = "width of the page"
USUAL = 1160
"""Pixels in a window of 1280 pixels: assumed until the browser has reported its width."""

_SCRIPT = """
export default function ({ data, setStateValue }) {
  const page = document.querySelector('[data-testid="stMain"]')
  if (!page) return
  let reported = data.width
  let waiting = null
  const report = () => {
    const narrow = window.innerWidth <= data.narrow
    const step = narrow ? 2 : 40
    const margin = 2 * (narrow ? data.narrow_margin : data.margin)
    const width = Math.floor((page.clientWidth - margin) / step) * step
    if (width > 0 && width !== reported) {
      reported = width
      setStateValue('width', width)
    }
  }
  const observer = new ResizeObserver(() => {
    clearTimeout(waiting)
    waiting = setTimeout(report, 150)
  })
  observer.observe(page)
  report()
  return () => observer.disconnect()
}
"""
_measure = st.components.v2.component("workbench_width", js=_SCRIPT)


def watch_width() -> None:
    """Ask the browser for the page's width; a new width draws the page again."""
    answer = _measure(
        key="width",
        data={
            "width": page_width(),
            "margin": MARGIN,
            "narrow": NARROW,
            "narrow_margin": NARROW_MARGIN,
        },
        on_width_change=lambda: None,
        width=1,
        height=1,
    )
    width = getattr(answer, "width", None)
    if isinstance(width, int | float) and width > 0:
        st.session_state[_KEY] = int(width)


def page_width() -> int:
    """Pixels that a figure may take."""
    return int(st.session_state.get(_KEY, USUAL))


def is_narrow() -> bool:
    """Whether the page is as narrow as a phone."""
    return page_width() <= NARROW - 2 * NARROW_MARGIN


def controls() -> Any:
    """A row of widgets that wraps where the window is narrow."""
    return st.container(horizontal=True, vertical_alignment="bottom", gap="small")
