"""Names at the ends of lines, in their colours, in place of a legend.

They stand in a column of their own inside the panel, right of where the lines end: the axis is
made longer for it. Names that would meet are moved apart, and a thin line leads to those that were
moved. Where they have no room, a figure keeps its legend in all of its panels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.figures.axes import even_ticks
from workbench.figures.dark import on_white
from workbench.figures.panel_width import panels_of
from workbench.figures.text_size import LINE, text_width, wrapped_to
from workbench.figures.theme import INK, SIZES

Spec = dict[str, Any]
_MOST = 8
_GAP, _EDGE = 5.0, 3.0
"""Pixels from the last end to the names, and from these to the panel's edge."""
_SHARES = (0.25, 0.34, 0.45)
"""Shares of a panel's width that names may take, the smallest first that has few enough lines."""
_MARGIN = 0.04


@dataclass
class _Line:
    """A line of a panel: its name, what colours it, and where it ends, in the units of the axes."""

    name: str
    colour: str
    x: float
    y: float


@dataclass
class _Scale:
    """A panel's axis: from its units to shares of its length and back."""

    low: float
    high: float
    log: bool

    def share(self, value: float) -> float:
        low, high, value = self._inner(np.array([self.low, self.high, value]))
        return float((value - low) / (high - low))

    def value(self, share: float) -> float:
        low, high = self._inner(np.array([self.low, self.high]))
        inner = low + share * (high - low)
        return float(np.exp(inner) if self.log else inner)

    def _inner(self, values: Any) -> Any:
        return np.log(values) if self.log else values


def with_direct_labels(spec: Spec) -> bool:
    """Name lines at their ends in every panel of a chart whose panels are sized, in place.

    Returns:
        Whether it was done; otherwise nothing was changed.
    """
    data = spec.get("datasets", {})
    shared = (spec.get("resolve") or {}).get("scale", {}).get("y") == "shared"
    views = list(panels_of(spec))
    domains = [_y_scale(view, spec, data) for view in views]
    if shared and all(domains):
        low = min(scale.low for scale in domains if scale)
        high = max(scale.high for scale in domains if scale)
        domains = [scale and _Scale(low, high, scale.log) for scale in domains]
    plans = [_plan(view, spec, data, scale) for view, scale in zip(views, domains, strict=True)]
    if not any(plans) or any(plan is None for plan in plans):
        return False
    names = {name for plan in plans if plan for name in plan.colour["scale"]["domain"]}
    if names - {line.colour for plan in plans if plan for line in plan.lines}:
        return False  # something that is drawn without a line would have no name
    widest = max(plan.room for plan in plans if plan)
    for view, plan in zip(views, plans, strict=True):
        if plan:
            plan.room = widest  # panels above each other keep one axis
            _apply(view, plan)
    _drop_legends(views, {field for plan in plans if plan for field in plan.fields})
    return True


@dataclass
class _Plan:
    """What is added to a panel."""

    lines: list[_Line]
    texts: list[list[str]]
    colour: Spec
    fields: set[str]
    """Fields whose legends the names replace."""
    x: _Scale
    y: _Scale
    room: float
    """Pixels at the right that names take."""

    def __bool__(self) -> bool:
        return bool(self.lines)


def _plan(view: Spec, spec: Spec, data: Spec, y: _Scale | None) -> _Plan | None:
    """The names of a panel; a plan of none where it has no lines; None where they do not fit."""
    layer = _line_layer(view)
    if layer is None or y is None:
        empty = _Scale(1.0, 2.0, False)
        return _Plan([], [], {}, set(), empty, y or empty, 0.0) if layer is None else None
    encoding = layer["encoding"]
    colour, dash = encoding["color"], encoding.get("strokeDash") or {}
    if "order" in encoding:
        return None  # a path may end anywhere, also amid the others
    rows = _rows(layer, view, spec, data)
    lines = _ends(rows, encoding)
    if not 1 <= len(lines) <= _MOST:
        return None
    texts = _texts([line.name for line in lines], view["width"], view["height"])
    if texts is None:
        return None
    fields = {dash["field"]} if _two_keys(encoding) else {colour["field"]}
    fields |= {dash["field"]} if dash.get("field") == colour["field"] else set()
    room = max(text_width(part, SIZES.label) for text in texts for part in text) + _GAP + _EDGE
    x = _x_scale(encoding["x"], rows)
    return _Plan(lines, texts, colour, fields, x, y, room)


