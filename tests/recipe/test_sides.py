"""Sides of a comparison stand for the runs that their keys and values would make."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RECIPE
from tests.made_runs import MakeRun
from workbench.errors import InputError
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.recipe.plain_values import PLAIN
from workbench.recipe.sides import same_value, selects
from workbench.recipe.sweep import dotted, sweepable_keys
from workbench.toml_text import toml_value

_CANDIDATES = (
    "0", "0.0", "1", "1.0", "2", "0.5", "false", "true", '"all"', '"low"', "[]", '"x"', '"strict"',
    '"replace"', "0.95", '"adamw"', '"muon"', '"match_rms_adamw"', '"original"', '"exponential"',
    '"linear"', '"standard"', '"mup"',
)  # fmt: skip


def resolved(path: Path, *overrides: str) -> dict[str, Any] | None:
    """The first run's keys, or None where no run can be made so."""
    try:
        config = load_recipe(path, list(overrides)).runs[0]
    except InputError:
        return None
    return dotted(config.model_dump(mode="json"))


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_every_value_that_resolves_to_none_finds_the_run_without_the_key(
    tmp_path: Path, objective: str
) -> None:
    """For all keys of a recipe, where another value of the key does not resolve to none."""
    path = tmp_path / "r.toml"
    path.write_text(RECIPE.format(corpus="x.txt"))
    base = [f"training.objective={objective}"]
    base += ["training.input_mask=0.3"] if objective == "ar" else []
    needed = {
        "data.quality": ("data.quality_key=score",),
        "model.parametrization": ("model.base_width=16",),
        "training.muon_momentum": ("training.optimizer=muon",),
        "training.muon_scaling": ("training.optimizer=muon",),
    }
    found = set()
    for key in sweepable_keys():
        if key in ("training.objective", "training.epochs"):
            continue
        with_it = (*base, *needed.get(key, ()))
        runs = {text: resolved(path, *with_it, f"{key}={text}") for text in _CANDIDATES}
        made = {text: keys for text, keys in runs.items() if keys is not None}
        if all(keys.get(key) is None for keys in made.values()):
            continue  # no key of this objective, or of these tasks
        for text, keys in made.items():
            if keys.get(key) is None:
                assert selects({key: toml_value(text, "")}, keys), f"{key} = {text}"
                found.add(key)
    # Of tables, which are not among the candidates, and a label, which no recipe needs.
    unswept = {"data.validation_extra", "labels.ensemble_of"}
    foreign = {"training.input_mask", "training.mask_aux_weight"} if objective == "mdlm" else set()
    assert found == PLAIN.keys() - unswept - foreign


@pytest.mark.parametrize(
    ("side", "found"),
    [
        ("mdlm", True),
        ({"training.objective": ["ar", "mdlm"]}, True),
        ({"training.objective": ["ar", "block"]}, False),
        ({"training": {"objective": "mdlm", "seed": 1.0}}, True),
        ({"training.seed": True}, False),
        ({"training.seed": [0, 2]}, False),
        ({"model.dropout": [0.0, 0.3]}, True),
        ({"model.dropout": 0.1}, False),
        ({"training.betas": [0.9, 0.95]}, True),
        ({"training.betas": [0.95, 0.9]}, False),
        ({"training.betas": [[0.95, 0.9], [0.9, 0.95]]}, True),
        ({"evaluation.tasks": ["cloze"]}, True),
        ({"evaluation.tasks": ["cloze", "mmlu"]}, False),
        ({"evaluation.tasks": [[], ["mmlu"]]}, False),
        ({"training.epochs": 3}, True),
        ({"training.epochs": 4}, False),
    ],
)
def test_a_list_is_any_of_its_values_and_a_list_of_lists_where_the_value_is_one(
    side: Any, found: bool
) -> None:
    keys = {
        "training.objective": "mdlm", "training.seed": 1, "model.dropout": None,
        "training.betas": [0.9, 0.95], "evaluation.tasks": ["cloze"], "training.epochs": None,
        "training.total_tokens": 6_144, "data.unique_tokens": 2_048,
    }  # fmt: skip
    assert selects(side, keys) is found


