"""The command lines of README.md and docs/ run as they are written.

Each page's commands run in their order, in a folder of their own (workplace.py). not_run.toml lists
what cannot run in a test, or only in `make test-long`, and why: those are read by the real parser.
"""

import re
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import TrainedRuns
from tests.docs.command_lines import (
    PAGES,
    ROOT,
    CommandLine,
    blocks,
    command_lines,
    inline_commands,
    refusal,
    unknown_names,
)
from tests.docs.executing import execute
from tests.docs.workplace import add_runs_of, add_study, studies_of, with_names

LISTED = tomllib.loads(Path(__file__).with_name("not_run.toml").read_text())
"""Commands that are not run, by kind (`never`, `long`), each with its reason; `...` is any text."""
LINES = {page: command_lines(page) for page in PAGES}


def listed(command: CommandLine) -> set[str]:
    """The kinds under which not_run.toml has a command."""
    return {kind for kind, entries in LISTED.items() if any(_is(command, e) for e in entries)}


def _is(command: CommandLine, entry: dict[str, str]) -> bool:
    pattern = re.escape(entry["command"]).replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, " ".join(command.words)) is not None


def pages(*, trained: bool) -> list[Path]:
    """The pages with commands to run here, those that need a trained model or the others."""
    return [
        page
        for page, lines in LINES.items()
        if page.name != "json.md"  # test_json.py runs those
        and any(not listed(line) for line in lines)
        and trained == any("RUN" in line.words for line in lines if not listed(line))
    ]


@pytest.mark.parametrize("page", pages(trained=False), ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, workplace: Path) -> None:
    run_page(page, workplace, run="")


@pytest.mark.training
@pytest.mark.parametrize("page", pages(trained=True), ids=lambda page: page.name)
def test_the_commands_of_a_page_about_trained_models_run(
    page: Path, workplace: Path, trained: TrainedRuns
) -> None:
    add_runs_of(trained, workplace / "results")
    run_page(page, workplace, run=trained["ar"].run_id)


@pytest.mark.long
@pytest.mark.training
@pytest.mark.timeout(3_600)  # laws are fitted to hundreds of runs
@pytest.mark.parametrize(
    "page",
    [page for page, lines in LINES.items() if any("long" in listed(line) for line in lines)],
    ids=lambda page: page.name,
)
def test_the_commands_of_a_page_run_that_take_long(
    page: Path, workplace: Path, trained: TrainedRuns
) -> None:
    add_runs_of(trained, workplace / "results")
    run_page(page, workplace, run=trained["ar"].run_id, long=True)


@pytest.mark.long
def test_the_python_of_the_readme_runs(workplace: Path) -> None:
    (program,) = (code for _, tag, code in blocks(ROOT / "README.md") if tag == "python")
    exec(program, {})
    assert Path("crossover.pdf").read_bytes().startswith(b"%PDF")


def run_page(page: Path, folder: Path, run: str, *, long: bool = False) -> None:
    """Run a page's commands in order; those that are listed are read by the parser alone."""
    for code in studies_of(page):
        add_study(code, folder)
    for command in LINES[page]:
        kinds = listed(command)
        words = with_names(command.words, run=run or "0123456789ab")
        if "never" in kinds or ("long" in kinds and not long):
            parse(command, words)
        else:
            begun = time.perf_counter()
            done = execute(words)
            seconds = time.perf_counter() - begun
            print(f"{seconds:6.2f} s  {command.place}: {' '.join(words)}\n{done.printed}")
            assert done.status == 0, f"{command.place}: {command.text}\n{done.errors}"


def parse(command: CommandLine, words: list[str]) -> None:
    """Read a command as far as it can be read without acting: options, their values, files."""
    if words[0] != "workbench":
        files = [word for word in words if re.fullmatch(r"(benchmarks|tests|docs)/[\w./]+", word)]
        for file in files:
            assert (ROOT / file).exists(), f"{command.place}: {file} is not there."
        for option in [word for word in words if files and word.startswith("--")]:
            assert f'"{option}"' in (ROOT / files[0]).read_text(), f"{command.place}: {option}"
        return
    assert refusal(words[1:]) is None, f"{command.place}: {command.text}\n{refusal(words[1:])}"


@pytest.mark.parametrize("kind", LISTED)
def test_what_is_listed_as_not_run_stands_in_the_documents(kind: str) -> None:
    everything = [line for lines in LINES.values() for line in lines]
    for entry in LISTED[kind]:
        assert entry["reason"]
        assert any(_is(line, entry) for line in everything), f"no page has {entry['command']}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_a_sentence_exist_with_their_options(page: Path) -> None:
    for line in inline_commands(page.read_text()):
        assert not unknown_names(line), f"{page.name}: `workbench {line}`: {unknown_names(line)}"


def test_a_command_that_would_fail_is_noticed(workplace: Path) -> None:
    wrong = CommandLine(ROOT / "README.md", 1, "workbench extend RUN --tokens 2000")
    with pytest.raises(AssertionError, match="--tokens"):
        parse(wrong, wrong.words)
    assert execute(["workbench", "outcomes", "no-such-study"]).status == 2
    assert unknown_names("crossover STUDY --axes epochs") == ["--axes"]
    assert unknown_names("crossovers STUDY") == ["crossovers"]
