"""The steps of a run after which it is evaluated."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import RECIPE
from workbench.errors import InputError
from workbench.recipe import RunConfig, load_recipe
from workbench.recipe.points import evenly_spaced

STEP = 8 * 64  # of the tests' recipe


def run_with(tmp_path: Path, *overrides: str) -> RunConfig:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus=tmp_path))
    return load_recipe(path, ["training.objective=ar", *overrides]).runs[0]


@given(st.integers(1, 10_000), st.integers(1, 200))
def test_evenly_spaced_points_ascend_to_the_last_step(steps: int, points: int) -> None:
    chosen = evenly_spaced(steps, points)
    assert chosen[-1] == steps
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= points


@pytest.mark.parametrize("keys", [["evaluation.points=5"], ["evaluation.every_tokens=1100"]])
def test_the_first_and_the_last_step_are_evaluated(keys: list[str], tmp_path: Path) -> None:
    steps = run_with(tmp_path, *keys).evaluation_steps
    assert steps[0] == 1
    assert steps[-1] == 12
    assert steps == sorted(set(steps))


def test_points_by_tokens_are_the_same_in_a_longer_run(tmp_path: Path) -> None:
    short, long = (
        run_with(tmp_path, f"evaluation.every_tokens={4 * STEP}", f"training.total_tokens={total}")
        for total in (10 * STEP, 23 * STEP)
    )
    assert short.evaluation_steps == [1, 4, 8, 10]
    assert long.evaluation_steps == [1, 4, 8, 12, 16, 20, 23]


def test_a_warm_up_in_tokens_is_the_same_in_a_longer_run(tmp_path: Path) -> None:
    keys = f"training.warmup_tokens={3 * STEP}"
    short, long = (
        run_with(tmp_path, keys, f"training.total_tokens={total * STEP}") for total in (100, 1000)
    )
    assert short.training.warmup_steps == long.training.warmup_steps == 3


def test_a_key_on_the_command_line_replaces_its_alternative(tmp_path: Path) -> None:
    assert "points = " in RECIPE
    assert run_with(tmp_path, "evaluation.every_tokens=1024").evaluation.points is None
    assert run_with(tmp_path, "training.epochs=2").training.epochs is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[evaluation]\npoints = 4\nevery_tokens = 4096", "points or evaluation.every_tokens"),
        ("[evaluation]\nevery_tokens = 100", "less than one step .* 512 tokens"),
        ("[training]\nwarmup_steps = 4\nwarmup_tokens = 64", "warmup_steps or training.warmup_tok"),
    ],
)
def test_what_contradicts_is_refused(line: str, problem: str, tmp_path: Path) -> None:
    table, keys = line.split("\n", 1)
    text = RECIPE.format(corpus=tmp_path)
    if table == "[evaluation]":
        text = text.replace("points = ", "# ")
    path = tmp_path / "tiny.toml"
    path.write_text(text.replace(table, f"{table}\n{keys}"))
    with pytest.raises(InputError, match=problem):
        load_recipe(path, ["training.objective=ar"])
