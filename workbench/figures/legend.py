"""What colours, dashes and panels of a figure of curves stand for, and what they are called."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from workbench.errors import InputError
from workbench.figures.names import distinct, group_names
from workbench.figures.points import OBJECTIVE, Family, by_number, distinguishing_keys
from workbench.figures.theme import (
    DASHES,
    INK,
    Style,
    palette,
    series_channels,
    stroke_legend,
    styles_of,
)
from workbench.recipe.objectives import display_name

NO_PANELS = "none"
"""In place of a key: no panel for each of its values."""
_MOST_PANELS = 12
_MOST_COLOURS = 12
"""Names of colours in a legend; of more, which have an order, some are named."""


@dataclass(frozen=True)
class Channels:
    """The keys by which a figure's curves differ."""

    facet: str | None
    colour: str | None
    """None for the objective."""
    dashes: list[str]
    unnamed: int = 0
    """How many configurations differ in keys that no channel stands for; 0 where all are named."""


def leading_keys(every: Sequence[Family]) -> list[str]:
    """The keys that distinguish configurations, those with the most values first."""
    keys = distinguishing_keys(list(every))
    return sorted(keys, key=lambda key: -_count(every, [key]))


def channels_of(
    every: Sequence[Family],
    facet: str | None = None,
    dash: str | None = None,
    colour: str | None = None,
) -> Channels:
    """What colours, dashes and panels stand for, where they are not given.

    Colour is the objective, and a dash all the keys that differ; those of `evaluation` only where
    curves differ in nothing else. Where those have more values than
    there are dashes, the key with the most values gets a panel for each, or the colours where there
    is one objective alone; and where that is not enough, dashes are one key's.

    Args:
        facet: a key with a panel for each value, or `NO_PANELS`.

    Raises:
        InputError: no run has the key.
    """
    for key in (facet, dash, colour):
        if key not in (None, NO_PANELS) and not any(key in family.keys for family in every):
            raise InputError(f"no run has the key {key}.")
    objectives = len({family.objective for family in every}) > 1
    keys = [key for key in leading_keys(every) if key not in (facet, colour)]
    shown = [OBJECTIVE, *(key for key in (facet, colour) if key not in (None, NO_PANELS))]
    rest = [key for key in keys if not key.startswith("evaluation.")]
    if _count(every, [*shown, *rest]) == _count(every, [*shown, *keys]):
        keys = rest  # how curves were evaluated distinguishes none of them
    if dash is not None:
        return Channels(None if facet == NO_PANELS else facet, colour, [dash])
    others = [OBJECTIVE] if colour not in (None, OBJECTIVE) and objectives else []

    def crowded() -> bool:
        return _count(every, [*others, *keys]) > len(DASHES)

    if crowded() and colour is None and not objectives and keys:
        colour = keys.pop(0)
    if crowded() and facet is None:
        facet = next((key for key in keys if 2 <= _count(every, [key]) <= _MOST_PANELS), None)
        keys = [key for key in keys if key != facet]
    facet = None if facet == NO_PANELS else facet
    if not crowded():
        keys = [key for key in distinguishing_keys(list(every)) if key in keys]
        return Channels(facet, colour, [*others, *keys])
    named = others or [key for key in keys if _count(every, [key]) <= len(DASHES)][:1]
    return Channels(facet, colour, named, _count(every, [*others, *keys]))


def _count(every: Sequence[Family], keys: list[str]) -> int:
    return len({_values(family, keys) for family in every})


def _values(family: Family, keys: Sequence[str]) -> str:
    return json.dumps([family.keys.get(key) for key in keys], default=str)


def legend_name(family: Family, published: bool = False) -> str:
    """An objective, and whether its numbers are published or imported ones."""
    return _with_origin(display_name(family.objective), family, published)


def _with_origin(name: str, family: Family, published: bool = False) -> str:
    origin = "published" if published else "imported" if family.imported else ""
    return ", ".join(part for part in (name, origin) if part)


def series_names(every: Sequence[Family], metric: str) -> list[str]:
    """What each family's curve is called beside others': see `Family.series`."""
    return distinct(
        [json.dumps([f.objective, f.estimator, f.imported]) for f in every],
        every,
        (lambda family: family.series(metric), lambda family: f"{family.series(metric)}, "
         f"{family.objective}", lambda family: f"{family.series(metric)}, {family.estimator}"),
    )  # fmt: skip