def _line_layer(view: Spec) -> Spec | None:
    """The layer of a panel that has its lines, coloured by their names."""
    for layer in view.get("layer", [view]):
        mark = layer.get("mark") or {}
        kind = mark if isinstance(mark, str) else mark.get("type")
        colour = layer.get("encoding", {}).get("color") or {}
        named = colour.get("type") == "nominal" and (colour.get("scale") or {}).get("domain")
        named = named and colour.get("legend", {}) is not None  # a single line needs no name
        if kind == "line" and named and not layer.get("transform"):
            return dict(layer)
    return None


def _rows(layer: Spec, view: Spec, spec: Spec, data: Spec) -> list[Spec]:
    source = layer.get("data") or view.get("data") or spec.get("data") or {}
    rows = source.get("values") or data.get(str(source.get("name")), [])
    return list(rows)


def _two_keys(encoding: Spec) -> bool:
    """Whether dashes stand for another key than colours."""
    dash = encoding.get("strokeDash") or {}
    return "field" in dash and dash["field"] != encoding["color"]["field"]


def _ends(rows: list[Spec], encoding: Spec) -> list[_Line]:
    """The last point of each line."""
    x, y, colour = (encoding[channel]["field"] for channel in ("x", "y", "color"))
    named = encoding["strokeDash"]["field"] if _two_keys(encoding) else colour
    last: dict[tuple[str, str], Spec] = {}
    for row in rows:
        if row.get(x) is None or row.get(y) is None:
            continue
        key = (str(row[colour]), str(row[named]))
        if key not in last or row[x] >= last[key][x]:
            last[key] = row
    return [
        _Line(name.partition(" (")[0], own, float(row[x]), float(row[y]))
        for (own, name), row in last.items()
    ]


def _texts(names: list[str], width: float, height: float) -> list[list[str]] | None:
    """Names in lines; None where they take too much of the panel."""
    for share in _SHARES:
        room = share * width - _GAP - _EDGE
        texts = [wrapped_to(name, room, SIZES.label) for name in names]
        widest = max(text_width(part, SIZES.label) for text in texts for part in text)
        count = sum(len(text) for text in texts)
        if widest <= room and count * SIZES.label * LINE <= 0.9 * height:
            return texts
    return None


def _x_scale(encoding: Spec, rows: list[Spec]) -> _Scale:
    scale = encoding.get("scale") or {}
    log = scale.get("type") == "log"
    if scale.get("domain"):
        low, high = scale["domain"]
        return _Scale(float(low), float(high), log)
    places = [float(row[encoding["field"]]) for row in rows if row.get(encoding["field"])]
    low, high = min(places), max(places)
    return _Scale(low if log else low - _MARGIN * (high - low or 1.0), high, log)


def _y_scale(view: Spec, spec: Spec, data: Spec) -> _Scale | None:
    """The panel's own axis, or one over all that it draws, with a margin; None without numbers."""
    given: list[float] = []
    drawn: list[float] = []
    log = False
    for layer in view.get("layer", [view]):
        encoding = layer.get("encoding", {})
        scale = (encoding.get("y") or {}).get("scale") or {}
        log = log or scale.get("type") == "log"
        # The names of rows are no numbers: a panel of these has no lines to name.
        given += [end for end in scale.get("domain") or [] if isinstance(end, int | float)]
        for channel in ("y", "y2"):
            field = (encoding.get(channel) or {}).get("field")
            values = [row.get(field) for row in _rows(layer, view, spec, data)] if field else []
            drawn += [float(value) for value in values if isinstance(value, int | float)]
    ends = given or drawn
    if not ends:
        return None
    low, high = min(ends), max(ends)
    if log:
        return _Scale(low, high, True) if given else None
    margin = _MARGIN * (high - low or abs(high) or 1.0)
    return _Scale(low - margin, high + margin, False)


