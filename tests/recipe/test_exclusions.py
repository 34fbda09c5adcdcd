"""`[[sweep.exclude]]` leaves out what it names, and is refused where that is nothing."""

import itertools
from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.recipe import Recipe, load_recipe

SWEEP = """
[sweep]
"training.objective" = ["ar", "mdlm"]
"model.dropout" = [0.0, 0.1, 0.2]
"""


@pytest.fixture
def swept(recipe: Path) -> Path:
    recipe.write_text(recipe.read_text().partition("[sweep]")[0] + SWEEP)
    return recipe


def with_rule(path: Path, rule: str, *overrides: str) -> Recipe:
    path.write_text(f"{path.read_text()}[[sweep.exclude]]\n{rule}\n")
    return load_recipe(path, list(overrides))


def choices(recipe: Recipe) -> set[tuple[str, float]]:
    return {(run.training.objective, run.model.dropout or 0.0) for run in recipe.runs}


ALL = set(itertools.product(("ar", "mdlm"), (0.0, 0.1, 0.2)))


def test_a_list_excludes_each_of_its_values(swept: Path) -> None:
    rule = '"training.objective" = "mdlm"\n"model.dropout" = [0.1, 0.2]'
    assert choices(with_rule(swept, rule)) == ALL - {("mdlm", 0.1), ("mdlm", 0.2)}


def test_a_key_that_is_a_list_itself_is_excluded_by_its_value(swept: Path) -> None:
    swept.write_text(swept.read_text() + '"evaluation.tasks" = [[], ["cloze"]]\n')
    text = swept.read_text()
    for value, left in (('["cloze"]', [()]), ("[]", [("cloze",)]), ('[["cloze"]]', [()])):
        swept.write_text(text)
        runs = with_rule(swept, f'"evaluation.tasks" = {value}').runs
        assert [run.evaluation.tasks for run in runs] == left * 6


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('"model.dropout" = 0.3', r"model.dropout = 0.3 is not swept. Its values are \[0.0, 0.1"),
        ('"model.dropout" = [0.1, 0.3]', "0.3 is not swept"),
        ('"model.dropout" = true', "true is not swept"),
        ('"training.seed" = 0', "training.seed is not swept"),
        ('"model.dropuot" = 0.1', "did you mean 'model.dropout'"),
        ("", "is empty"),
    ],
)
def test_a_rule_that_would_leave_out_nothing_is_refused(
    swept: Path, rule: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        with_rule(swept, rule)


def test_values_that_the_command_line_takes_out_of_the_sweep_are_no_fault_of_a_rule(
    swept: Path,
) -> None:
    rule = '"training.objective" = "mdlm"\n"model.dropout" = [0.1, 0.2]'
    fewer = with_rule(swept, rule, "sweep.model.dropout=[0.0, 0.1]")
    assert choices(fewer) == {("ar", 0.0), ("ar", 0.1), ("mdlm", 0.0)}
    assert choices(load_recipe(swept, ["model.dropout=0.2"])) == {("ar", 0.2), ("mdlm", 0.2)}
    assert choices(load_recipe(swept, ["sweep.model.dropout=[0.0]"])) == {
        ("ar", 0.0), ("mdlm", 0.0),
    }  # fmt: skip
