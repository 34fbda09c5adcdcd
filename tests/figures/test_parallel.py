"""Parallel coordinates: a line ends at its configuration's value, with that of outcomes."""

from pathlib import Path

import polars as pl
import pytest

from workbench.analysis.outcomes import outcomes
from workbench.errors import InputError
from workbench.figures import parallel_figure

UNIQUE = "data.unique_tokens"


def test_a_line_goes_through_each_key_to_the_value_of_its_configuration(study: Path) -> None:
    figure = parallel_figure(study, "made", "val_loss")
    rows = outcomes(study, "made", "val_loss")
    data = figure.data
    assert data["line"].n_unique() == len(rows)
    assert set(data["axis"]) == {"objective", "unique tokens", "last val_loss"}
    ends = data.filter(axis="last val_loss").sort("mean")
    assert ends["place"].is_sorted()
    known = {" ".join(row["runs"]): row["last"] for row in rows}
    for row in ends.to_dicts():
        assert row["mean"] == known[row["run_ids"]]["mean"]
        assert [row["low"], row["high"]] == known[row["run_ids"]]["ci95"]
    places = data.filter(axis="unique tokens").select(UNIQUE.partition(".")[2], "place").unique()
    assert dict(places.rows()) == {6_400: 0.0, 12_800: 0.5, 32_000: 1.0}
    assert data.select(pl.col("place").is_between(0, 1).all()).item()


def test_one_key_or_one_that_no_run_has_is_refused(study: Path) -> None:
    with pytest.raises(InputError, match="from 2 to 8"):
        parallel_figure(study, "made", "val_loss", [UNIQUE])
    with pytest.raises(InputError, match=r"no run has the key training\.lrr"):
        parallel_figure(study, "made", "val_loss", [UNIQUE, "training.lrr"])
