"""Whatever a recipe says: it is planned and its folders are made, or it is refused, and none is."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.recipes import as_toml, recipes
from workbench.errors import InputError
from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe
from workbench.running.study import make_folders

FILES = {"config.json", "provenance.json", "status.json", "lock"}


def meet(document: dict[str, Any], corpus: Path) -> str:
    """Take a recipe as `workbench run` does, up to its training; "made" or "refused"."""
    with TemporaryDirectory() as name:
        path, results = Path(name) / "drawn.toml", Path(name) / "results"
        path.write_text(as_toml(document).replace('"CORPUS"', f'"{corpus}"'), encoding="utf-8")
        results.mkdir()
        try:
            recipe = load_recipe(path)
            if len(recipe.runs) > 30:
                return "large"
            plan = prepare_study(recipe, results)
            folders = make_folders(recipe, plan, results)
        except InputError:
            assert not list(results.glob("runs/*"))
            assert not list(results.glob("studies/*"))
            for made in results.glob("data/*"):
                assert (
                    made.name.startswith(".") or made.name == "requests" or any(made.iterdir())
                ), f"{made} is empty"
            return "refused"
        assert folders
        for run in folders.values():
            assert {one.name for one in run.path.iterdir()} == FILES
            assert run.status().state == "planned"
            run.config_json()
        assert len(list(results.glob("studies/*.json"))) == 1
        return "made"


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(document=recipes())
def test_a_drawn_recipe_is_made_whole_or_refused_whole(
    document: dict[str, Any], corpus: Path
) -> None:
    meet(document, corpus)
