"""Figures on a dark page: the same marks, with ink and greys turned around."""

import re
from typing import Any

DARK = "#191816"
"""Streamlit's dark page."""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_CONTRAST = 3.0
"""WCAG 2.1's least contrast of graphics with what is around them."""
_DATA = ("datasets", "data")


def darkened(spec: dict[str, Any]) -> dict[str, Any]:
    """A Vega-Lite chart recoloured for a dark page. Its data are the same object."""
    return {key: value if key in _DATA else _turned(value) for key, value in spec.items()}


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: v if key in _DATA else _turned(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_turned(item) for item in value]
    return on_dark(value) if isinstance(value, str) else value


def on_dark(colour: str) -> str:
    """A colour as a dark page shows it; text that is no colour stays as it is.

    White becomes the page's colour, greys are inverted, and other colours become as light as is
    needed to be seen.
    """
    if colour.lower() in ("white", "#ffffff"):
        return DARK
    if not _HEX.fullmatch(colour):
        return colour
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    if len(set(rgb)) == 1:
        return _hex([255 - 0.88 * value for value in rgb])
    share = 0.0
    while contrast(colour, DARK) < _CONTRAST:
        share += 0.02
        colour = _hex([v + share * (255 - v) for v in rgb])
    return colour


def on_white(colour: str) -> str:
    """A colour as dark as text on white paper has to be (WCAG 2.1, for large text and graphics)."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    share = 0.0
    while contrast(colour, "#ffffff") < _CONTRAST:
        share += 0.02
        colour = _hex([v * (1 - share) for v in rgb])
    return colour


def _hex(rgb: list[float]) -> str:
    return "#" + "".join(f"{round(value):02x}" for value in rgb)


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.1)."""
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
