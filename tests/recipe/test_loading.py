"""Recipes: sweeps expand, defaults resolve, equal runs merge."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RECIPE
from workbench.errors import InputError
from workbench.recipe import canonical_json, load_recipe


def load(tmp_path: Path, sweep: str, *overrides: str, before: str = "") -> list[dict[str, Any]]:
    text = RECIPE.format(corpus="x.txt")
    path = tmp_path / "r.toml"
    path.write_text(text[: text.index("[sweep]")] + before + "\n[sweep]\n" + sweep)
    return [config.model_dump() for config in load_recipe(path, list(overrides)).runs]


def test_a_sweep_is_a_product_with_the_last_key_fastest(tmp_path: Path) -> None:
    runs = load(tmp_path, '"training.seed" = [0, 1]\n"data.seed" = [5, 6]')
    found = [(run["training"]["seed"], run["data"]["seed"]) for run in runs]
    assert found == [(0, 5), (0, 6), (1, 5), (1, 6)]


def test_quoted_and_nested_sweep_keys_are_the_same(tmp_path: Path) -> None:
    quoted = load(tmp_path, '"training.seed" = [0, 1]')
    assert load(tmp_path, "training.seed = [0, 1]") == quoted
    assert load(tmp_path, "[sweep.training]\nseed = [0, 1]") == quoted


def test_zipped_keys_go_in_step_and_excluded_combinations_go(tmp_path: Path) -> None:
    sweep = """
"training.objective" = ["ar", "mdlm"]
[[sweep.zip]]
"training.seed" = [1, 2]
"training.lr" = [0.1, 0.2]
[[sweep.exclude]]
"training.objective" = "ar"
"training.seed" = 2
"""
    runs = load(tmp_path, sweep)
    found = [(r["training"]["objective"], r["training"]["seed"], r["training"]["lr"]) for r in runs]
    assert found == [("ar", 1, 0.1), ("mdlm", 1, 0.1), ("mdlm", 2, 0.2)]


def test_keys_foreign_to_an_objective_leave_and_equal_runs_merge(tmp_path: Path) -> None:
    sweep = """