def test_numbers_are_equal_by_value_and_no_number_is_a_flag() -> None:
    assert same_value(1, 1.0)
    assert same_value((0.9, 1), [0.9, 1.0])
    assert not same_value(1, True)
    assert not same_value(0, None)
    assert not same_value([1], [1, 1])


REFUSED = {
    "misspelt key": (
        'baseline = { "model.dropot" = 0.1 }',
        ["compare.baseline", "model.dropot", "'model.dropout'", "0, 0.1"],
    ),
    "misspelt key of match": (
        'match = ["data.unique_tokns"]',
        ["compare.match", "data.unique_tokns", "'data.unique_tokens'", "2048"],
    ),
    "value of no run": (
        'challenger = { "model.dropout" = 0.3 }',
        ["compare.challenger", "model.dropout = 0.3", "0, 0.1"],
    ),
    "one of several values": (
        'challenger = { "training.objective" = ["mdlm", "block"] }',
        ["compare.challenger", 'training.objective = "block"', '"ar", "mdlm"'],
    ),
    "objective of no run": ('challenger = "block"', ['"block"', '"ar", "mdlm"']),
    "nothing of a list": ('challenger = { "training.seed" = [] }', ["training.seed = []", "0"]),
    "values of different runs": (
        'baseline = { "training.objective" = "mdlm", "training.weight_decay" = 0.5 }',
        ["compare.baseline", "together", "training.weight_decay = 0.5"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_run_has_is_refused_before_any_training(
    case: str, tmp_path: Path, corpus: Path
) -> None:
    compare, words = REFUSED[case]
    path = study(tmp_path, corpus, compare)
    with pytest.raises(InputError) as refused:
        plan_study(load_recipe(path), tmp_path / "results")
    for word in ("study.toml", *words):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "compare",
    [
        'baseline = { "model.dropout" = 0.0 }\nchallenger = { "model.dropout" = 0.1 }',
        'challenger = { training.objective = "mdlm", training.seed = 0.0 }',
        'baseline = { "training.objective" = ["ar", "mdlm"] }\nmatch = ["n_params"]',
        'match = ["model.moe_experts", "data.unique_tokens"]',
    ],
)
def test_what_some_run_has_is_planned(compare: str, tmp_path: Path, corpus: Path) -> None:
    path = study(tmp_path, corpus, compare)
    assert len(plan_study(load_recipe(path), tmp_path / "results").runs) == 5


def test_runs_that_were_imported_into_the_study_are_a_side_too(
    tmp_path: Path, corpus: Path, results: Path, make_run: MakeRun
) -> None:
    path = study(tmp_path, corpus, 'baseline = "block"')
    overrides = ["training.objective=block", "training.block_size=16"]
    run = make_run("theirs", {1: 1.0}, study="tiny", overrides=overrides)
    with pytest.raises(InputError, match=r'no run has training.objective = "block"'):
        plan_study(load_recipe(path), results)  # left over from another version of the recipe
    run.config_path.write_text(json.dumps(run.config_json() | {"imported": True}))
    assert len(plan_study(load_recipe(path), results).runs) == 5


def test_a_study_of_one_objective_needs_no_compare(recipe: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe, ["training.objective=ar"])
    assert len(plan_study(loaded, tmp_path / "results").runs) == 1


def study(tmp_path: Path, corpus: Path, compare: str) -> Path:
    """Four runs of AR and diffusion with and without dropout, and AR with more weight decay."""
    text = RECIPE.format(corpus=corpus)
    sweep = """
"training.weight_decay" = [0.1, 0.5]
"model.dropout" = [0.0, 0.1]
[[sweep.exclude]]
"training.weight_decay" = 0.5
"training.objective" = "mdlm"
[[sweep.exclude]]
"training.weight_decay" = 0.5
"model.dropout" = 0.1
"""
    path = tmp_path / "study.toml"
    path.write_text(text.replace("[sweep]", f"[compare]\n{compare}\n\n[sweep]") + sweep)
    return path
