"""The direction of imports is a contract that `make lint` checks: see [tool.importlinter]."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "templates")
    shutil.copytree(ROOT / "workbench", tmp_path / "workbench", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("analysis/cost.py", "import torch", "import torch BROKEN"),
        ("analysis/cost.py", "from workbench.running import control", "to the ground BROKEN"),
        ("runs/lock.py", "from workbench.runs import folder", "between packages or files BROKEN"),
        ("planning/plan.py", "from workbench.planning import gpus", "or files BROKEN"),
        ("running/study.py", "from workbench.running import worker", "never imported BROKEN"),
    ],
)
def test_what_points_upwards_goes_round_or_imports_torch_is_found(
    tree: Path, file: str, line: str, broken: str
) -> None:
    path = tree / "workbench" / file
    path.write_text(path.read_text() + f"\n\n{line}  # noqa\n")
    done = lint(tree)
    assert done.returncode == 1, done.stdout
    assert broken in done.stdout


def test_the_package_keeps_it(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
