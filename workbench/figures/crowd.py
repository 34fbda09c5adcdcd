"""Many curves as one: their median, and the middle half of them."""

import numpy as np
import polars as pl

from workbench.analysis.curves import Floats

MOST = 20
"""Curves of a panel that are drawn each for itself."""
_PLACES = 120


def summarised(frames: list[pl.DataFrame], *, log: bool = True) -> pl.DataFrame:
    """The median of curves as "value", their quartiles as "low" and "high", along "x".

    They are taken where at least half of the curves are known, so that a few long ones do not
    stand for all.

    Args:
        frames: "x", increasing, and "value" of each curve.
    """
    places = np.unique(np.concatenate([frame["x"].to_numpy() for frame in frames]))
    if len(places) > _PLACES:
        first, last = float(places[0]), float(places[-1])
        spaced = np.geomspace if log else np.linspace
        places = np.unique(np.clip(spaced(first, last, _PLACES), first, last))
    table = np.stack([_within(places, frame) for frame in frames])
    often = (~np.isnan(table)).sum(axis=0) * 2 >= len(frames)
    places, table = places[often], table[:, often]
    low, middle, high = np.nanquantile(table, [0.25, 0.5, 0.75], axis=0)
    return pl.DataFrame({"x": places, "value": middle, "raw": middle, "low": low, "high": high})


def _within(places: Floats, frame: pl.DataFrame) -> Floats:
    """A curve at other places; NaN outside its own."""
    values = np.interp(
        places, frame["x"].to_numpy(), frame["value"].to_numpy(), left=np.nan, right=np.nan
    )
    return np.asarray(values)
