"""What others get: a source archive, the wheel that is built from it, and that wheel in a
fresh environment."""

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGEST = 1_000_000  # bytes of a file
OTHERS = re.compile(rb"/(?:work|root|home)/[\w.-]+/[\w.-]+|" + re.escape(str(ROOT)).encode())
"""Paths of a machine: homes of people, and this checkout."""
ALLOWED = (b"/home/user/",)
BROUGHT = {
    "google": "tensorboard",
    "huggingface_hub": "datasets",
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic",
}
"""Packages that come with a dependency, and with which. (`google` is protobuf.)"""
OURS = {"workbench", "local_corpora"}
OF_THE_SYSTEM = {"seccomp"}
"""Used where the system's Python has them."""
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, and the wheel that pip builds from it alone, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    python = [sys.executable, "-m"]
    subprocess.run(
        [*python, "hatchling", "build", "-t", "sdist", "-d", folder], cwd=ROOT, check=True
    )
    (archive,) = folder.glob("*.tar.gz")
    wheel = [*python, "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*wheel, "--wheel-dir", str(folder), str(archive)], cwd=folder, check=True)
    return folder


def archive_files(dist: Path) -> dict[str, bytes]:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        return {
            member.name.partition("/")[2]: file.extractfile(member).read()
            for member in file
            if member.isfile()
        }


def wheel_files(dist: Path) -> dict[str, bytes]:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.mark.parametrize("files", [archive_files, wheel_files])
def test_no_file_is_large_or_names_a_path_of_this_machine(
    files: Callable[[Path], dict[str, bytes]], dist: Path
) -> None:
    for name, content in files(dist).items():
        assert len(content) < LARGEST, name
        if not name.startswith("tests/"):  # which try such paths
            found = [path for path in OTHERS.findall(content) if not path.startswith(ALLOWED)]
            assert not found, (name, found)


def test_the_archive_has_what_builds_tests_and_documents_the_workbench(dist: Path) -> None:
    files = archive_files(dist)
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    wanted = {name for name in tracked if name and not name.startswith(".")}
    assert wanted <= set(files)
    assert set(files) - wanted == {"PKG-INFO", ".gitignore"}
    for name in ("tests/conftest.py", "docs/stability.md", "CITATION.cff", "constraints.txt"):
        assert name in files


def test_the_wheel_has_the_package_with_its_app_recipes_and_results(dist: Path) -> None:
    files = wheel_files(dist)
    for start in (
        "app/views/", "recipes/cpu/", "shipped/metrics/", "reference/", "py.typed",
        "report/templates/", "recipe/template.toml", "rehearsal/csrc/",
    ):  # fmt: skip
        assert any(name.startswith(f"workbench/{start}") for name in files), start
    from workbench import __version__

    tops = {name.partition("/")[0] for name in files}
    assert tops == {"workbench", f"workbench-{__version__}.dist-info"}
    assert not [name for name in files if name.endswith(".pyc") or "/tests/" in name]
    (metadata,) = (text for name, text in files.items() if name.endswith("/METADATA"))
    assert f"\nVersion: {__version__}\n".encode() in metadata
    assert b"\nLicense-Expression: Apache-2.0\n" in metadata


@pytest.fixture(scope="module")
def fresh(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and this one's packages but for the workbench of the
    checkout: of a package index nothing is asked."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    (wheel,) = dist.glob("*.whl")
    pip = [str(python), "-m", "pip", "--quiet", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    # A path in a .pth file is searched; .pth files within it, as of an editable install, are not.
    (site / "packages.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    return folder


def asked(fresh: Path, *command: str) -> str:
    """What a command of the environment prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [fresh / "env" / "bin" / command[0], *command[1:]],
        cwd=fresh,
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_answer_in_a_fresh_environment(fresh: Path) -> None:
    where = asked(fresh, "python", "-c", "import workbench; print(workbench.__file__)")
    assert Path(where.strip()).is_relative_to(fresh)
    from workbench import __version__

    assert asked(fresh, "workbench", "--version").strip() == __version__
    recipes = json.loads(asked(fresh, "workbench", "recipes", "--format", "json"))
    assert len(recipes) == len(list((ROOT / "recipes").rglob("*.toml")))
    plan = json.loads(asked(fresh, "workbench", "plan", "quickstart", "--format", "json"))
    assert len(plan["runs"]) == 4
    studies = asked(fresh, "workbench", "sql", "--from", "shipped", "FROM studies")
    assert "cpu-figure-01" in studies
    app = asked(
        fresh, "python", "-c",
        "from workbench.viewing.launch import main_script; print(main_script())",
    )  # fmt: skip
    assert Path(app.strip()).is_relative_to(fresh)


def test_every_package_that_is_imported_is_a_dependency_or_of_an_extra(dist: Path) -> None:
    files = wheel_files(dist)
    (metadata,) = (text for name, text in files.items() if name.endswith("/METADATA"))
    named = re.findall(r"^Requires-Dist: ([\w.-]+)", metadata.decode(), re.MULTILINE)
    known = {name.lower().replace("_", "-") for name in named}
    distributions = packages_distributions()
    for name, text in files.items():
        if not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules = [node.module]
            for module in {one.partition(".")[0] for one in modules} - sys.stdlib_module_names:
                owners = {one.lower().replace("_", "-") for one in distributions.get(module, ())}
                owners |= {BROUGHT.get(module, module)}
                assert module in OURS | OF_THE_SYSTEM or owners & known, f"{name} imports {module}"
