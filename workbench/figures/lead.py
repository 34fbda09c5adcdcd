"""A small panel below a crossover's curves: the challenger's lead with the band of its uncertainty.

The crossover is where the lead leaves zero for good, its interval where the band may hold zero. The
dots are the lead as measured. The smooth line and the band begin at the second of them, since
between the first two nothing is known of its course.
"""

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from workbench.analysis.band import crossing_along_training
from workbench.analysis.document_curves import lead_along
from workbench.analysis.pairing import Pair
from workbench.figures.axes import Beginning, linear_axis
from workbench.figures.theme import FAINT, INK
from workbench.metrics import higher_is_better, unit

HEIGHT = 90
MEASURED, SMOOTHED = "lead", "lead, smoothed"
_PLACES = 150


def lead_frame(
    results: Path, pair: Pair, answer: dict[str, Any], metric: str
) -> pl.DataFrame | None:
    """The lead as measured and smoothed, with "low" and "high" of its 95 % band; None where the
    answer has another definition than a band.

    There is no band where none is known over seeds: that over the documents of one seed is far
    too narrow for a crossover.
    """
    if answer["definition"] != "band":
        return None
    lead = lead_along(results, pair, metric, answer["axis"], higher=higher_is_better(metric))
    if lead is None or len(lead.x) < 2:
        return None
    band = crossing_along_training(lead.x, lead.mean, answer["over_asked"]).band
    measured = pl.DataFrame({"x": lead.x, "y": lead.mean.value, "curve": MEASURED})
    inside = np.flatnonzero(band.x >= lead.x[1])
    chosen = inside[np.unique(np.linspace(0, len(inside) - 1, _PLACES).astype(int))]
    known = band.over is not None and "seeds" in band.over
    limits = (band.low, band.high) if known else (np.full(len(band.x), np.nan),) * 2
    smoothed = pl.DataFrame(
        {
            "x": band.x[chosen],
            "y": band.lead[chosen],
            "curve": SMOOTHED,
            "low": limits[0][chosen],
            "high": limits[1][chosen],
        }
    )
    return pl.concat([measured, smoothed], how="diagonal").with_columns(
        pl.col("low", "high").fill_nan(None)
    )


def lead_layers(frame: pl.DataFrame, x: Any, metric: str, begin: Beginning) -> list[Any]:
    """The layers of the panel, on the axis of the curves above it."""
    of = unit(metric)
    shown = np.r_[begin.values(frame, "y", "low", "high"), 0.0]
    y = linear_axis("y:Q", f"lead ({of})" if of else "lead", shown)
    y.axis.tickCount = 3
    smoothed = frame.filter(pl.col("curve") == SMOOTHED)
    banded = smoothed.drop_nulls(["low", "high"])
    zero = alt.Chart(pl.DataFrame({"y": [0.0]})).mark_rule(color=FAINT)
    layers = [zero.encode(y)]
    if banded.height:
        area = alt.Chart(banded).mark_area(color=INK, opacity=0.2, clip=True)
        layers.append(area.encode(x, alt.Y("low:Q"), alt.Y2("high:Q")))
    layers.append(alt.Chart(smoothed).mark_line(color=INK, strokeWidth=1.5, clip=True).encode(x, y))
    dots = alt.Chart(frame.filter(pl.col("curve") == MEASURED))
    layers.append(
        dots.mark_point(color=INK, filled=True, size=14, opacity=1, clip=True).encode(x, y)
    )
    return layers
