"""A map over size and unique tokens: where crossovers lie, the difference of both sides, who leads.

A cell is one comparison that was measured. Nothing is drawn between cells, a cell without runs
stays empty, and two values never share a cell.
"""

import json
from typing import Any, Literal, get_args

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.run_keys import following_keys
from workbench.errors import InputError
from workbench.figures.axes import log_ticks
from workbench.figures.crossovers import _styles as side_styles
from workbench.figures.crossovers import side_text
from workbench.figures.exact_columns import with_rows
from workbench.figures.figure import Figure
from workbench.figures.points import by_number
from workbench.figures.theme import (
    AXIS_TITLES,
    INK,
    Style,
    finished,
    heading,
    key_text,
    ramp,
    short,
)
from workbench.messages import choose

Show = Literal["crossover", "difference", "winner"]
EPOCHS = "epochs"
"""A facet of every map: the epochs of the challenger up to which a cell was compared."""
_CELLS = ("unique_tokens", "n_params")
_WIDTH, _HEIGHT = 290, 230
_PANELS = 40
_TINT, _STOPS = 0.45, 5
_TO = "\N{EN DASH}"


def map_figure(
    rows: list[dict[str, Any]], show: Show = "crossover", *, facet: str | None = None
) -> Figure:
    """A cell for each size and number of unique tokens, coloured by what was measured there.

    A filled cell has a place, or a difference whose 95 % interval excludes zero; its text is the
    number and the interval. A dashed, empty one is a bound, or is undecided. What is not drawn was
    not measured.

    Args:
        rows: of `crossovers` to show these; of `differences` to show a difference or the winner.
        facet: a key of the groups that gets a panel for each value, or "epochs": those up to which
            a cell was compared. By default the one key in which values of a cell differ, if any.

    Raises:
        InputError: a cell would have several values, which are not averaged; no group has that
            key; or there are more panels than a page shows.
    """
    choose("show", show, get_args(Show))
    if not rows:
        raise InputError("a map: there is nothing to compare.")
    facet = _facet(rows, facet)
    frame = pl.DataFrame(
        [_cell(row, show, facet) for row in rows],
        infer_schema_length=None,
        schema_overrides=dict.fromkeys(("value", "low", "high"), pl.Float64),
    )
    _refuse_averages(frame, rows, facet)
    values = sorted(set(frame["facet"].to_list()), key=by_number)
    if len(values) > _PANELS:
        raise InputError(
            f"a map: {len(values)} values of {facet} are more panels than the {_PANELS} drawn. "
            "Choose some of the runs, or another facet."
        )
    look = _Look(frame, rows[0], show)
    panels = [look.panel(frame.filter(facet=value), _facet_title(facet, value)) for value in values]
    chart = alt.concat(*panels, columns=3).properties(title=heading(*_words(rows[0], show)))
    title = f"{rows[0]['study']}: {show} by {rows[0]['metric']} over size and unique tokens"
    return Figure(finished(chart), with_rows(frame.drop("facet"), rows), title)


def _facet(rows: list[dict[str, Any]], facet: str | None) -> str | None:
    """The key that panels are of: the one asked for, or the only one in which a cell's values
    differ."""
    groups = [row["group"] for row in rows]
    if facet == EPOCHS:
        if all(_epochs(row) is None for row in rows):
            raise InputError(
                "facet epochs: they are known of last values, and of crossovers along tokens or "
                "epochs."
            )
        return facet
    if facet is not None:
        if not any(facet in group for group in groups):
            known = [key for group in groups for key in group if key not in _CELLS]
            raise InputError(
                f"facet {facet}: the groups that are compared do not differ in it. Facets: "
                f"{', '.join(dict.fromkeys([*known, EPOCHS]))}."
            )
        return facet
    keys = _differing_in_a_cell(groups)
    return keys[0] if len(keys) == 1 else None


