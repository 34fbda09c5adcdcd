"""One name and one unit for what is measured: metrics as they are called now, shares as fractions.

Both are done to records as they are read, so that a run folder stays as it was written.
"""

import polars as pl

from workbench.metrics import OLD_NAMES, unit


def renamed(records: pl.DataFrame) -> pl.DataFrame:
    """The records, their metrics called as they are now."""
    return records.with_columns(pl.col("metric").replace(OLD_NAMES))


def in_fractions(records: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The records with percentages of other programs and figures as fractions, and the metrics
    that were in percent.

    A share is no more than 1, so a metric of shares that has a larger value is in percent
    throughout.
    """
    above = records.filter(pl.col("value") > 1)["metric"].unique().sort().to_list()
    percent = [metric for metric in above if unit(metric) == "fraction"]
    scale = pl.when(pl.col("metric").is_in(percent)).then(0.01).otherwise(1.0)
    return records.with_columns(pl.col("value") * scale, pl.col("stderr") * scale), percent
