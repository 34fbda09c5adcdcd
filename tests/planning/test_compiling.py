"""Whether a run is compiled follows from its plan and its device."""

from pathlib import Path

import pytest

from workbench.planning.compiling import is_to_be_compiled, missing_compiler
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.recipe.models import AUTO_COMPILE_FLOPS


def of_quickstart(*overrides: str) -> list[tuple[bool, bool]]:
    """Whether each of its runs is compiled on a CPU and on a GPU."""
    runs = plan_study(load_recipe("quickstart", list(overrides)), Path("/nonexistent")).runs
    return [
        (
            is_to_be_compiled(run.config.training, "cpu", run.train_flops),
            is_to_be_compiled(run.config.training, "cuda", run.train_flops),
        )
        for run in runs
    ]


def test_the_quickstart_is_eager_on_a_cpu_and_compiled_on_a_gpu() -> None:
    assert of_quickstart() == [(False, True)] * 4


def test_a_long_run_is_compiled_on_a_cpu_too() -> None:
    assert of_quickstart("training.total_tokens=200_000_000") == [(True, True)] * 4


@pytest.mark.parametrize("asked", [True, False])
def test_a_recipe_that_says_so_decides(asked: bool) -> None:
    assert of_quickstart(f"training.compile={str(asked).lower()}") == [(asked, asked)] * 4


def test_no_recipe_for_laptops_has_other_numbers_than_before() -> None:
    for recipe in sorted((Path(__file__).parents[2] / "recipes" / "cpu").glob("*.toml")):
        runs = plan_study(load_recipe(recipe), Path("/nonexistent")).runs
        assert max(run.train_flops for run in runs) < AUTO_COMPILE_FLOPS, recipe


def test_a_compiler_is_missing_where_torch_would_find_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor.cpp_builder import cpp_compiler_search
    from torch._inductor.exc import InvalidCxxCompiler

    def torch_finds(command: str) -> bool:
        try:
            return bool(cpp_compiler_search((None, command)))
        except InvalidCxxCompiler:
            return False

    for command in ("g++", "no-such-compiler", "false"):
        monkeypatch.setenv("CXX", command)
        assert missing_compiler() == (None if torch_finds(command) else command)
    assert missing_compiler() == "false"
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert missing_compiler() == "g++"
