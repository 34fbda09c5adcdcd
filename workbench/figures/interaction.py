"""Figures on a screen: zoom and pan, names that choose curves, and every curve's value at a place.

Files for print stay without it. A wheel alone scrolls the page; with Ctrl it zooms, as a pinch on a
touch pad does. Dragging pans, and a double click takes all of that back.
"""

from typing import Any

import numpy as np
import polars as pl

from workbench.figures.panel_width import panels_of

Spec = dict[str, Any]
Frames = dict[str, pl.DataFrame]
_ZOOM = "wheel![event.ctrlKey || event.metaKey]"
_FADED = 0.06
_LISTED = 24
"""Curves of a panel whose values a tooltip lists; of more it would leave the window."""
_PLACES = 160
_TEXT = ("text", "rule", "rect")


def interactive(spec: Spec, frames: Frames) -> tuple[Spec, Frames]:
    """A chart that answers the mouse, and its data with what tooltips read.

    Args:
        spec: as Vega-Lite, sized, with its data by name. It is changed.
        frames: the data sets of these names.
    """
    frames = dict(frames)
    runs = (spec.get("usermeta") or {}).get("behind", {})
    shared = (spec.get("resolve") or {}).get("scale", {})
    together = "shared" in (shared.get("x"), shared.get("y"))
    views = [view for view in panels_of(spec) if _axes_of(view)]
    chosen: dict[str, list[str]] = {}
    for place, view in enumerate(views):
        name = f"panel{place}"
        _prepare(view, name)
        if not together:
            view["layer"][0]["params"] = [_zoom(f"zoom{place}")]
        line = _line_of(view)
        if line is None:
            continue
        line["name"] = f"{name}_lines"
        for field in _legend_fields(line):
            chosen.setdefault(field, []).append(line["name"])
        _fade(view, _legend_fields(line))
        _list_values(view, line, frames, runs, place, most=max(40, _PLACES // len(views)))
    params: list[Spec] = [
        {
            "name": f"chosen_{field}", "bind": "legend", "views": names,
            "select": {"type": "point", "fields": [field]},
        }
        for field, names in chosen.items()
    ]  # fmt: skip
    if together and views:
        names = [view["layer"][0]["name"] for view in views]
        params.append({**_zoom("zoom"), "views": names})
    if params:
        spec["params"] = [*spec.get("params", []), *params]
    return spec, frames


def _line_of(view: Spec) -> Spec | None:
    """The layer of a panel that has its lines, coloured by their names."""
    for layer in view.get("layer", [view]):
        colour = layer.get("encoding", {}).get("color") or {}
        if _mark(layer) == "line" and "field" in colour and not layer.get("transform"):
            return layer
    return None


def _mark(layer: Spec) -> str:
    mark = layer.get("mark") or {}
    return mark if isinstance(mark, str) else str(mark.get("type", ""))


def _axes_of(view: Spec) -> Spec | None:
    """The layer of a panel whose two axes are numbers, which can be zoomed."""
    for layer in view.get("layer", [view]):
        encoding = layer.get("encoding", {})
        kinds = [(encoding.get(channel) or {}).get("type") for channel in ("x", "y")]
        if kinds == ["quantitative"] * 2:
            return dict(layer)
    return None


def _prepare(view: Spec, name: str) -> None:
    """Name a panel, put an invisible layer with its axes first, and cut marks at its edges."""
    if "layer" not in view:
        own = {key: view.pop(key) for key in ("mark", "encoding", "transform") if key in view}
        view["layer"] = [own]
    axes = _axes_of(view)
    assert axes is not None, "a panel with two axes of numbers"
    carrier = {
        **{key: axes[key] for key in ("data",) if key in axes},
        "name": f"{name}_axes",
        "mark": {"type": "point", "opacity": 0, "size": 0, "tooltip": None},
        "transform": [{"filter": "false"}],
        "encoding": {channel: axes["encoding"][channel] for channel in ("x", "y")},
    }
    view["name"] = name
    view["layer"] = [carrier, *view["layer"]]
    for layer in view["layer"]:
        mark = layer["mark"] if isinstance(layer["mark"], dict) else {"type": layer["mark"]}
        layer["mark"] = {**mark, "clip": _mark(layer) != "text"}
    _free_ticks(view, name)


def _zoom(name: str) -> Spec:
    return {
        "name": name, "bind": "scales",
        "select": {"type": "interval", "zoom": _ZOOM, "clear": "dblclick"},
    }  # fmt: skip


def _free_ticks(view: Spec, name: str) -> None:
    """Chosen ticks of a logarithmic axis, until the axis is zoomed: then those of the scale."""
    for layer in view["layer"]:
        for channel in ("x", "y"):
            encoding = layer.get("encoding", {}).get(channel) or {}
            axis, scale = encoding.get("axis"), encoding.get("scale") or {}
            if not isinstance(axis, dict) or not isinstance(axis.get("values"), list):
                continue
            if scale.get("type") != "log" or "domain" not in scale:
                continue
            low, high = scale["domain"]
            now = f"domain('{name}_{channel}')"
            test = f"{now}[0] == {low!r} && {now}[1] == {high!r}"
            values = ", ".join(map(repr, axis["values"]))
            encoding["axis"] = {**axis, "values": {"expr": f"{test} ? [{values}] : null"}}


def _legend_fields(line: Spec) -> list[str]:
    """The fields whose names in the legend choose curves."""
    fields = []
    for channel in ("color", "strokeDash"):
        encoding = line["encoding"].get(channel) or {}
        if encoding.get("field") and encoding.get("legend", {}) is not None:
            fields.append(encoding["field"])
    return list(dict.fromkeys(fields))


def _fade(view: Spec, fields: list[str]) -> None:
    """Fade the marks of the names that are not chosen."""
    for layer in view["layer"]:
        encoding = layer.get("encoding", {})
        if _mark(layer) in _TEXT or (encoding.get("color") or {}).get("field") not in fields:
            continue
        own = [{"param": f"chosen_{field}"} for field in fields if field in _fields(layer)]
        opacity = layer["mark"].get("opacity", 1)
        encoding["opacity"] = {
            "condition": {"test": {"and": own}, "value": opacity}, "value": min(_FADED, opacity),
        }  # fmt: skip


def _fields(layer: Spec) -> set[str]:
    parts = (part for part in layer["encoding"].values() if isinstance(part, dict))
    return {str(part["field"]) for part in parts if "field" in part}


def _list_values(
    view: Spec, line: Spec, frames: Frames, runs: dict[str, str], place: int, most: int
) -> None:
    """A rule at the place nearest to the mouse, whose tooltip lists every curve there."""
    data = line.get("data") or view.get("data") or {}
    frame = frames.get(str(data.get("name")))
    if frame is None or frame.is_empty():
        return
    encoding = line["encoding"]
    x, y = encoding["x"]["field"], encoding["y"]["field"]
    by = [
        part["field"] for channel in ("color", "strokeDash", "detail")
        for part in _listed(encoding.get(channel)) if part.get("field") in frame.columns
    ]  # fmt: skip
    by = list(dict.fromkeys(by))
    known = frame.drop_nulls([x, y]).partition_by(by, as_dict=True, maintain_order=True)
    curves = dict(sorted(known.items(), key=_order(encoding, by)))
    if not 1 <= len(curves) <= _LISTED or "order" in encoding:
        return  # a path may pass a place twice
    table, tips = _values_at(curves, x, y, runs, most)
    name = f"values{place}"
    frames[name] = table
    axis = encoding["x"].get("title") or x
    view["layer"].append(
        {
            "data": {"name": name},
            "mark": {"type": "rule", "color": "#888888", "strokeWidth": 1, "clip": True},
            "params": [
                {
                    "name": f"near{place}",
                    "select": {
                        "type": "point", "encodings": ["x"], "nearest": True,
                        "on": "pointerover", "clear": "pointerout",
                    },
                }
            ],
            "encoding": {
                "x": {**encoding["x"], "field": "x"},
                "opacity": {
                    "condition": {"param": f"near{place}", "empty": False, "value": 1}, "value": 0,
                },
                "tooltip": [
                    {"field": "x", "type": "quantitative", "title": axis, "format": ",.6~g"},
                    *tips,
                ],
            },
        }
    )  # fmt: skip


def _listed(part: Any) -> list[Spec]:
    return part if isinstance(part, list) else [part] if part else []


def _values_at(
    curves: dict[tuple[Any, ...], pl.DataFrame], x: str, y: str, runs: dict[str, str], most: int
) -> tuple[pl.DataFrame, list[Spec]]:
    """Texts of every curve at common places, a column each, and the tooltip's rows."""
    every = [own[x].cast(pl.Float64).to_numpy() for own in curves.values()]
    places = np.unique(np.concatenate(every))
    if len(places) > most:
        places = places[np.unique(np.linspace(0, len(places) - 1, most).astype(int))]
    columns: dict[str, Any] = {"x": places}
    tips: list[Spec] = []
    titles: set[str] = set()
    for number, (key, own) in enumerate(curves.items()):
        words = dict.fromkeys(part for part in key if isinstance(part, str) and part)
        title = ", ".join(words) or "value"
        title = title if title not in titles else f"{title} ({number})"
        titles.add(title)
        columns[f"c{number}"] = _texts(own.sort(x), x, y, places, _behind(key, own, runs))
        tips.append({"field": f"c{number}", "type": "nominal", "title": title})
    return pl.DataFrame(columns), tips


def _behind(key: tuple[Any, ...], own: pl.DataFrame, runs: dict[str, str]) -> str:
    """The run behind a curve, or how many seeds, after a comma; nothing where it is not known."""
    known = [runs[str(part)] for part in key if isinstance(part, int) and str(part) in runs]
    known += own["behind"].head(1).to_list() if "behind" in own.columns else []
    return "".join(f", {text}" for text in known)


def _order(encoding: Spec, by: list[str]) -> Any:
    """Sorts curves by their fields as the legend has them."""
    places: dict[str, dict[Any, int]] = {}
    for channel in ("color", "strokeDash"):
        part = encoding.get(channel) or {}
        domain = (part.get("scale") or {}).get("domain") or []
        places[part.get("field", "")] = {name: place for place, name in enumerate(domain)}
    return lambda item: [
        places.get(field, {}).get(part, 0) for field, part in zip(by, item[0], strict=True)
    ]


def _texts(own: pl.DataFrame, x: str, y: str, places: Any, behind: str) -> list[str | None]:
    """A curve's values at places, with its band; None before and beyond it. What lies between two
    measured places is about that: "~3.14"."""
    known = own[x].cast(pl.Float64).to_numpy()

    def at(column: str) -> Any:
        values = own[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return np.interp(places, known, values, left=np.nan, right=np.nan)

    value = at(y)
    low, high = (at(name) if name in own.columns else np.full(len(places), np.nan)
                 for name in ("low", "high"))  # fmt: skip
    about = np.where(np.isin(places, known), "", "~")
    return [
        None if np.isnan(v)
        else f"{m}{v:.4g}{behind}" if np.isnan(a + b)
        else f"{m}{v:.4g} ({a:.4g} to {b:.4g}){behind}"
        for m, v, a, b in zip(about, value, low, high, strict=True)
    ]  # fmt: skip
