"""`workbench best-value` and `Study.best_values`: values, laws, predictions and the figure."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.made_rates import RATES, make_rates
from tests.made_runs import run_maker
from workbench.cli import app
from workbench.messages import json_text
from workbench.store import ingest

SIZES = {("ar", 100_000): 6e-3, ("ar", 200_000): 4.2e-3, ("ar", 400_000): 3e-3}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> wb.Study:
    """Three sizes whose best rate falls with the square root of the parameters."""
    results = tmp_path_factory.mktemp("best") / "results"
    make_rates(run_maker(results), SIZES, seeds=(0, 1), noise=0.0005)
    ingest(results)
    return wb.Results(results).study("made")


def ran(study: wb.Study, *options: str | Path) -> Any:
    words = ["best-value", "made", *options, "--results", study.results]
    return CliRunner().invoke(app, list(map(str, words)))


def test_laws_and_predictions_are_those_of_the_command(study: wb.Study) -> None:
    laws = study.best_values().laws(predict=[{"n_params": 4e6}, {"n_params": 2e5}])
    done = ran(study, "--predict", "n_params=4e6", "--predict", "n_params=2e5", "--format", "json")
    assert json.loads(done.stdout) == json.loads(json_text(laws.document))
    (law,) = laws
    assert law.exponents == {"n_params": pytest.approx(-0.5, abs=0.1)}
    beyond, inside = law.predictions
    assert beyond["outside"]
    assert not inside["outside"]
    assert any("extrapolated" in note for note in laws.notes)
    (moved,) = law.transfer
    assert moved["steps"] == pytest.approx(-1, abs=0.2)
    assert laws.frame.height == 1


def test_people_see_optima_ties_costs_and_whether_the_rate_transfers(study: wb.Study) -> None:
    done = CliRunner(env={"COLUMNS": "250"}).invoke(
        app, ["best-value", "made", "--results", str(study.results)]
    )
    for words in ("best lr", "optimum", "ties", "cost of others", "0.008: "):
        assert words in done.stdout
    assert "1,000 resamples over 2 seeds" in done.stderr
    law = CliRunner(env={"COLUMNS": "250"}).invoke(
        app, ["best-value", "made", "--law", "--results", str(study.results)]
    )
    assert "best lr = " in law.stdout
    assert "steps" in law.stdout


def test_the_figure_has_a_curve_for_each_size_and_its_lowest_point(
    study: wb.Study, tmp_path: Path
) -> None:
    done = ran(study, "--figure", tmp_path / "best.json")
    assert done.exit_code == 0, done.output
    assert "concat" in json.loads((tmp_path / "best.json").read_text())
    data = study.figure("best_value", key="lr").data
    means, vertices = (data.filter(pl.col("mark") == mark) for mark in ("mean", "vertex"))
    assert means.height == len(SIZES) * len(RATES)
    assert vertices["key"].to_list() == pytest.approx(list(SIZES.values()), rel=0.1)
    assert vertices["series"].n_unique() == len(SIZES)
    assert (vertices["from"] < vertices["key"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--key", "lrr"], "--key: unknown key lrr"),
        (["--predict", "n_params"], "--predict n_params: expected name=value"),
        (["--predict", "n_params=big"], "--predict n_params=big: expected a number"),
        (["--predict", "width=3"], "--predict width"),
        (["--where", "n_params = 100000", "--law"], "needs runs of several n_params"),
        (["--metric", "val_los"], "did you mean 'val_loss'"),
    ],
)
def test_wrong_options_are_refused_in_words(
    study: wb.Study, options: list[str], message: str
) -> None:
    done = ran(study, *options)
    assert isinstance(done.exception, wb.InputError)
    assert message in str(done.exception)
