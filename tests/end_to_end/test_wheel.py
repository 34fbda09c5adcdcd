"""The built wheel works outside the checkout, with the recipes and the curves that it carries."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("workbench-*.whl")
    target = folder / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python(installed: Path, tmp_path: Path) -> Python:
    """Run Python with the wheel, in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
        )

    return run


def test_the_wheel_carries_the_reference_curves(python: Python) -> None:
    code = (
        "from pathlib import Path; from workbench.importing.importer import import_runs;"
        "print(import_runs('reference', None, Path('results')).runs)"
    )
    done = python("-c", code)
    assert done.stdout == "6\n", done.stderr


def test_the_wheel_carries_the_shipped_studies(installed: Path, python: Python) -> None:
    question = "SELECT study, count(*) AS runs FROM study_runs GROUP BY ALL ORDER BY ALL"
    options = ["--from", "shipped", "--format", "json"]
    done = python("-m", "workbench.cli", "sql", question, *options)
    assert done.returncode == 0, done.stderr
    runs = {row["study"]: row["runs"] for row in json.loads(done.stdout)}
    assert runs["cpu-figure-01"] == 30
    assert (installed / "workbench" / "shipped" / "_workbench.json").exists()
    crossover = python("-m", "workbench.cli", "crossover", "cpu-figure-01", *options)
    assert {row["status"] for row in json.loads(crossover.stdout)} == {"crossed"}


def test_the_wheel_runs_the_quickstart_outside_the_checkout(
    installed: Path, python: Python
) -> None:
    where = python("-c", "import workbench; print(workbench.__file__)")
    assert where.stdout.startswith(str(installed))
    short = ["--set", "training.total_tokens=20_480", "--set", "evaluation.points=2"]
    short += ["--set", "evaluation.tasks=[]"]
    done = python("-m", "workbench.cli", "run", "quickstart", *short)
    assert done.returncode == 0, done.stderr
    crossover = python("-m", "workbench.cli", "crossover", "quickstart", "--format", "json")
    assert crossover.returncode == 0, crossover.stderr
    rows = json.loads(crossover.stdout)
    assert [row["group"]["unique_tokens"] for row in rows] == [12_800, 32_000]


def test_the_wheel_carries_the_app(installed: Path, python: Python) -> None:
    code = (
        "from workbench.viewing.launch import main_script; main = main_script();"
        "print(main.exists(), len(list((main.parent / 'views').glob('*.py'))), main)"
    )
    done = python("-c", code)
    pages = len(list((ROOT / "app" / "views").glob("*.py")))
    assert done.stdout.startswith(f"True {pages} {installed}"), done.stdout + done.stderr