class Legend:
    """The names and marks of a figure's colours, shapes and dashes, the same in all its panels.

    Two values never share a name, and two names never a dash.
    """

    def __init__(self, every: Sequence[Family], keys: list[str], colour: str | None = None) -> None:
        self.keys, self.colour = keys, colour
        if colour is None:
            styles = styles_of(family.objective for family in every)
            order = list(styles)
            members = {self._series_identity(family): family for family in every}
            found = sorted(
                members, key=lambda i: (order.index(members[i].objective), members[i].imported)
            )
            ways = (legend_name, lambda family: _with_origin(family.objective, family))
            names = distinct(found, [members[identity] for identity in found], ways)
            own = [styles[members[identity].objective] for identity in found]
        else:
            found = sorted({self._series_identity(f) for f in every}, key=by_number)
            names = group_names([{colour: json.loads(text)} for text in found])
            known = sum(text != "null" for text in found)
            # A run without the key is drawn in ink, outside the palette of the values.
            own = [*[Style(INK, [1, 0], "circle")] * (len(found) - known), *palette(known)]
        self._series = dict(zip(found, names, strict=True))
        self.styles = dict(zip(names, own, strict=True))
        texts = sorted({_values(family, keys) for family in every}, key=_by_numbers)
        groups = [dict(zip(keys, json.loads(text), strict=True)) for text in texts]
        self._labels = dict(zip(texts, group_names(groups), strict=True))
        self.labels = list(self._labels.values())
        self.unlabelled = len(texts) if len(texts) > len(DASHES) else 0
        self.labels = [] if self.unlabelled else self.labels
        self._numbers: dict[str, tuple[int, str]] = {}

    def _series_identity(self, family: Family) -> str:
        if self.colour is None:
            return json.dumps([family.objective, family.imported])
        return json.dumps(family.keys.get(self.colour), default=str)

    def series(self, family: Family) -> str:
        """What its colour stands for."""
        return self._series[self._series_identity(family)]

    def label(self, family: Family) -> str:
        """What its dash stands for; nothing for many configurations in one."""
        return self._labels.get(_values(family, self.keys), "")

    def number(self, runs: str, seeds: int) -> int:
        """A number for the runs behind a curve: a tenth of the bytes to send to a browser."""
        text = f"run {runs}" if seeds == 1 else f"{seeds} seeds"
        if seeds != len(runs.split()):
            text = f"median of {len(runs.split())} runs"
        number, _ = self._numbers.setdefault(runs, (len(self._numbers) + 1, text))
        return number

    def behind(self) -> dict[str, str]:
        """What is behind each numbered curve: its run, or how many seeds or runs."""
        return {str(number): text for number, text in self._numbers.values()}

    def channels(self, *, marks: bool = True) -> tuple[list[Any], Any]:
        """Encodings of lines, and the shape of the markers on them.

        Args:
            marks: whether there are markers, which the legend shows then.
        """
        series, styles = list(self.styles), list(self.styles.values())
        if len(self.labels) < 2:
            colour, dash, shape = series_channels(
                series, styles, legend=_thinned(stroke_legend(), series)
            )
            return [colour, dash], shape
        named = (
            alt.Legend(orient="bottom", columns=1, symbolSize=60, symbolDash=[1, 0], offset=8)
            if marks
            else stroke_legend()
        )
        named = _thinned(named, series)
        colour, _, shape = series_channels(series, styles, legend=named)
        shape.legend = named
        dashes = [list(dash) for dash in DASHES[: len(self.labels)]]
        dash = alt.StrokeDash(
            "label:N", title=None, sort=self.labels, legend=stroke_legend(),
            scale=alt.Scale(domain=self.labels, range=dashes),
        )  # fmt: skip
        return [colour, dash], shape


def _thinned(legend: alt.Legend, series: list[str]) -> alt.Legend:
    """The legend with some of its names, evenly spread, where they are many."""
    if len(series) > _MOST_COLOURS:
        step = -(-(len(series) - 1) // (_MOST_COLOURS - 1))
        legend.values = series[::step]
    return legend


def _by_numbers(text: str) -> list[tuple[int, float, str]]:
    return [by_number(json.dumps(value)) for value in json.loads(text)]


def panels_by(every: Sequence[Family], facet: str | None) -> list[tuple[str, list[Family]]]:
    """The families of each panel, with its title: one for each value of a key."""
    if facet is None:
        return [("", list(every))]
    values = sorted({_values(family, [facet]) for family in every}, key=_by_numbers)
    titles = group_names([{facet: json.loads(value)[0]} for value in values])
    return [
        (title, [family for family in every if _values(family, [facet]) == value])
        for title, value in zip(titles, values, strict=True)
    ]
