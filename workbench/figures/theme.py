"""What all figures share: colours, names, words, and the look."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import altair as alt
import numpy as np
import polars as pl

from workbench.errors import InputError
from workbench.messages import csv_cell, place_label, pretty, size_label
from workbench.recipe.objectives import BASELINE, CHALLENGER
from workbench.recipe.plain_values import plain_word

# Figures thin their own data (see `points`); altair's guard would refuse a long run's curves.
alt.data_transformers.disable_max_rows()

# Okabe & Ito's colours, which colour-blind readers can distinguish; dashes and shapes repeat them.
COLOURS = {BASELINE: "#0072B2", CHALLENGER: "#D55E00"}
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_RAMP = ("#0b2a5b", "#3b528b", "#21918c", "#5aa52f", "#b08d00")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [1, 3], [10, 4], [4, 2, 1, 2])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
INK, FAINT, GRID = "#333333", "#9a9a9a", "#e4e4e4"
AXIS_TITLES = {
    "tokens": "training tokens",
    "epochs": "epochs",
    "flops": "training FLOPs",
    "flops_per_unique": "training FLOPs per unique token",
}
KEY_NAMES = {
    "unique_tokens": "unique tokens", "data.unique_tokens": "unique tokens",
    "n_params": "parameters", "training.seed": "seed",
}  # fmt: skip


class SIZES:
    """Font sizes in pixels of a screen; on paper they are scaled together (see `figures.paper`)."""

    label, text, title, heading = 11, 12, 13, 15


@dataclass(frozen=True)
class Style:
    """How one series is drawn."""

    colour: str
    dash: list[int]
    shape: str


def csv_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame as a CSV file has it: see `csv_cell`."""
    names = {name: csv_cell(name) for name in frame.columns}
    texts = [
        pl.col(name).map_elements(csv_cell, return_dtype=pl.String)
        for name, kind in frame.schema.items()
        if kind in (pl.String, pl.Categorical, pl.Enum)
    ]
    return frame.with_columns(texts).rename(names)


def finished(chart: Any) -> Any:
    """The look that all figures have."""
    # In one call: each copies the whole chart.
    return chart.configure(
        background="white",
        view=alt.ViewConfig(stroke="#d0d0d0"),
        axis=alt.AxisConfig(
            labelColor=INK, titleColor=INK, labelFontSize=SIZES.label, titleFontSize=SIZES.text,
            titleFontWeight="normal", gridColor=GRID, domainColor="#888888", tickColor="#888888",
        ),
        title=alt.TitleConfig(
            fontSize=SIZES.title, subtitleFontSize=SIZES.label, color=INK,
            subtitleColor="#666666", anchor="start", fontWeight=600, subtitlePadding=4,
            frame="group",
        ),
        legend=alt.LegendConfig(
            labelFontSize=SIZES.text, titleFontSize=SIZES.text, labelLimit=500, titleLimit=500,
            symbolOpacity=1,
        ),
        mark=alt.MarkConfig(tooltip=alt.TooltipContent("encoding")),
    )  # fmt: skip


def heading(text: str, subtitle: str | list[str] = "") -> alt.TitleParams:
    """The title of a figure of several panels, larger than those of its panels."""
    return alt.TitleParams(text, subtitle=subtitle, fontSize=SIZES.heading, offset=14)


def styles_of(objectives: Iterable[str]) -> dict[str, Style]:
    """The style of each objective.

    The two that the paper compares always have theirs. Another one's place in the palette
    follows from its name, so that it looks alike on every figure; where two names fall on one
    place, the later in the alphabet takes the next that is free.
    """
    known = sorted(set(objectives), key=lambda o: (o not in COLOURS, o != BASELINE, o))
    styles: dict[str, Style] = {}
    taken: set[int] = set()
    for objective in known:
        if objective in COLOURS:
            place = list(COLOURS).index(objective)
            styles[objective] = Style(COLOURS[objective], list(DASHES[place]), SHAPES[place])
            continue
        place = crc32(objective.encode()) % len(OTHERS)
        while place in taken and len(taken) < len(OTHERS):
            place = (place + 1) % len(OTHERS)
        taken.add(place)
        styles[objective] = Style(OTHERS[place], list(DASHES[place + 2]), SHAPES[place + 2])
    return styles


def series_styles(objectives: Sequence[str | None]) -> list[Style]:
    """The styles of series: of their objectives, where each series has another one."""
    named = [objective for objective in objectives if objective]
    if len(set(named)) == len(objectives):
        styles = styles_of(named)
        return [styles[objective] for objective in named]
    palette = (INK, *OTHERS[:4])
    return [Style(palette[i % 5], [1, 0], SHAPES[i % len(SHAPES)]) for i in range(len(objectives))]


