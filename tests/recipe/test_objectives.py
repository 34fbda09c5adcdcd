"""The table of objectives is complete, and the only one."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import InputError
from workbench.evaluation.decoding import DECODERS
from workbench.generation.samplers import SAMPLERS, samplers_of
from workbench.recipe import OBJECTIVES, load_recipe, objective_facts
from workbench.recipe.check import check_side
from workbench.recipe.objectives import foreign_keys, keys_of_some_objectives
from workbench.recipe.sweep import dotted
from workbench.training.objectives.registry import objective_class

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "workbench" / "recipe" / "objectives.py"
ANOTHER_MEANING = {
    # The name of a sampler.
    ("workbench/generation/samplers.py", "ar"),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_entry_names_what_there_is(name: str) -> None:
    facts = objective_facts(name)
    assert facts.name == name
    assert objective_class(name).facts is facts
    assert samplers_of(name), "its models can be sampled"
    assert set(facts.samplers) <= set(SAMPLERS)
    assert facts.decoder is None or facts.decoder in DECODERS


def test_keys_are_those_of_a_recipe() -> None:
    (run, *_) = load_recipe("quickstart").runs
    keys = dotted(run.model_dump(mode="json"))
    assert keys_of_some_objectives() <= keys.keys()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_foreign_keys_are_those_that_only_others_read(name: str) -> None:
    read = set(objective_facts(name).keys)
    assert foreign_keys(name).isdisjoint(read)
    assert foreign_keys(name) | read == {key for o in OBJECTIVES.values() for key in o.keys}


def test_no_second_list_of_objectives_exists() -> None:
    """An objective's name stands in the table and, once, in the module that implements it."""
    modules = {
        ROOT.joinpath(*facts.implementation.partition(":")[0].split(".")).with_suffix(".py"): name
        for name, facts in OBJECTIVES.items()
    }
    found = []
    for path in [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "app").rglob("*.py")]:
        if path == TABLE:
            continue
        where = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Constant) and node.value in OBJECTIVES
            if named and (where, node.value) not in ANOTHER_MEANING:  # type: ignore[attr-defined]
                found.append((where, node.value, node.lineno))  # type: ignore[attr-defined]
    own = [(path.relative_to(ROOT).as_posix(), name) for path, name in modules.items()]
    assert sorted(own) == sorted((where, name) for where, name, _ in found), found


def test_an_unknown_objective_is_refused_everywhere(recipe: Path) -> None:
    (run, *_) = load_recipe(recipe).runs
    typo = run.model_copy(update={"training": run.training.model_copy(update={"objective": "arr"})})
    vocabulary = typo.model.model_copy(update={"vocab_size": 264})
    typo = typo.model_copy(update={"model": vocabulary})
    from workbench.planning.flops import train_flops_per_data_token
    from workbench.planning.memory import memory_per_gpu
    from workbench.training.objectives.base import Vocab
    from workbench.training.objectives.registry import build_objective

    for ask in (
        lambda: train_flops_per_data_token(typo),
        lambda: memory_per_gpu(typo),
        lambda: build_objective(typo.training, Vocab(2, 8, 2, 3)),
        lambda: samplers_of("arr"),
        lambda: check_side("arr", "compare.baseline"),
        lambda: load_recipe(recipe, ["training.objective=arr"]),
    ):
        with pytest.raises(InputError, match="did you mean 'ar'"):
            ask()


@pytest.mark.parametrize(
    ("field", "value"),
    [("attention", "casual"), ("streams", 3), ("implementation", "workbench.training.ar")],
)
def test_facts_that_cannot_be_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} = .* of the objective ar: expected"):
        replace(objective_facts("ar"), **{field: value})
