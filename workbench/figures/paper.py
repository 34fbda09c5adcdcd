"""What a figure in a paper is: as wide as a column or a page, with text of a size that can be read
there, without a title of its own, its lines named at their ends.

A figure is laid out as everywhere, at the font sizes of `theme.finished`, on a page so many pixels
wide that it is scaled to its true size by one factor: the font size asked for over the usual one.
So all figures have one look, and nothing here knows any of them.
"""

import re
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import InputError
from workbench.figures.direct_labels import with_direct_labels
from workbench.figures.panel_width import has_names, panels_of, with_room_for_words
from workbench.figures.paper_panels import (
    fit_texts,
    fitted_title,
    height_of,
    level_titles,
    lines_of,
    panel_titles,
    share_titles,
    shared_parts,
    title_of,
)
from workbench.figures.theme import SIZES

Spec = dict[str, Any]
Labels = Literal["direct", "legend"]
WIDTHS = {"column": 3.25, "page": 6.75}
"""Inches of a column and of a page's text, as ICML, NeurIPS and ACL have them or nearly so."""
FAMILIES = {
    "sans": "'Liberation Sans', Arimo, Arial, Helvetica, sans-serif",
    "serif": "'Liberation Serif', Tinos, 'Times New Roman', Times, serif",
}
"""Fonts of equal widths, letter by letter, of which each system has one: an SVG with its text as
text then looks alike everywhere, and can be searched and edited."""
_POINTS = 72  # an inch
_TALLEST = 9.0  # inches of a page's text
_PANEL, _LEAST_PANEL = 225, 150  # pixels with axes
_MARGIN = 62


