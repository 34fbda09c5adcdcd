"""Figures as wide as a page: panels beside each other as they fit, and as large as there is room.

Only how a figure is shown changes: files that people download keep the sizes that papers like.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from workbench.figures.text_size import text_width, wrapped_to
from workbench.figures.theme import SIZES

Spec = dict[str, Any]
_MARGIN = 84
"""Pixels beside a panel: its axis, and the space to the next."""
_LEAST, _MOST = 240, 840
_NARROWEST, _FEW = 110, 100
"""Of a panel in a row, which else becomes a column; and of a panel with rows of names."""
_TALL = 460
_NARROW = 600
_BENEATH = {"top": {"anchor": "start", "direction": "vertical", "margin": 4}}
"""Legends above a panel: one beneath the other."""
_LEGEND_GAP = 24
"""Pixels of a name in a legend beside its words and its symbol."""
_WIDEST_CELL = 170
"""Pixels of a cell of a map."""
_NAMES_SHARE = 0.42
"""Of a narrow page's width, that the names of rows may take."""
_SHARE = 0.98
"""Of a cell's width, that its words may take."""


def fitted(spec: Spec, width: int) -> Spec:
    """A Vega-Lite chart arranged for a page so many pixels wide. Its data are the same object."""
    spec = with_room_for_words(_headed(_arranged(spec, width), width))
    config = spec.get("config", {})
    legends = {**config.get("legend", {}), "layout": _BENEATH}
    # Above a panel with rows of names, a legend begins where the panel does.
    room = spec["width"] + _MARGIN if has_names(spec) and width < _NARROW else width
    return _with_legends_above({**spec, "config": {**config, "legend": legends}}, room)


def _with_legends_above(spec: Any, width: int) -> Any:
    """The chart with its legends of names above the panels, where the first screen has them, in as
    few rows as the names fit."""
    if isinstance(spec, list):
        return [_with_legends_above(part, width) for part in spec]
    if not isinstance(spec, dict):
        return spec
    legend, scale = spec.get("legend"), spec.get("scale")
    if isinstance(legend, dict) and legend.get("orient") == "bottom" and "columns" in legend:
        names = legend.get("values") or (scale or {}).get("domain") or []
        room = _columns([str(name) for name in names], width, float(legend.get("symbolSize", 100)))
        spec = {
            **spec,
            "legend": {**legend, "orient": "top", "columns": room, "labelLimit": width - 60},
        }
    return {
        key: value if key in ("datasets", "data") else _with_legends_above(value, width)
        for key, value in spec.items()
    }


def _columns(names: Sequence[str], width: int, symbol: float) -> int:
    """Into how many columns the names of a legend fit, each column as wide as its widest name."""
    widths = [text_width(name, SIZES.text) + symbol**0.5 + _LEGEND_GAP for name in names]
    for columns in range(len(names), 1, -1):
        if sum(max(widths[place::columns]) for place in range(columns)) <= width - _MARGIN:
            return columns
    return 1


def _headed(spec: Spec, width: int) -> Spec:
    """The chart with the lines of its title and subtitle broken where the page ends."""
    title = spec.get("title")
    if not isinstance(title, dict):
        return spec
    size = float(title.get("fontSize") or SIZES.title)
    broken: Spec = {}
    for name, font, bold in (("text", size, True), ("subtitle", SIZES.label, False)):
        given = title.get(name) or []
        lines = [given] if isinstance(given, str) else given
        broken[name] = [part for line in lines for part in wrapped_to(line, width, font, bold=bold)]
    # What fits stays one text.
    text = broken["text"][0] if len(broken["text"]) == 1 else broken["text"]
    # Beside rows of names there is no room for a title on a narrow page: it begins at the edge.
    frame = {"frame": "bounds"} if width < _NARROW else {}
    return {**spec, "title": {**title, **broken, **frame, "text": text}}


def _arranged(spec: Spec, width: int) -> Spec:
    spec = copy(spec)
    if "concat" in spec:
        return _grid(spec, width)
    if "hconcat" in spec:
        return _row(spec, width)
    if "vconcat" in spec:
        return {**spec, "vconcat": [_arranged(view, width) for view in spec["vconcat"]]}
    if isinstance(spec.get("width"), int):
        return _single(spec, width)
    return spec


def panels_of(spec: Spec) -> Iterator[Spec]:
    """Every panel of a chart: what has marks, or layers of them."""
    for arrangement in ("concat", "hconcat", "vconcat"):
        if arrangement in spec:
            for view in spec[arrangement]:
                yield from panels_of(view)
            return
    yield spec


