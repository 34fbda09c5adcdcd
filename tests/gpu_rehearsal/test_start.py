"""Starting a rehearsal: what is missing is named, and nothing loads into the user's own process."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.gpu_rehearsal.conftest import RECIPE
from workbench.cli import app
from workbench.errors import InputError
from workbench.planning.gpus import GPUS
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.rehearsal.libraries import Libraries, built_libraries, compiler
from workbench.rehearsal.start import Stage


def plan(folder: Path, *options: str):
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    return CliRunner().invoke(app, ["plan", str(recipe), "--results", str(folder), *options])


def test_without_a_c_compiler_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = plan(tmp_path, "--rehearse")
    assert isinstance(done.exception, InputError)
    assert "needs a C compiler" in str(done.exception)
    assert "cc, gcc, clang" in str(done.exception)


@pytest.mark.parametrize(
    ("cc", "said"), [("no-such-compiler", "CC = no-such-compiler"), ("false", "status 1")]
)
def test_a_compiler_that_cannot_build_is_named(
    cc: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", cc)
    with pytest.raises(InputError, match=said), built_libraries():
        pass


def test_where_preloading_has_no_effect_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (run,) = plan_study(load_recipe(tmp_path / "recipe.toml", []), tmp_path).runs
    nowhere = Libraries(tmp_path / "missing.so", tmp_path)
    with pytest.raises(InputError, match=r"LD_PRELOAD.*missing\.so"):
        Stage(nowhere).rehearse(run.config, GPUS["h100"])


def test_libraries_are_private_and_this_process_does_not_load_them() -> None:
    try:
        compiler()
    except InputError as error:
        pytest.skip(str(error))
    with built_libraries() as libraries:
        assert libraries.preload.parent.stat().st_mode & 0o077 == 0
        assert str(libraries.preload.parent) not in Path("/proc/self/maps").read_text()
        assert "LD_PRELOAD" not in os.environ
    assert not libraries.preload.parent.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--layers", "2"], "belongs to --rehearse"), (["--rehearse", "--gpu", "h1"], "'h100'")],
)
def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, options: list[str], said: str
) -> None:
    done = plan(tmp_path, *options)
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
