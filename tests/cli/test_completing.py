"""What a shell is offered: names from the results folder, fast, and never an error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made_runs import MakeRun

HEAVY = ("torch", "polars", "duckdb", "scipy", "altair")
CODE = f"""
import json, os, sys
sys.argv = ["workbench"]
from workbench.cli import main
for line in json.load(sys.stdin):
    read, write = os.pipe()
    if os.fork() == 0:
        os.dup2(write, 1)
        os.environ |= {{"_WORKBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "workbench " + line,
                       "COMP_CWORD": str(len(line.split(" ")))}}
        try:
            main()
        finally:
            loaded = [name for name in {HEAVY} if name in sys.modules]
            print(*loaded, file=sys.stderr, end="")
    os.close(write)
    with open(read) as words:
        print(json.dumps(words.read().split()), flush=True)
    assert os.wait()[1] == 0
"""


@pytest.fixture
def offered(results: Path, make_run: MakeRun, tmp_path: Path):
    """offered("crossover ma", ...) -> the words that a shell is offered for each line."""
    make_run("aa11", {1: 3.0})
    make_run("aa22", {1: 3.0}, metric="my_acc", study="other")

    def ask(*lines: str, heavy: bool = False) -> list[list[str]]:
        done = subprocess.run(
            [sys.executable, "-c", CODE], capture_output=True, text=True, cwd=tmp_path,
            input=json.dumps(lines),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert heavy or not done.stderr.strip(), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


def test_studies_runs_metrics_recipes_and_words_are_completed(offered, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.toml").touch()
    (tmp_path / "mine" / "a.txt").touch()
    expected = {
        "crossover ma": ["made"],
        "retry o": ["other"],
        "retry aa": ["aa11", "aa22"],
        "show aa11 aa": ["aa11", "aa22"],
        "plan quick": ["quickstart"],
        "run mine/": ["mine/a.toml"],
        "difference made --metric val": ["val_loss", "val_bpb"],
        "outcomes other --metric my": ["my_acc"],
        "outcomes made --metric my": [],
        "crossover made --axis f": ["flops", "flops_per_unique"],
        # What is wrong completes to nothing, and says nothing.
        "crossover --results nowhere ma": [],
        "plan quickstart --jobs many --form": ["--format"],
    }
    assert dict(zip(expected, offered(*expected), strict=True)) == expected


def test_studies_that_ship_are_completed(offered) -> None:
    assert offered("crossover --from shipped cpu-strongest-a", heavy=True) == [["cpu-strongest-ar"]]
