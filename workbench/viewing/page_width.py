"""How wide the page is, so that figures fill it."""

import streamlit as st

MARGIN = 48
"""Pixels that the page's style leaves free on each side."""
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
    const width = Math.floor((page.clientWidth - data.margin) / 40) * 40
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
        data={"width": page_width(), "margin": 2 * MARGIN},
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
