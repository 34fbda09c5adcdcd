"""Points in the units that runs are recorded in."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from workbench.errors import InputError
from workbench.importing.columns import NUMBERS, RUN_LEVEL
from workbench.importing.points import Points
from workbench.importing.units import check_losses, check_sizes
from workbench.messages import suggestion
from workbench.metrics import unit
from workbench.store.metric_names import in_fractions, renamed


def in_our_units(origin: str, points: Points, units: Mapping[str, float]) -> Points:
    """The points under our names of metrics and in our units; columns have theirs already.

    Raises:
        InputError: a number looks like another unit, or a share is above 100 %.
    """
    frame = renamed(points.frame)
    metrics = frame["metric"].unique().sort().to_list()
    _check_names(origin, units, metrics)
    check_sizes(
        origin,
        units,
        n_params=frame["n_params"].cast(pl.Float64).to_numpy(),
        total_tokens=frame["total_tokens"].cast(pl.Float64).to_numpy(),
        unique_tokens=frame["unique_tokens"].cast(pl.Float64).to_numpy(),
    )
    for metric in metrics:
        if unit(metric) == "nats a token":
            lowest = frame.filter(pl.col("metric") == metric)["value"].min()
            assert isinstance(lowest, float)
            check_losses(origin, metric, lowest, units)
    factor = pl.col("metric").replace_strict(dict(units), default=1.0, return_dtype=pl.Float64)
    frame = frame.with_columns(pl.col("value") * factor, pl.col("stderr") * factor)
    _check_shares(origin, frame, points.labels, units)
    sure = pl.col("metric").is_in(list(units))
    fractions, percent = in_fractions(frame.filter(~sure))
    beyond = pl.concat([fractions, frame.filter(sure)])
    shares = [metric for metric in metrics if unit(metric) == "fraction"]
    beyond = beyond.filter(pl.col("metric").is_in(shares), pl.col("value") > 1)
    if not beyond.is_empty():
        first = beyond.row(0, named=True)
        value = first["value"] * (1 if first["metric"] in units else 100)
        raise InputError(
            f"{origin}: {first['metric']} = {value:g}: expected a fraction from 0 to 1, or a "
            "percentage."
        )
    if units:
        frame = pl.concat([fractions, frame.filter(sure)])
        points = replace(points, provenance={**points.provenance, "units": dict(units)})
    else:
        frame = fractions
    notes = [f"{metric} is in percent, and imported as a fraction." for metric in percent]
    return replace(points, frame=frame, notes=[*points.notes, *notes])


def _check_names(origin: str, units: Mapping[str, float], metrics: list[str]) -> None:
    known = [*(name for name in NUMBERS if name != "value"), *metrics]
    for name, factor in units.items():
        if name not in known:
            raise InputError(
                f"--unit {name}={factor:g}: {origin} has no number of that name"
                f"{suggestion(name, known) or '.'} Units are of {', '.join(known)}."
            )


def _check_shares(
    origin: str, frame: pl.DataFrame, labels: list[str], units: Mapping[str, float]
) -> None:
    """Refuse shares that are a percentage in some runs and a fraction in others."""
    runs = frame.group_by(*RUN_LEVEL, *labels, "metric").agg(pl.col("value").max())
    for metric in runs["metric"].unique().sort():
        largest = runs.filter(pl.col("metric") == metric)["value"]
        if unit(metric) == "fraction" and metric not in units and (largest > 1).any():
            low = largest.filter((largest > 0) & (largest <= 1))
            if not low.is_empty():
                raise InputError(
                    f"{origin}: {metric} is at most {low.max():g} in some runs and up to "
                    f"{largest.max():g} in others: a fraction in some, a percentage in others? If "
                    f"all are percentages: --unit {metric}=0.01; else write one unit for all."
                )