"training.objective" = ["ar", "mdlm"]
"training.loss_weighting" = ["elbo_t", "maskgit"]
"""
    runs = load(tmp_path, sweep)
    found = [(r["training"]["objective"], r["training"]["loss_weighting"]) for r in runs]
    assert found == [("ar", None), ("mdlm", "elbo_t"), ("mdlm", "maskgit")]


@pytest.mark.parametrize(
    ("given", "draws"),
    [
        ([], (2, 8)),
        (["evaluation.validation_draws=16"], (16, 16)),
        (["evaluation.validation_draws_last=1"], (2, 1)),
    ],
)
def test_the_last_point_takes_eight_draws_or_as_many_as_the_others(
    given: list[str], draws: tuple[int, int], tmp_path: Path
) -> None:
    (noisy,) = load(tmp_path, "", "training.objective=mdlm", *given)
    (exact,) = load(tmp_path, "", "training.objective=ar", *given)
    names = ("validation_draws", "validation_draws_last")
    assert tuple(noisy["evaluation"][name] for name in names) == draws
    assert [exact["evaluation"][name] for name in names] == [None, None]


def test_an_override_holds_for_every_run_of_the_sweep(tmp_path: Path) -> None:
    runs = load(tmp_path, '"training.seed" = [0, 1, 2]', "training.seed=7", "data.corpus=y.txt")
    assert [run["training"]["seed"] for run in runs] == [7]
    assert runs[0]["data"]["corpus"] == "y.txt"


def test_epochs_are_a_token_budget(tmp_path: Path) -> None:
    text = RECIPE.format(corpus="x.txt").replace("total_tokens = 6_144", "epochs = 3.0")
    path = tmp_path / "r.toml"
    path.write_text(text)
    run = load_recipe(path).runs[0]
    assert run.training.total_tokens == 3 * 2048
    assert run.steps == 12
    assert run.epochs == 3.0


def test_a_named_size_and_its_shape_are_one_run() -> None:
    named = load_recipe("quickstart", ["training.seed=0"]).runs[0]
    spelt = load_recipe(
        "quickstart", ["model.width=64", "model.layers=4", "model.heads=4", "model.ffn=128"]
    ).runs[0]
    assert canonical_json(named) == canonical_json(spelt)


def test_the_study_is_no_part_of_a_runs_identity() -> None:
    one = load_recipe("quickstart").runs[0]
    other = load_recipe("quickstart", ["study.name=another"]).runs[0]
    assert canonical_json(one) == canonical_json(other)


def test_the_papers_schedule_follows_from_the_defaults() -> None:
    steps = 183_105  # 96B tokens in batches of 256 x 2048
    run = load_recipe(
        "quickstart",
        [
            "training.total_tokens=96_000_000_000",
            "training.batch_size=256",
            "data.seq_len=2048",
            "data.validation_tokens=100_000_000",
            "data.unique_tokens=1_000_000_000",
        ],
    ).runs[0]
    assert run.steps == steps
    assert run.epochs == 96
    assert run.training.warmup_steps == 1000
    assert run.training.decay_fraction == 0.1
    assert run.training.min_lr_ratio == 0.1


def test_the_quickstart_is_the_four_runs_of_the_readme() -> None:
    recipe = load_recipe("quickstart")
    found = [(run.training.objective, run.data.unique_tokens) for run in recipe.runs]
    assert found == [("ar", 12_800), ("ar", 32_000), ("mdlm", 12_800), ("mdlm", 32_000)]
    assert recipe.study.name == "quickstart"


def test_a_message_names_the_combination_of_the_sweep_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sweep: training.batch_size = 4096"):
        load(tmp_path, '"training.batch_size" = [16, 4096]')


@pytest.mark.parametrize(
    ("key", "plain", "other"),
    [
        ("training.activation_checkpointing", False, True),
        ("training.activation_checkpointing", False, "selective"),
        ("training.cuda_graphs", False, True),
        ("training.decay", "exponential", "linear"),
        ("training.optimizer", "adamw", "muon"),
        ("training.noise_samples", 1, 2),
        ("data.validation_extra", [], [{"name": "x", "path": "x.txt"}]),
    ],
)
def test_a_value_that_asks_for_nothing_makes_the_run_without_the_key(
    tmp_path: Path, key: str, plain: object, other: object
) -> None:
    text = ('"training.objective" = ["mdlm"]', "training.lr=1e-3")
    values = [load(tmp_path, *text, *of) for of in ([], [f"{key}={toml(plain)}"])]
    assert values[0] == values[1]
    assert load(tmp_path, *text, f"{key}={toml(other)}") != values[0]


def toml(value: object) -> str:
    return json.dumps(value).replace('": ', '" = ')


@pytest.mark.parametrize(
    "other",
    ["model.dropout=0.1", "model.moe_experts=4", 'training.kernels="plain"', "parallelism.shard=2"],
)
def test_cuda_graphs_are_refused_where_a_step_is_not_the_same_kernels_each_time(
    tmp_path: Path, other: str
) -> None:
    text = ('"training.objective" = ["ar"]', "training.lr=1e-3", "training.cuda_graphs=true")
    assert load(tmp_path, *text)
    with pytest.raises(InputError, match=r"training.cuda_graphs = true does not go with"):
        load(tmp_path, *text, other)


def test_no_dropout_is_one_run_however_it_is_written(tmp_path: Path) -> None:
    runs = load(tmp_path, '"model.dropout" = [0.0, 0.1, 0]')
    assert [run["model"]["dropout"] for run in runs] == [None, 0.1]
    assert load(tmp_path, '"training.seed" = [0]') == runs[:1]


def test_a_mixture_gets_the_papers_losses_and_a_dense_model_none(tmp_path: Path) -> None:
    sweep = '"model.moe_experts" = [4, 8]\n"training.objective" = ["ar"]'
    for run in load(tmp_path, sweep):
        assert (run["training"]["moe_aux_weight"], run["training"]["moe_z_weight"]) == (1e-2, 1e-3)
        assert run["model"]["moe_top_k"] == 2
    (named,) = load(tmp_path, "", "model.size=0.5M-A0.2M", "training.moe_z_weight=0.0")
    model, training = named["model"], named["training"]
    assert (model["moe_experts"], model["moe_top_k"]) == (8, 2)
    assert (training["moe_aux_weight"], training["moe_z_weight"]) == (1e-2, 0.0)
    (dense,) = load(tmp_path, "")
    keys = ("moe_aux_weight", "moe_z_weight", "activation_checkpointing")
    assert {dense["training"][key] for key in keys} == {None}
