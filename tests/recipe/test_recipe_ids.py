"""The run ids of every recipe that ships are what they were: what was trained is found again.

`python -m tests.recipe.test_recipe_ids` adds the lines of new recipes to recipe_ids.json. A line
that is there is changed by hand alone: it renames the runs of everybody who has trained them.
"""

import contextlib
import hashlib
import json
from pathlib import Path

import pytest

from workbench.planning.plan import run_id_of
from workbench.recipe import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
FILE = Path(__file__).with_name("recipe_ids.json")
KNOWN: dict[str, str] = json.loads(FILE.read_text())
NAMES = sorted(
    path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.toml")
)


def found(name: str) -> str:
    """A recipe's number of runs and the digest of their ids, as if their data were known.

    A file of questions that is not here is known by its path alone: asked of one folder.
    """
    with contextlib.chdir("/"):
        ids = sorted(run_id_of(config, "golden") for config in load_recipe(name).runs)
    return f"{len(ids)} {hashlib.sha256(' '.join(ids).encode()).hexdigest()[:16]}"


@pytest.mark.parametrize("name", KNOWN)
def test_the_runs_of_a_recipe_have_the_ids_that_they_had(name: str) -> None:
    assert found(name) == KNOWN[name], f"the runs of {name} would be trained anew by everybody"


@pytest.mark.long
def test_every_recipe_that_ships_has_its_line() -> None:
    assert sorted(KNOWN) == NAMES, "python -m tests.recipe.test_recipe_ids adds them"


if __name__ == "__main__":
    lines = KNOWN | {name: found(name) for name in NAMES if name not in KNOWN}
    FILE.write_text(json.dumps(dict(sorted(lines.items())), indent=1) + "\n")