@dataclass(frozen=True)
class Paper:
    """How a figure is made for print.

    Raises:
        InputError: a width or a size that no figure has, or other labels.
    """

    width: float = WIDTHS["column"]
    """Inches."""
    font_size: float = 8.0
    """Points, of axis titles and legends; the numbers at ticks are a twelfth smaller."""
    font: str = "sans"
    """sans, serif, or the name of a font that is installed here."""
    title: bool = False
    labels: Labels = "direct"
    """Names at the ends of lines, where they fit, or a legend below."""

    @classmethod
    def of(
        cls,
        width: str | float | None = None,
        font_size: float | None = None,
        font: str | None = None,
        title: bool | None = None,
        labels: str | None = None,
    ) -> "Paper":
        """Paper with what is given, a column wide by default; "column" and "page" are widths.

        Raises:
            InputError: a value that no figure has.
        """
        given = {"font_size": font_size, "font": font, "title": title, "labels": labels}
        given["width"] = None if width is None else inches(width)
        return cls(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 40:
            raise InputError(f"width {self.width}: expected column, page, or inches from 1 to 40.")
        if not 4 <= self.font_size <= 40:
            raise InputError(f"font-size {self.font_size}: expected points from 4 to 40.")
        if self.labels not in ("direct", "legend"):
            raise InputError(f"labels {self.labels}: expected direct or legend.")
        if not self.font.strip() or set(self.font) & set("<>&\"'"):
            raise InputError(f"font {self.font!r}: expected sans, serif or the name of a font.")

    @property
    def scale(self) -> float:
        """Points of the print for a pixel of the layout."""
        return self.font_size / SIZES.text

    @property
    def points(self) -> float:
        """The width in points."""
        return self.width * _POINTS

    @property
    def pixels(self) -> float:
        """The width of the layout."""
        return self.points / self.scale

    @property
    def family(self) -> str:
        """The font with those that stand in for it, as CSS has it."""
        return FAMILIES.get(self.font, f"'{self.font}', {FAMILIES['sans']}")


def inches(width: str | float) -> float:
    """A width in inches: that of "column" or "page", or the number itself.

    Raises:
        InputError: it is neither.
    """
    if str(width) in WIDTHS:
        return WIDTHS[str(width)]
    try:
        return float(width)
    except ValueError:
        raise InputError(f"width {width}: expected column, page, or a number of inches.") from None


def on_paper(spec: Spec, paper: Paper) -> Spec:
    """A chart arranged for print, in pixels of the layout: `Paper.pixels` wide, or a little less.

    Raises:
        InputError: the figure has no room at this width and font size.
    """
    import vl_convert as vlc

    room = paper.pixels
    base = _plain(spec, paper)
    columns = _columns(base, paper)
    side = room / columns - _MARGIN
    chosen, taken = None, 0.0
    for _ in range(4):
        made = _laid_out(base, columns, side, paper)
        taken = width_of(vlc.vegalite_to_svg(printed(made)))
        if taken <= room:
            chosen = made
        if -2 <= taken - room <= 0 or side < 40:
            break
        side -= (taken - room) / columns + (0.5 if taken > room else 0)
    if chosen is None:
        least = taken * paper.scale / _POINTS
        raise InputError(
            f"width {paper.width:g}: this figure needs about {least:.2g} inches at a font size of "
            f"{paper.font_size:g} points. Choose a wider one, or a smaller font."
        )
    return chosen


def width_of(svg: str) -> float:
    """Pixels that a drawing of Vega's is wide."""
    found = re.search(r'width="([\d.]+)"', svg)
    assert found, "an SVG of Vega begins with its size"
    return float(found[1])


def printed(spec: Spec) -> Spec:
    """A laid-out chart with legends above each other, which Vega can do and Vega-Lite's schema,
    by which charts are checked, does not know."""
    below = {"layout": {"bottom": {"anchor": "start", "direction": "vertical", "margin": 3}}}
    config = spec.get("config", {})
    return {**spec, "config": {**config, "legend": {**config.get("legend", {}), **below}}}


def caption(spec: Spec) -> list[str]:
    """What a figure without its title leaves to its caption: title and subtitle, and what the
    names in its legends say in parentheses."""
    title = title_of(spec)
    lines = [*lines_of(title.get("text")), *lines_of(title.get("subtitle"))]
    shared = shared_parts(panel_titles(spec))
    lines += [f"all panels: {', '.join(shared)}"] if shared else []
    for view in panels_of(spec):
        for layer in view.get("layer", [view]):
            scale = (layer.get("encoding", {}).get("color") or {}).get("scale") or {}
            names = [name for name in scale.get("domain", ()) if isinstance(name, str)]
            lines += [name.replace(" (", ": ", 1)[:-1] for name in names if name.endswith(")")]
    return list(dict.fromkeys(line for line in lines if line))


def _plain(spec: Spec, paper: Paper) -> Spec:
    """The chart as a grid of panels with the paper's font, and with a title only if it is asked
    for. Its data are the same object."""
    data = spec.get("datasets")
    spec = deepcopy({key: value for key, value in spec.items() if key != "datasets"})
    if data is not None:
        spec["datasets"] = data
    config = spec.setdefault("config", {})
    config["font"], config["padding"] = paper.family, 2
    config["concat"] = {"spacing": 14}
    config.setdefault("legend", {})["labelLimit"] = paper.pixels - 60
    shared = shared_parts(titles := panel_titles(spec))
    for view, parts in zip(spec.get("concat", []), titles, strict=True):
        first = next(panels_of(view))
        if shared:
            text = ", ".join(part for part in parts if part not in shared)
            first["title"] = {**title_of(first), "text": text}
    title = spec.pop("title", None)
    if paper.title and title:
        spec["title"] = fitted_title(title, paper.pixels - _MARGIN, SIZES.heading)
    if "hconcat" in spec:
        spec["concat"] = spec.pop("hconcat")
        spec["columns"] = len(spec["concat"])
    return spec


def _columns(spec: Spec, paper: Paper) -> int:
    """Few columns, so that panels are large, but as many as it takes to stay on the page."""
    views = spec.get("concat", [spec])
    most = min(len(views), spec.get("columns") or len(views))
    columns = max(1, min(most, int(paper.pixels // _PANEL)))
    widest = max(columns, min(len(views), int(paper.pixels // _LEAST_PANEL)))
    while columns < widest:
        side = paper.pixels / columns - _MARGIN
        rows = -(-len(views) // columns)
        tall = sum(height_of(part, side, flat=True) + 40 for part in panels_of(views[0])) + 30
        if rows * tall * paper.scale <= _TALLEST * _POINTS:
            break
        columns += 1
    return columns


def _laid_out(base: Spec, columns: int, side: float, paper: Paper) -> Spec:
    spec = copy(base)
    views = deepcopy(spec.get("concat", [_without_data(spec)]))
    heights = [height_of(part, side, flat=len(views) > columns) for part in panels_of(views[0])]
    for view in views:
        for part, height in zip(panels_of(view), heights, strict=False):
            part["width"] = max(30, int(side))
            part["height"] = part.get("height", height) if has_names(part) else height
    if "concat" in spec:
        share_titles(views, columns)
        spec |= {"concat": views, "columns": columns}
    else:
        spec |= views[0]
    if paper.labels == "direct":
        with_direct_labels(spec)
    with_room_for_words(spec)
    for view in panels_of(spec):
        fit_texts(view, joined="concat" in spec)
    for start in range(0, len(views), columns):
        level_titles(views[start : start + columns])
    return spec


def _without_data(spec: Spec) -> Spec:
    return {key: value for key, value in spec.items() if key != "datasets"}
