"""A recipe of one's own, and those that ship."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import InputError
from workbench.recipe import load_recipe, shipped_recipes
from workbench.running import worker
from workbench.running.study import prepared_folders


def invoke(*arguments: str | Path):
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_the_recipe_that_init_writes_is_planned_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "my-study.toml"
    assert invoke("init", path).stdout.strip() == str(path)
    recipe = load_recipe(path)
    assert recipe.study.name == "my-study"
    pairs = {(run.training.objective, run.training.seed) for run in recipe.runs}
    assert pairs == {("ar", 0), ("ar", 1), ("mdlm", 0), ("mdlm", 1)}
    planned = json.loads(invoke("plan", path, "--format", "json").stdout)
    assert planned["total_train_flops"] < 3e12, "minutes on a laptop"


def test_what_its_comments_offer_can_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    invoke("init", path)
    text = (
        path.read_text().replace('# "data', '"data').replace("# [[", "[[").replace('# "tr', '"tr')
    )
    path.write_text(text)
    assert len(load_recipe(path).runs) == 6


@pytest.mark.training
def test_the_recipe_that_init_writes_trains(tmp_path: Path, corpus: Path) -> None:
    path = tmp_path / "s.toml"
    invoke("init", path)
    shorter = [f"data.corpus={corpus}", "data.document=blank-line", "training.total_tokens=4096",
               "data.validation_tokens=2048", "data.validation_documents=10", "seed=0",
               "data.unique_tokens=2048", "evaluation.points=1"]  # fmt: skip
    recipe = load_recipe(path, shorter)
    run, *_ = prepared_folders(recipe, tmp_path / "results").values()
    assert worker.main(run.path) == worker.FINISHED


@pytest.mark.parametrize(
    ("name", "message"),
    [("there.toml", "not overwritten"), ("x", "ends in .toml"), ("a b.toml", "letters, digits"),
     ("no/such/x.toml", "No such file")],
)  # fmt: skip
def test_init_refuses_what_it_cannot_write(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "there.toml").write_text("mine")
    with pytest.raises(InputError, match=message):
        invoke("init", tmp_path / name)
    assert (tmp_path / "there.toml").read_text() == "mine"


def test_every_recipe_that_ships_is_shown_with_question_and_cost(tmp_path: Path) -> None:
    rows = json.loads(invoke("recipes", "--results", tmp_path, "--format", "json").stdout)
    assert [row["recipe"] for row in rows] == shipped_recipes()
    for row in rows:
        assert row["question"].endswith("?")
        assert row["runs"] > 0
        assert row["train_flops"] > 0
    ships = {row["recipe"] for row in rows if row["results_ship"]}
    assert "quickstart" in ships
    assert not any(row["runs_here"] for row in rows)