def _apply(view: Spec, plan: _Plan) -> None:
    width, height = view["width"], view["height"]
    last = plan.x.high
    # The ends of the lines come to lie left of the names.
    plan.x.high = plan.x.value(width / (width - plan.room))
    for layer in view.get("layer", [view]):
        encoding = layer.get("encoding", {})
        if "field" in (encoding.get("x") or {}):
            _set_scale(encoding["x"], plan.x)
            axis = encoding["x"].get("axis")
            if isinstance(axis, dict) and "values" not in axis:
                axis["values"] = even_ticks(plan.x.low, last, 5)
        if "field" in (encoding.get("y") or {}):
            _set_scale(encoding["y"], plan.y)
    if "layer" not in view:
        own = {key: view.pop(key) for key in ("mark", "encoding", "transform") if key in view}
        view["layer"] = [own]
    view["layer"] += _label_layers(plan, width, height)


def _set_scale(encoding: Spec, scale: _Scale) -> None:
    """Give an encoding a panel's axis. Every layer has it: areas would begin at zero."""
    own = {"domain": [scale.low, scale.high], "nice": False, "type": "log" if scale.log else None}
    encoding["scale"] = {key: value for key, value in own.items() if value is not None}
    if not scale.log:
        encoding["scale"]["zero"] = False


def _label_layers(plan: _Plan, width: float, height: float) -> list[Spec]:
    step = SIZES.label * LINE
    wished = [height * (1 - plan.y.share(line.y)) for line in plan.lines]
    sizes = [step * len(text) for text in plan.texts]
    middles = spread(wished, sizes, height)
    left = width - plan.room + _GAP
    scale = plan.colour["scale"]
    inks = dict(zip(scale["domain"], map(on_white, scale.get("range", ())), strict=False))
    names, leads = [], []
    for line, text, middle, wish in zip(plan.lines, plan.texts, middles, wished, strict=True):
        for number, part in enumerate(text):
            place = middle + step * (number - (len(text) - 1) / 2)
            names.append({
                "x": plan.x.value(left / width), "y": plan.y.value(1 - place / height),
                "name": part, "colour": inks.get(line.colour, INK),
            })  # fmt: skip
        moved = abs(middle - wish) > step / 2 or plan.x.share(line.x) * width < left - 4 * _GAP
        if moved:
            leads.append({
                "x": line.x, "y": line.y, "x2": plan.x.value((left - 2) / width),
                "y2": plan.y.value(1 - middle / height), "colour": inks.get(line.colour, INK),
            })  # fmt: skip
    at: Spec = {"x": _quantity("x"), "y": _quantity("y")}
    # Without a scale, since layers share theirs: these are colours of text, darker where needed.
    colour = {"field": "colour", "type": "nominal", "scale": None}
    mark = {"type": "text", "align": "left", "baseline": "middle", "fontSize": SIZES.label}
    layers: list[Spec] = [
        {
            "data": {"values": names},
            "mark": mark,
            "encoding": {**at, "text": {"field": "name", "type": "nominal"}, "color": colour},
        }
    ]
    if leads:
        ends = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
        rule = {"type": "rule", "strokeWidth": 0.75, "opacity": 0.55}
        encoding = {**at, **ends, "color": colour}
        layers.insert(0, {"data": {"values": leads}, "mark": rule, "encoding": encoding})
    return layers


def _quantity(field: str) -> Spec:
    return {"field": field, "type": "quantitative"}


def spread(wished: list[float], sizes: list[float], height: float) -> list[float]:
    """Middles of names near where they are wished, none on another and none beyond the panel.

    Args:
        sizes: their heights, which the panel's has room for together.
    """
    order = sorted(range(len(wished)), key=lambda place: wished[place])
    middles = [0.0] * len(wished)
    edge = 0.0
    for place in order:  # downwards: below the one before
        middles[place] = max(wished[place], edge + sizes[place] / 2)
        edge = middles[place] + sizes[place] / 2
    edge = height
    for place in reversed(order):  # and up again, from the panel's lower edge
        middles[place] = min(middles[place], edge - sizes[place] / 2)
        edge = middles[place] - sizes[place] / 2
    return middles


def _drop_legends(views: list[Spec], fields: set[str]) -> None:
    for view in views:
        for layer in view.get("layer", [view]):
            for channel in ("color", "strokeDash", "shape", "fill"):
                encoding = layer.get("encoding", {}).get(channel)
                if isinstance(encoding, dict) and encoding.get("field") in fields:
                    encoding["legend"] = None
