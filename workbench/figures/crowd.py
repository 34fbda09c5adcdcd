"""Many curves as one: their median, and the middle half of them."""

import numpy as np
import polars as pl

from workbench.analysis.curves import Floats

MOST = 20
"""Curves of a panel that are drawn each for itself."""
_PLACES = 120


def summarised(frames: list[pl.DataFrame], *, log: bool = True) -> pl.DataFrame:
    """The medians of curves as "value" and "raw", and as "low" and "high" the quartiles of the
    first, along "x".

    They are taken where at least half of the curves are known, so that a few long ones do not
    stand for all.

    Args:
        frames: "x", increasing, "value" and "raw" of each curve.
    """
    places = np.unique(np.concatenate([frame["x"].to_numpy() for frame in frames]))
    if len(places) > _PLACES:
        first, last = float(places[0]), float(places[-1])
        spaced = np.geomspace if log else np.linspace
        places = np.unique(np.clip(spaced(first, last, _PLACES), first, last))
    table, raw = (
        np.stack([_within(places, frame, n) for frame in frames]) for n in ("value", "raw")
    )
    often = (~np.isnan(table)).sum(axis=0) * 2 >= len(frames)
    low, middle, high = np.nanquantile(table[:, often], [0.25, 0.5, 0.75], axis=0)
    measured = np.nanmedian(raw[:, often], axis=0)
    return pl.DataFrame(
        {"x": places[often], "value": middle, "raw": measured, "low": low, "high": high}
    )


def _within(places: Floats, frame: pl.DataFrame, column: str) -> Floats:
    """A curve at other places; NaN outside its own."""
    values = np.interp(
        places, frame["x"].to_numpy(), frame[column].to_numpy(), left=np.nan, right=np.nan
    )
    return np.asarray(values)