def palette(count: int) -> list[Style]:
    """Styles of what is no objective: the colours that no objective of the paper has, or, beyond
    those, shades from dark blue over green to ochre, which keep their order in grey."""
    colours = list(OTHERS[:count]) if count <= len(OTHERS) else ramp(count)
    return [
        Style(colour, [1, 0], SHAPES[place % len(SHAPES)]) for place, colour in enumerate(colours)
    ]


def ramp(count: int) -> list[str]:
    """Colours of what has an order, from dark blue over green to ochre, all seen on white."""
    return [_between(_RAMP, place) for place in np.linspace(0, 1, count)]


def _between(anchors: tuple[str, ...], share: float) -> str:
    """A colour between evenly spaced ones, at a share of the way."""
    table = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in anchors])
    places = np.linspace(0, 1, len(anchors))
    mixed = (round(float(np.interp(share, places, channel))) for channel in table.T)
    return "#" + "".join(f"{value:02x}" for value in mixed)


def colour_of(objective: str) -> str:
    """An objective's colour, the same on every figure."""
    return styles_of([objective])[objective].colour


def series_channels(
    series: list[str], styles: list[Style], *, legend: Any = None, field: str = "series:N"
) -> tuple[Any, Any, Any]:
    """Colour, dash and shape of series. Colour and dash are shown in one legend, as strokes, so
    that prints in grey can be read too."""
    legend = legend if legend is not None else stroke_legend()
    return (
        alt.Color(field, title=None, legend=legend,
                  scale=alt.Scale(domain=series, range=[s.colour for s in styles])),
        alt.StrokeDash(field, title=None, legend=legend,
                       scale=alt.Scale(domain=series, range=[s.dash for s in styles])),
        alt.Shape(field, title=None, legend=None,
                  scale=alt.Scale(domain=series, range=[s.shape for s in styles])),
    )  # fmt: skip


def stroke_legend(columns: int = 1) -> alt.Legend:
    """A legend below the figure whose symbols are strokes, long enough to show their dashes."""
    return alt.Legend(
        orient="bottom", columns=columns, symbolType="stroke", symbolSize=700,
        symbolStrokeWidth=2, offset=8,
    )  # fmt: skip


def measured(estimator: str | None, higher: bool = False) -> str:
    """What a loss is: a bound is called a bound beside an exact likelihood. Accuracies are
    accuracies, however the likelihoods behind them were estimated."""
    if higher:
        return ""
    kind = (estimator or "").partition("/")[0]
    bound = " (NELBO, an upper bound of the NLL)"
    return {
        "nll": " (NLL)",
        "nelbo": bound,
        "elbo_t": bound,
        "elbo_realized": bound,
        "maskgit": " (unweighted cross-entropy, not a bound)",
    }.get(kind, "")


def key_text(key: str, value: Any) -> str:
    """One key of a group in words: "12.8k unique tokens", "dropout 0.1"; of an absent one whose
    plain value is a word, that word."""
    value = plain_word(key) if value is None else value
    if key in ("unique_tokens", "data.unique_tokens", "n_params"):
        return f"{short(value)} {KEY_NAMES[key]}"
    if isinstance(value, str) and "/" in value:
        value = Path(value).name
    return f"{key.rpartition('.')[2]} {'none' if value is None else pretty(value)}"


def key_name(key: str) -> str:
    """A key in words."""
    return KEY_NAMES.get(key, key.rpartition(".")[2])


def group_text(group: dict[str, Any], only: list[str] | None = None) -> str:
    """A group in words; of the keys in `only`, where given."""
    keys = group if only is None else {key: group[key] for key in only if key in group}
    return ", ".join(key_text(key, value) for key, value in keys.items())


def short(value: Any) -> str:
    """12,800 -> "12.8k", 1.5e9 -> "1.5B", 3e20 -> "3e20"; "?" where there is none."""
    return "?" if value is None else size_label(float(value))


def place_text(x: float, axis: str) -> str:
    """A place along an axis, with its unit."""
    units = {"flops": "FLOPs", "flops_per_unique": "FLOPs per unique token"}
    return f"{place_label(x, axis)} {units.get(axis, axis)}"


def place_of(text: str) -> float | None:
    """The place that a text such as "20k", "1.5B" or "3e20" names; None for an empty one.

    Raises:
        InputError: it is no number.
    """
    given = text.strip().replace(",", "")
    factor = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(given[-1:], 1.0)
    try:
        place = factor * float(given[:-1] if factor > 1 else given) if given else None
    except ValueError:
        place = np.nan
    if place is not None and not np.isfinite(place):
        raise InputError(f"{text}: expected a place along the axis, such as 20k, 1.5B or 3e20.")
    return place