def _differing_in_a_cell(groups: list[dict[str, Any]]) -> list[str]:
    """The keys in which groups of one size and number of unique tokens differ, without those that
    follow from another of them."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        cells.setdefault(_text([group.get(key) for key in _CELLS]), []).append(group)
    names = [key for key in dict.fromkeys(k for g in groups for k in g) if key not in _CELLS]
    keys = [
        key
        for key in names
        if any(len({_text(group.get(key)) for group in own}) > 1 for own in cells.values())
    ]
    chosen: list[str] = []
    for key in keys:
        if not any(key in following_keys(groups, other) for other in chosen):
            chosen.append(key)
    return chosen


def _refuse_averages(frame: pl.DataFrame, rows: list[dict[str, Any]], facet: str | None) -> None:
    shared = frame.group_by("facet", *_CELLS).len().filter(pl.col("len") > 1)
    if shared.is_empty():
        return
    keys = [key for key in _differing_in_a_cell([row["group"] for row in rows]) if key != facet]
    many = f"{shared.height} cell{'s have' if shared.height > 1 else ' has'} several values"
    raise InputError(
        f"a map: {many}, which differ in {' and '.join(keys) or 'nothing that is named'} and are "
        "not averaged. Give one of these as facet=, for a panel for each of its values, and choose "
        "the runs of one value of the others by where=."
    )


def _text(value: Any) -> str:
    return json.dumps(value, default=str)


def _epochs(row: dict[str, Any]) -> float | None:
    """The epochs up to which a pair was compared, to four digits; None where they are not known."""
    if "at_epochs" in row:
        epochs = row["at_epochs"]
    elif row.get("axis") == "epochs":
        epochs = row["last_x"]
    elif row.get("axis") == "tokens" and row["group"].get("unique_tokens"):
        epochs = row["last_x"] / row["group"]["unique_tokens"]
    else:
        epochs = None
    return None if epochs is None else float(f"{epochs:.4g}")


def _facet_title(facet: str | None, value: str) -> str:
    known = json.loads(value)
    if facet is None:
        return ""
    if facet == EPOCHS:
        return "epochs not known" if known is None else f"up to {known:g} epochs"
    return key_text(facet, known)


def _cell(row: dict[str, Any], show: Show, facet: str | None) -> dict[str, Any]:
    """One comparison: its cell, value, interval, whether it is filled, and the text inside."""
    group = row["group"]
    value = None if facet is None else _epochs(row) if facet == EPOCHS else group.get(facet)
    own = _crossover_cell(row) if show == "crossover" else _difference_cell(row, show)
    return {
        "facet": _text(value),
        **{key: group.get(key) for key in _CELLS},
        "epochs": _epochs(row),
        "show": show,
        **own,
    }


def _crossover_cell(row: dict[str, Any]) -> dict[str, Any]:
    status = row["status"]
    low, high = row.get("ci95") or (None, None)
    place = row["crossover"] if status == "crossed" else None
    bound = row.get("upper_bound" if status == "ahead_throughout" else "lower_bound")
    sign = "<" if status == "ahead_throughout" else ">"
    words = "" if low is None and high is None else f"{_end(low)}{_TO}{_end(high)}"
    return {
        "status": status,
        "value": place if place is not None else bound,
        "low": low,
        "high": high,
        "filled": place is not None,
        "who": None,
        "text": _end(place) if place is not None else f"{sign} {_end(bound)}" if bound else "?",
        "below": words if place is not None else _STATUS[status],
    }


_STATUS = {
    "not_reached": "not reached", "ahead_throughout": "ahead", "undecided": "undecided",
    "crossed": "crossed",
}  # fmt: skip


def _difference_cell(row: dict[str, Any], show: Show) -> dict[str, Any]:
    difference, ahead = row["difference"], row["ahead"]
    low, high = row["ci95"] or (None, None)
    number = f"by {abs(difference):.2g}" if show == "winner" else f"{difference:+.2g}"
    joint = " to " if low is not None and low < 0 else _TO
    known = "no interval" if low is None else f"{low:.2g}{joint}{high:.2g}"
    return {
        "status": "undecided" if ahead is None else f"{ahead} ahead",
        "value": difference,
        "low": low,
        "high": high,
        "filled": ahead is not None,
        "who": None if ahead is None else side_text(row[ahead]),
        "text": "undecided" if show == "winner" and ahead is None else number,
        "below": known,
    }


def _end(value: float | None) -> str:
    return "?" if value is None else short(float(f"{value:.3g}"))


def _words(row: dict[str, Any], show: Show) -> tuple[str, list[str]]:
    """The title and the lines below it."""
    baseline, challenger = side_text(row["baseline"]), side_text(row["challenger"])
    empty = "empty: not measured"
    if show == "crossover":
        return (
            f"{row['study']}: where {challenger} overtakes {baseline}, by {row['metric']}",
            [f"{AXIS_TITLES[row['axis']]}, 95 % interval below; dashed: a bound; {empty}"],
        )
    what = f"{row['at']} {row['metric']}"
    if show == "winner":
        title = f"{row['study']}: who is ahead, by {what}"
    else:
        title = f"{row['study']}: {challenger} minus {baseline}, {what}"
    below = f"below: the 95 % interval of {challenger} minus {baseline}"
    return title, [below, f"dashed: undecided, the interval holds zero or is not known; {empty}"]


class _Look:
    """What the panels of a map have in common: cells, colours and their legend."""

    def __init__(self, frame: pl.DataFrame, row: dict[str, Any], show: Show) -> None:
        self.show, self.row = show, row
        labels = {
            key: [_label(value) for value in sorted(set(frame[key].to_list()), key=_by_size)]
            for key in _CELLS
        }
        self.x = alt.X(
            "unique:O", title="unique tokens", scale=_bands(labels["unique_tokens"]),
            axis=alt.Axis(labelAngle=0, grid=False),
        )  # fmt: skip
        self.y = alt.Y(
            "size:O", title="parameters", scale=_bands(labels["n_params"][::-1]),
            axis=alt.Axis(grid=False),
        )  # fmt: skip
        self.colour = self._colour(frame.filter("filled"))

    def _colour(self, filled: pl.DataFrame) -> Any:
        sides = self.row["baseline"], self.row["challenger"]
        styles = side_styles(sides)
        if self.show == "winner":
            return _of_winners([side_text(side) for side in sides], styles)
        legend = alt.Legend(
            orient="bottom", gradientLength=200, gradientThickness=10, gradientOpacity=_TINT,
            offset=8,
        )  # fmt: skip
        if self.show == "difference":
            most = float(filled["value"].abs().max() or 1.0)  # type: ignore[arg-type]
            # White is "no difference": on a dark page it becomes that page's colour.
            good = [styles[1].colour, "#ffffff", styles[0].colour]
            colours = good if _lower_is_better(filled) else good[::-1]
            legend.title = "difference"
            return alt.Color(
                "value:Q", legend=legend,
                scale=alt.Scale(domain=[-most, 0, most], range=colours, interpolate="rgb"),
            )  # fmt: skip
        places = filled["value"].drop_nulls()
        low, high = (places.min(), places.max()) if len(places) else (1.0, 10.0)
        low, high = float(low), float(high)  # type: ignore[arg-type]
        ends = (low, high) if high > low else (low / 1.5, high * 1.5)
        legend.title = f"crossover ({AXIS_TITLES[self.row['axis']]})"
        legend.values = log_ticks(*ends, 4)
        legend.labelExpr = "replace(format(datum.value, '~s'), 'G', 'B')"
        stops = [float(stop) for stop in np.geomspace(*ends, _STOPS)]
        scale = alt.Scale(type="log", domain=stops, range=ramp(_STOPS))
        return alt.Color("value:Q", legend=legend if len(places) else None, scale=scale)

    def panel(self, cells: pl.DataFrame, title: str) -> Any:
        shown = cells.with_columns(
            size=pl.col("n_params").map_elements(_label, return_dtype=pl.String, skip_nulls=False),
            unique=pl.col("unique_tokens").map_elements(
                _label, return_dtype=pl.String, skip_nulls=False
            ),
        ).drop("facet")
        tips = [
            alt.Tooltip(f"{name}:{kind}", title=name.replace("_", " "))
            for name, kind in (
                ("n_params", "Q"), ("unique_tokens", "Q"), ("epochs", "Q"), ("status", "N"),
                ("value", "Q"), ("low", "Q"), ("high", "Q"),
            )
        ]  # fmt: skip
        layers: list[Any] = []
        filled, empty = shown.filter("filled"), shown.filter(~pl.col("filled"))
        if empty.height:
            marks = alt.Chart(empty).mark_rect(
                fillOpacity=0, stroke="#777777", strokeDash=[4, 3], strokeWidth=1.2
            )
            layers.append(marks.encode(self.x, self.y, tooltip=tips))
        if filled.height:
            marks = alt.Chart(filled).mark_rect(fillOpacity=_TINT, strokeOpacity=0)
            layers.append(marks.encode(self.x, self.y, self.colour, tooltip=tips))
        words = alt.Chart(shown)
        for field, size, dy in (("text", 11, -6), ("below", 9, 8)):
            mark = words.mark_text(fontSize=size, dy=dy, color=INK, tooltip=None)
            layers.append(mark.encode(self.x, self.y, alt.Text(f"{field}:N")))
        panel = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
        return panel.properties(title=title) if title else panel


def _bands(labels: list[str]) -> alt.Scale:
    """The same rows or columns in every panel, so that a cell without runs is empty there."""
    return alt.Scale(domain=labels, paddingInner=0.05, paddingOuter=0.03)


def _of_winners(names: list[str], styles: list[Style]) -> Any:
    return alt.Color(
        "who:N", title=None,
        scale=alt.Scale(domain=names, range=[style.colour for style in styles]),
        legend=alt.Legend(orient="bottom", symbolType="square", symbolOpacity=_TINT, offset=8),
    )  # fmt: skip


def _lower_is_better(filled: pl.DataFrame) -> bool:
    """Whether the challenger is ahead where the difference is below zero."""
    ahead = filled.filter(pl.col("status") == "challenger ahead")
    behind = filled.filter(pl.col("status") == "baseline ahead")
    if ahead.height:
        return bool((ahead["value"] < 0).all())
    return not behind.height or bool((behind["value"] > 0).all())


def _label(value: float | None) -> str:
    return "?" if value is None else short(value)


def _by_size(value: float | None) -> float:
    return -1.0 if value is None else float(value)
