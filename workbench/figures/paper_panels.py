"""The panels of a figure on paper: their heights, titles, ticks and legends, as there is room."""

from itertools import pairwise
from typing import Any

import numpy as np

from workbench.figures.axes import log_ticks
from workbench.figures.panel_width import has_names, panels_of
from workbench.figures.text_size import level_lines, wrapped_to
from workbench.figures.theme import SIZES

Spec = dict[str, Any]
_HEIGHTS = (60, 260)
_FLAT = 0.62
_TICK = 40  # pixels of an axis that the number at a tick needs


def title_of(view: Spec) -> Spec:
    """A panel's title as an object, empty without one."""
    title = view.get("title") or {}
    return title if isinstance(title, dict) else {"text": title}


def lines_of(text: Any) -> list[str]:
    """The lines of a text, which may be one or several, or none."""
    return text if isinstance(text, list) else [text] if text else []


def panel_titles(spec: Spec) -> list[list[str]]:
    """The titles of panels beside each other, in the parts that commas separate."""
    views = spec.get("concat", [])
    titles = [lines_of(title_of(next(panels_of(view))).get("text")) for view in views]
    return [" ".join(lines).strip().split(", ") for lines in titles]


def shared_parts(titles: list[list[str]]) -> list[str]:
    """What all panels' titles say: it tells none from another."""
    if len(titles) < 2:
        return []
    shared = [part for part in titles[0] if part and all(part in title for title in titles)]
    return shared if all(set(title) - set(shared) for title in titles) else []


def height_of(view: Spec, side: float, *, flat: bool) -> int:
    """In proportion, within what can be read and what fits a page; squares stay squares.

    Args:
        flat: there are panels above each other.
    """
    width, height = view.get("width", 300), view.get("height", 200)
    if has_names(view):
        return int(height)
    if width == height:
        return int(side)
    share = min(height / width, _FLAT) if flat else height / width
    return int(min(max(side * share, _HEIGHTS[0]), _HEIGHTS[1]))


def share_titles(views: list[Spec], columns: int) -> None:
    """Panels beside each other name what goes upwards once, and panels above each other what goes
    along once."""
    grid = [list(panels_of(view)) for view in views]
    for parts in grid:
        for upper, lower in pairwise(parts):
            _drop_title(upper, lower, "x")
    for place, parts in enumerate(grid):
        first = grid[place - place % columns]
        below = grid[place + columns] if place + columns < len(grid) else None
        for number, part in enumerate(parts):
            if place % columns and len(first) == len(parts):
                _drop_title(part, first[number], "y")
            if below and len(below) == len(parts):
                _drop_title(part, below[number], "x")


def _drop_title(view: Spec, other: Spec, channel: str) -> None:
    if _axis_title(view, channel) != (of := _axis_title(other, channel)) and of is not None:
        return
    for layer in view.get("layer", [view]):
        encoding = layer.get("encoding", {}).get(channel)
        if encoding and "field" in encoding:
            encoding["title"] = None


def _axis_title(view: Spec, channel: str) -> Any:
    for layer in view.get("layer", [view]):
        encoding = layer.get("encoding", {}).get(channel) or {}
        if "title" in encoding:
            return encoding["title"]
    return None


def fit_texts(view: Spec, *, joined: bool) -> None:
    """Break a panel's titles, and the names beside it, into lines that it has room for: see
    `fitted_title`."""
    width, height = view.get("width", 200), view.get("height", 200)
    if view.get("title"):
        view["title"] = fitted_title(view["title"], width, SIZES.title, joined=joined)
    for layer in view.get("layer", [view]):
        for channel, room in (("x", width), ("y", height)):
            encoding: Spec = layer.get("encoding", {}).get(channel) or {}
            if isinstance(encoding.get("title"), str):
                encoding["title"] = wrapped_to(encoding["title"], max(room, 90), SIZES.text)
            if encoding.get("type") == "nominal" and channel == "y":
                encoding.setdefault("axis", {})["labelExpr"] = "split(datum.label, ', ')"
            elif isinstance(encoding.get("axis"), dict) and channel == "x":
                _thin_ticks(encoding, width)
        for channel in ("color", "strokeDash", "shape"):
            coded: Spec = layer.get("encoding", {}).get(channel) or {}
            if isinstance(coded.get("legend"), dict):
                coded["legend"].setdefault("labelExpr", "split(datum.label, ' (')[0]")
                coded["legend"]["orient"] = "bottom"


def _thin_ticks(encoding: Spec, width: float) -> None:
    """Ticks so few that their numbers do not meet."""
    axis = encoding["axis"]
    values, domain = axis.get("values"), (encoding.get("scale") or {}).get("domain")
    most = max(3, int(width // _TICK))
    if not values or not domain or min(domain) <= 0:
        axis["tickCount"] = min(axis.get("tickCount", most), most)
        return
    pixels = width / np.log(domain[1] / domain[0])
    count = len(values)
    while count > 2 and np.diff(np.log(values)).min() * pixels < _TICK:
        count -= 1
        values = log_ticks(min(axis["values"]), max(axis["values"]), count)
    axis["values"] = values


def level_titles(views: list[Spec]) -> None:
    """As many lines of titles over each panel of a row, so that the panels are level."""
    titles: list[Spec] = [title for view in views if (title := next(panels_of(view)).get("title"))]
    for part in ("text", "subtitle"):
        levelled = level_lines([title.get(part, []) for title in titles])
        for title, lines in zip(titles, levelled, strict=True):
            if lines:
                title[part] = lines


def fitted_title(title: Any, width: float, size: float, *, joined: bool = False) -> Spec:
    """A title and its subtitle in lines of at most so many pixels, at a title's font size.

    Args:
        joined: the lines of the subtitle are one text; otherwise each is a note of its own.
    """
    title = dict(title) if isinstance(title, dict) else {"text": title}
    text = " ".join(lines_of(title.get("text")))
    title["text"] = wrapped_to(text, width, size, bold=True)
    below = lines_of(title.pop("subtitle", None))
    lines = [
        part
        for line in ([" ".join(below)] if joined and below else below)
        for part in wrapped_to(line, width, SIZES.label)
    ]
    return title | ({"subtitle": lines} if lines else {})
