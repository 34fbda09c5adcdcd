"""docs/questions.md: every command and every call runs as it is written there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import workbench as wb
from tests.made_runs import make_crossing_seeds, run_maker
from workbench.cli import app
from workbench.store import ingest
from workbench.store.parquet.export import export_parquet

README = (Path(__file__).parents[2] / "README.md").read_text()
PAGE = (Path(__file__).parents[2] / "docs" / "questions.md").read_text()
ROWS = re.findall(r"^\| ([^|`]+) \| `workbench ([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)
ELSEWHERE = ("Train it.", "Load a trained model.", "Bring curves from W&B.")
"""What the notebooks and the tests of export do: it trains, or needs a trained model or a table."""
LONG = ("larger run", "expected of a recipe", "for a paper", "one page", "side by side")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of a study called quickstart, whose runs have logs."""
    folder = tmp_path_factory.mktemp("questions")
    make_crossing_seeds(run_maker(folder / "results"), 100, study="quickstart", documents=8)
    for run in (folder / "results" / "runs").iterdir():
        (run / "log.txt").write_text("step 400\n")
    ingest(folder / "results")
    export_parquet(folder / "results", str(folder / "exports" / "mine"))
    return folder


def filled(text: str) -> str:
    return text.replace("RUN", "a0").replace("OTHER", "d1")


def asked(rows: list[tuple[str, str, str]], *, long: bool) -> list[Any]:
    return [
        pytest.param(command, call, id=question)
        for question, command, call in rows
        if question not in ELSEWHERE and any(part in question for part in LONG) == long
    ]


def answer(command: str, call: str) -> None:
    done = CliRunner().invoke(app, [*map(filled, shlex.split(command))])
    assert done.exit_code == 0, done.output
    assert done.output
    names = {"wb": wb, "results": (results := wb.Results("results"))}
    value = eval(filled(call), names | {"study": results.study("quickstart")})
    assert value is not None


@pytest.mark.parametrize(("command", "call"), asked(ROWS, long=False))
def test_a_question_has_a_command_and_a_call(
    command: str, call: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    answer(command, call)


@pytest.mark.long
@pytest.mark.parametrize(("command", "call"), asked(ROWS, long=True))
def test_a_question_that_takes_longer_has_them_too(
    command: str, call: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    answer(command, call)


def test_the_readmes_lines_of_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_crossing_seeds(run_maker(tmp_path / "results"), 100, study="unique-budget", documents=8)
    ingest(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["curves"].height > 0
    assert Path("crossover.pdf").exists()


def test_the_page_has_ten_questions_and_more() -> None:
    assert len(ROWS) >= 10
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(lines) - sum(line.startswith("| question") for line in lines)


def test_what_the_page_asks_of_shipped_studies_can_be_asked_of_them() -> None:
    """Their commands take --from; those of the other table are about recipes, or do not."""
    shipped, own = PAGE.split("## Of your own recipes and runs")
    for text, wanted in ((shipped, True), (own, False)):
        for line in re.findall(r"`workbench ([^`]+)` \| `", text):
            command = get_command(app).commands[shlex.split(line)[0]]  # type: ignore[attr-defined]
            options = [option for one in command.params for option in one.opts]
            assert ("--from" in options) == wanted, line
