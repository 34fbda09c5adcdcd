"""`seed` varies the text and the training together: one replicate, paired between objectives."""

from pathlib import Path

import pytest

from tests.conftest import RECIPE
from workbench.errors import InputError
from workbench.recipe import load_recipe
from workbench.recipe.json_schema import recipe_schema

OBJECTIVES = '"training.objective" = ["ar", "mdlm"]\n'


def seeds(tmp_path: Path, sweep: str, *overrides: str) -> list[tuple[str, int, int]]:
    """(objective, data.seed, training.seed) of every run."""
    text = RECIPE.format(corpus="x.txt")
    path = tmp_path / "r.toml"
    path.write_text(text[: text.index("[sweep]")] + "[sweep]\n" + sweep)
    runs = load_recipe(path, list(overrides)).runs
    return [(run.training.objective, run.data.seed, run.training.seed) for run in runs]


def test_a_seed_is_one_of_the_data_and_of_training_for_every_objective(tmp_path: Path) -> None:
    found = seeds(tmp_path, OBJECTIVES + "seed = [0, 1, 2]\n")
    assert found == [(name, seed, seed) for name in ("ar", "mdlm") for seed in (0, 1, 2)]


def test_it_can_be_zipped_and_excluded(tmp_path: Path) -> None:
    sweep = """
[[sweep.zip]]
"training.objective" = ["ar", "mdlm", "mdlm"]
seed = [4, 5, 6]
[[sweep.exclude]]
seed = 5
"""
    assert seeds(tmp_path, sweep) == [("ar", 4, 4), ("mdlm", 6, 6)]


@pytest.mark.parametrize("key", ["data.seed", "training.seed"])
@pytest.mark.parametrize("zipped", [False, True])
def test_either_seed_beside_it_is_refused(tmp_path: Path, key: str, zipped: bool) -> None:
    other = f'"{key}" = [3, 4]\n'
    sweep = "seed = [0, 1]\n" + (f"[[sweep.zip]]\n{other}" if zipped else other)
    message = rf"seed sets data\.seed and training\.seed together, and {key} is swept.*Leave one"
    with pytest.raises(InputError, match=message):
        seeds(tmp_path, sweep)


def test_set_seed_is_a_value_of_both_for_every_run(tmp_path: Path) -> None:
    expected = [("ar", 3, 3), ("mdlm", 3, 3)]
    assert seeds(tmp_path, OBJECTIVES + "seed = [0, 1, 2]\n", "seed=3") == expected
    single = OBJECTIVES + '"training.seed" = [0, 1]\n"data.seed" = [0, 1]\n'
    assert seeds(tmp_path, single, "seed=3") == expected
    assert seeds(tmp_path, OBJECTIVES, "seed=3") == expected


@pytest.mark.parametrize("key", ["data.seed", "training.seed"])
@pytest.mark.parametrize("zipped", [False, True])
def test_setting_one_seed_of_a_recipe_that_sweeps_both_is_refused(
    tmp_path: Path, key: str, zipped: bool
) -> None:
    sweep = "[[sweep.zip]]\nseed = [0, 1]\n" if zipped else "seed = [0, 1]\n"
    message = rf"--set {key}: the recipe sweeps seed.*Give --set seed=NUMBER"
    with pytest.raises(InputError, match=message):
        seeds(tmp_path, sweep, f"{key}=1")


def test_one_seed_alone_still_varies_alone(tmp_path: Path) -> None:
    found = seeds(tmp_path, '"training.seed" = [0, 1]\n', "training.objective=ar")
    assert found == [("ar", 0, 0), ("ar", 0, 1)]


@pytest.mark.parametrize("value", ["[0.5]", '["a"]', "[-1]"])
def test_a_seed_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match=r"(data|training)\.seed"):
        seeds(tmp_path, f"seed = {value}\n")


def test_an_editor_knows_the_key() -> None:
    sweep = recipe_schema()["properties"]["sweep"]["properties"]
    assert sweep["seed"] == sweep["training.seed"] == sweep["zip"]["items"]["properties"]["seed"]
