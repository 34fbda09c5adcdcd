"""Which runs share a trunk, and which keys prevent it."""

from pathlib import Path

import pytest

from tests.conftest import RECIPE
from workbench.planning.trunks import Source, Trunks, trunks
from workbench.recipe import RunConfig, load_recipe

STEP = 16 * 32
SHARED = ["training.warmup_tokens=1024", f"evaluation.every_tokens={5 * STEP}"]


def config(tmp_path: Path, steps: int, *overrides: str) -> RunConfig:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus=tmp_path))
    keys = ["training.objective=mdlm", f"training.total_tokens={steps * STEP}", *SHARED]
    return load_recipe(path, [*keys, *overrides]).runs[0]


def of(**runs: RunConfig) -> Trunks:
    return trunks((name, one, "the text") for name, one in runs.items())


def test_a_run_goes_on_from_the_longest_run_that_is_shorter(tmp_path: Path) -> None:
    found = of(
        long=config(tmp_path, 400), short=config(tmp_path, 100), middle=config(tmp_path, 200)
    )
    assert dict(found.sources) == {
        "middle": (Source("short", 90),),
        "long": (Source("middle", 180), Source("short", 90)),
    }
    assert found.shared_steps("long") == 180
    assert found.shared_steps("short") == 0
    assert found.obstacles == {}


def test_the_last_step_is_never_shared_for_it_is_evaluated_with_more_draws(tmp_path: Path) -> None:
    flat = "training.decay_fraction=0.0"
    found = of(short=config(tmp_path, 100, flat), long=config(tmp_path, 200, flat))
    assert found.sources["long"] == (Source("short", 99),)


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        (["training.seed=0"], ["training.seed=1"]),
        (["training.objective=ar"], []),
        (["data.unique_tokens=1024"], []),
        (["training.lr=1e-3"], []),
        (["evaluation.validation_draws=3"], []),
        (["training.log_every=2"], []),
    ],
)
def test_runs_that_differ_in_numbers_are_strangers(
    shorter: list[str], longer: list[str], tmp_path: Path
) -> None:
    found = of(a=config(tmp_path, 100, *shorter), b=config(tmp_path, 200, *longer))
    assert found == Trunks({}, {})


def test_other_text_is_another_trunk(tmp_path: Path) -> None:
    found = trunks([("a", config(tmp_path, 100), "one"), ("b", config(tmp_path, 200), "two")])
    assert found == Trunks({}, {})


@pytest.mark.parametrize(
    ("shorter", "longer", "key"),
    [
        ("training.warmup_steps=2", "training.warmup_steps=4", "training.warmup_steps"),
        ("evaluation.points=4", "evaluation.points=4", "evaluation.points"),
        ("training.decay_fraction=1.0", "training.decay_fraction=1.0", "training.decay_fraction"),
        ("training.seed=0", "training.checkpoint_points=40", "training.checkpoint_points"),
    ],
)
def test_the_key_that_prevents_sharing_is_named(
    shorter: str, longer: str, key: str, tmp_path: Path
) -> None:
    found = of(a=config(tmp_path, 100, shorter), b=config(tmp_path, 200, longer))
    assert found.sources == {}
    assert found.obstacles == {"b": (key,)}


def test_keys_of_the_decay_and_of_saving_share_all_the_same(tmp_path: Path) -> None:
    found = of(
        a=config(tmp_path, 100, "training.min_lr_ratio=0.5", "training.checkpoint_every=7"),
        b=config(tmp_path, 200, "training.decay_fraction=0.2", "training.checkpoint_points=2"),
        c=config(tmp_path, 200, "evaluation.validation_draws_last=16"),
        d=config(tmp_path, 200, "training.decay=linear", "training.min_lr_ratio=0"),
    )
    assert found.shared_steps("b") == 90
    assert found.shared_steps("c") == 160
    assert found.shared_steps("d") == 180


def test_points_that_fall_on_the_same_steps_are_no_obstacle(tmp_path: Path) -> None:
    found = of(
        a=config(tmp_path, 100, "evaluation.points=5"),
        b=config(tmp_path, 200, "evaluation.points=10"),
    )
    assert found.shared_steps("b") == 90