def _single(spec: Spec, width: int) -> Spec:
    """A panel as wide as the page. Panels with rows of names stay as high as they are."""
    room = max(_LEAST, min(width - _MARGIN, _WIDEST_CELL * (columns_of(spec) or width)))
    height = spec.get("height")
    if not isinstance(height, int) or has_names(spec):
        # Names stand beside the panel, and need room too.
        if width < _NARROW and isinstance(height, int):
            names = round(_NAMES_SHARE * width)
            spec = {**_with_broken_names(spec, names), "height": round(1.5 * height)}
            return {**spec, "width": max(_FEW, width - names - _MARGIN // 2)}
        return {**spec, "width": max(_FEW, min(room - 260, 1000))}
    return {**spec, "width": min(room, 4 * _TALL), "height": min(_TALL, max(height, room // 3))}


def _with_broken_names(spec: Spec, room: int) -> Spec:
    """A panel whose rows' names take no more than the room, over lines broken between words."""
    least = max(1, round(room / text_width("n", SIZES.label)) - 12)  # and the word that follows
    broken = {
        "labelLimit": room,
        "labelExpr": f"split(replace(datum.label, /(.{{{least},}}?) /g, '$1\\n'), '\\n')",
    }

    def of(view: Spec) -> Spec:
        y = view.get("encoding", {}).get("y", {})
        if y.get("type") != "nominal":
            return view
        y = {**y, "axis": {**(y.get("axis") or {}), **broken}}
        return {**view, "encoding": {**view["encoding"], "y": y}}

    return (
        {**of(spec), "layer": [of(view) for view in spec["layer"]]} if "layer" in spec else of(spec)
    )


def columns_of(spec: Spec) -> int:
    """How many columns of cells a map has; 0 for an axis of numbers."""
    for view in spec.get("layer", [spec]):
        x = view.get("encoding", {}).get("x") or {}
        if x.get("type") == "ordinal":
            return len((x.get("scale") or {}).get("domain") or ())
    return 0


def has_names(spec: Spec) -> bool:
    """Whether a panel has rows of names rather than an axis of numbers."""
    views = spec.get("layer", [spec])
    return any(view.get("encoding", {}).get("y", {}).get("type") == "nominal" for view in views)


def _grid(spec: Spec, width: int) -> Spec:
    """Panels of one size, in as few and as even rows as they fit."""
    views = spec["concat"]
    if len(views) == 1 and isinstance(views[0].get("width"), int):
        return {**spec, "concat": [_single(views[0], width)]}
    most = max(1, width // (_LEAST + _MARGIN))
    rows = -(-len(views) // min(most, spec.get("columns", most) + 1))
    columns = -(-len(views) // rows)
    side = min(width // columns - _MARGIN, _MOST)
    return {**spec, "columns": columns, "concat": [_sized(view, side) for view in views]}


def _sized(view: Spec, side: int) -> Spec:
    """A panel, or panels above each other, of another width and a height that goes with it."""
    if "vconcat" in view:
        return {**view, "vconcat": [_sized(part, side) for part in view["vconcat"]]}
    old = view.get("width")
    if not isinstance(old, int):
        return view
    height = view.get("height")
    if isinstance(height, int):
        height = round(height * min(max(side / old, 1.0), 1.5))
        return {**view, "width": side, "height": height}
    return {**view, "width": side}


def _row(spec: Spec, width: int) -> Spec:
    """Panels in a row, scaled to the page in proportion."""
    views = spec["hconcat"]
    widths = [view.get("width") for view in views]
    if not all(isinstance(w, int) for w in widths):
        return spec
    room = width - _MARGIN * len(views)
    scale = min(room / sum(widths), 2.0)
    if scale * min(widths) < _NARROWEST:
        spec = {key: value for key, value in spec.items() if key != "hconcat"}
        side = max(_LEAST, width - _MARGIN)
        return {**spec, "vconcat": [_sized(view, side) for view in views]}
    return {**spec, "hconcat": [_sized(v, round(v["width"] * scale)) for v in views]}


def with_room_for_words(spec: Spec) -> Spec:
    """A chart whose panels are sized, without those words in cells that would run into the next
    cell. Words of one kind are in all panels or in none."""
    data = spec.get("datasets", {})
    views = [view for view in panels_of(spec) if "layer" in view]
    wide = {
        _field(layer)
        for view in views
        for layer in view["layer"]
        if _is_words(layer) and not _fits(layer, view, data)
    }
    for view in views if wide else []:
        view["layer"] = [
            layer for layer in view["layer"] if not (_is_words(layer) and _field(layer) in wide)
        ]
    return spec


def _is_words(layer: Spec) -> bool:
    """Whether a layer writes into cells: columns that have names, not numbers."""
    mark, x = layer.get("mark"), layer.get("encoding", {}).get("x") or {}
    return isinstance(mark, dict) and mark.get("type") == "text" and x.get("type") == "ordinal"


def _field(layer: Spec) -> str:
    return str(layer["encoding"]["text"]["field"])


def _fits(layer: Spec, view: Spec, data: dict[str, Any]) -> bool:
    columns = layer["encoding"]["x"]["scale"]["domain"]
    rows = data.get(str((layer.get("data") or view.get("data") or {}).get("name")), [])
    size = float(layer["mark"]["fontSize"])
    widest = max((text_width(str(row[_field(layer)]), size) for row in rows), default=0.0)
    return widest <= _SHARE * float(view["width"]) / len(columns)
