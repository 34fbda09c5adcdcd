"""The data behind a figure names its runs, seeds and keys exactly."""

from pathlib import Path

import polars as pl
import pytest

from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.analysis.cost import flops_to_best
from workbench.analysis.crossover import crossovers
from workbench.analysis.effective_data import effective_data
from workbench.analysis.overfitting import overfitting_onset
from workbench.analysis.trends import crossover_trends
from workbench.figures import (
    crossover_figure,
    crossover_trend_figure,
    effective_data_figure,
    onset_figure,
    training_flops_figure,
)
from workbench.figures.exact_columns import with_keys
from workbench.figures.figure import Figure
from workbench.store import ingest


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    for unique, level in ((12_800, 3.2), (32_000, 2.0)):
        overrides = [f"data.unique_tokens={unique}"]
        make_crossing_seeds(
            make_run, 150 + unique // 1000, seeds=2, level=level, overrides=overrides
        )
    ingest(results)
    return results


def figures_of(results: Path) -> dict[str, Figure]:
    rows = crossovers(results, "made", "val_loss", "tokens")
    return {
        "crossover": crossover_figure(results, "made", "val_loss", "tokens", rows),
        "trend": crossover_trend_figure(rows, crossover_trends(rows, "unique_tokens")),
        "effective": effective_data_figure(effective_data(results, "made", "val_loss")),
        "flops": training_flops_figure(flops_to_best(results, "made", "val_loss")),
        "onset": onset_figure(overfitting_onset(results, "made", "val_loss")),
    }


def test_every_row_of_a_figures_data_has_its_keys_runs_and_seeds(study: Path) -> None:
    of_budget = {u: {f"{kind}{s}-{150 + u // 1000}" for kind in "ad" for s in (0, 1)}
                 for u in (12_800, 32_000)}  # fmt: skip
    for name, figure in figures_of(study).items():
        data = figure.data.filter(~figure.data["run_ids"].is_null())
        assert data.height > 1, name
        assert set(data["seeds"]) == {"0 1"}, name
        for row in data.iter_rows(named=True):
            ids = set(row["run_ids"].split())
            if name != "effective":  # whose baseline has every budget
                assert ids <= of_budget[row["unique_tokens"]], name
            assert ids & of_budget[row["unique_tokens"]], name
        figure.to_dict()


def test_a_curve_names_the_runs_of_its_own_side(study: Path) -> None:
    data = figures_of(study)["crossover"].data
    sides = data.filter(~data["run_ids"].is_null()).select("curve", "run_ids").unique()
    for curve, run_ids in sides.iter_rows():
        assert {run_id[0] for run_id in run_ids.split()} == {"a" if "AR" in curve else "d"}


def test_a_key_that_one_panel_lacks_is_empty_there(results: Path, make_run: MakeRun) -> None:
    for level, dropout in ((3.2, []), (2.0, ["model.dropout=0.1"])):
        make_crossing_seeds(make_run, 150 + level, seeds=1, level=level, overrides=dropout)
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    figure = crossover_figure(results, "made", "val_loss", "tokens", rows)
    assert set(figure.data["model.dropout"]) == {None, 0.1}


def test_keys_of_any_kind_are_columns() -> None:
    data = pl.DataFrame({"x": [1.0, 2.0, 3.0]})
    groups = [
        {"training.betas": [0.9, 0.95], "model.dropout": 0, "a": True, "b": "x", "c": 1},
        {"training.betas": None, "model.dropout": 0.5, "a": None, "b": None, "c": "none"},
        {},
    ]
    exact = with_keys(data, groups, [["r"], [], ["s", "t"]], [[0], [], [1, 1]])
    assert exact["training.betas"].to_list() == ["[0.9, 0.95]", None, None]
    assert exact["model.dropout"].to_list() == [0.0, 0.5, None]
    assert exact["a"].to_list() == [True, None, None]
    assert exact["c"].to_list() == ["1", "none", None]
    assert exact["run_ids"].to_list() == ["r", "", "s t"]
    assert exact["seeds"].to_list() == ["0", "", "1"]
