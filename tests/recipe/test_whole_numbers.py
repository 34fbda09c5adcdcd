"""Whole numbers may be written as 2e9; what is not whole is refused."""

from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.recipe import load_recipe
from workbench.recipe.identity import canonical_json


@pytest.mark.parametrize(
    "override",
    ["training.total_tokens=6.144e3", "training.seed=1e0", "evaluation.points=3.0",
     "training.warmup_steps=1e0", "sweep.data.unique_tokens=[1.024e3, 2048]"],
)  # fmt: skip
def test_a_float_that_is_whole_is_the_number(recipe: Path, override: str) -> None:
    key, _, value = override.partition("=")
    plain = value.replace("6.144e3", "6144").replace("1e0", "1").replace("3.0", "3")
    plain = plain.replace("1.024e3", "1024")
    written, meant = (load_recipe(recipe, [f"{key}={text}"]).runs for text in (value, plain))
    assert list(map(canonical_json, written)) == list(map(canonical_json, meant))
    assert value != plain


def test_a_recipe_may_write_its_tokens_as_a_power_of_ten(recipe: Path) -> None:
    before = load_recipe(recipe)
    recipe.write_text(recipe.read_text().replace("6_144", "6.144e3"))
    assert load_recipe(recipe).runs == before.runs


@pytest.mark.parametrize("value", ["6144.5", "1e-3", "1e400", "1e17", "true", "'6e3'", "nan"])
def test_what_is_no_whole_number_is_refused(recipe: Path, value: str) -> None:
    with pytest.raises(InputError, match=r"training\.total_tokens"):
        load_recipe(recipe, [f"training.total_tokens={value}"])
