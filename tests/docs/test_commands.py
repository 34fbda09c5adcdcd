"""The command lines of README.md and docs/ run as they are written.

Each page's commands run in their order, in a folder of their own (workplace.py). not_run.toml lists
what cannot run in a test, or only in `make test-long`, and why: those are read by the real parser.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import click
import pytest
import typer.main

from tests.conftest import TrainedRuns
from tests.docs.command_lines import PAGES, ROOT, CommandLine, command_lines
from tests.docs.workplace import add_runs_of, make_workplace, studies_of, with_names
from workbench.cli import app, main

LISTED = tomllib.loads(Path(__file__).with_name("not_run.toml").read_text())
"""Commands that are not run, by kind (`never`, `long`), each with its reason; `...` is any text."""
LINES = {page: command_lines(page) for page in PAGES}
NEEDS_A_RUN = re.compile(r"\bRUN\b")
"""What a page has that needs a model which was trained."""


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
        if any(not listed(line) for line in lines)
        and trained == any(NEEDS_A_RUN.search(line.text) for line in lines if not listed(line))
    ]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workplace(tmp_path_factory.mktemp("docs") / "workplace")


@pytest.fixture
def workplace(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own to run commands in."""
    folder = tmp_path / "workplace"
    shutil.copytree(template, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WORKBENCH_SITE", str(tmp_path / "site.toml"))
    return folder


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


def run_page(page: Path, folder: Path, run: str, *, long: bool = False) -> None:
    """Run a page's commands in order; those that are listed are read by the parser alone."""
    for code in studies_of(page):
        (folder / "study.toml").write_text(code)
    for command in LINES[page]:
        kinds = listed(command)
        words = with_names(command.words, run=run or "0123456789ab")
        if "never" in kinds or ("long" in kinds and not long):
            parse(command, words)
        else:
            begun = time.perf_counter()
            status, printed = execute(words)
            seconds = time.perf_counter() - begun
            print(f"{seconds:6.2f} s  {command.place}: {' '.join(words)}\n{printed}")
            assert status == 0, f"{command.place}: {command.text}\n{printed}"


def execute(words: list[str]) -> tuple[int, str]:
    """Run a command: (exit status, what it printed). The workbench runs in this process."""
    if words[0] == "make":
        words = ["make", "--dry-run", *words[1:]]  # the folders that it makes are this checkout's
    if words[0] != "workbench":
        line = " ".join(word if word in "<>" else _quoted(word) for word in words)
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr
    words, file = (words[:-2], words[-1]) if ">" in words else (words, None)
    out = io.StringIO()
    status: object = 0
    before = sys.argv
    sys.argv = ["workbench", *words[1:]]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main()
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv = before
        os.environ.pop("WORKBENCH_DEBUG", None)
    if file is not None:
        Path(file).write_text(out.getvalue())
    assert isinstance(status, int)
    return status, out.getvalue()


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def parse(command: CommandLine, words: list[str]) -> None:
    """Read a command as far as it can be read without acting: options, their values, files."""
    if words[0] != "workbench":
        files = [word for word in words if re.fullmatch(r"(benchmarks|tests|docs)/[\w./]+", word)]
        for file in files:
            assert (ROOT / file).exists(), f"{command.place}: {file} is not there."
        for option in [word for word in words if files and word.startswith("--")]:
            assert f'"{option}"' in (ROOT / files[0]).read_text(), f"{command.place}: {option}"
        return
    root = typer.main.get_command(app)
    try:
        _context(root, "workbench", words[1:], None)
    except click.exceptions.ClickException as error:
        pytest.fail(f"{command.place}: {command.text}\n{error.format_message()}")


def _context(command: click.Command, name: str, words: list[str], parent: object) -> None:
    context = command.make_context(name, list(words), parent=parent)  # type: ignore[arg-type]
    rest = [*context._protected_args, *context.args]
    if isinstance(command, click.Group) and rest:
        inner_name, inner, inner_words = command.resolve_command(context, rest)
        assert inner is not None
        _context(inner, inner_name or "", inner_words, context)


@pytest.mark.parametrize("kind", LISTED)
def test_what_is_listed_as_not_run_stands_in_the_documents(kind: str) -> None:
    everything = [line for lines in LINES.values() for line in lines]
    for entry in LISTED[kind]:
        assert entry["reason"]
        assert any(_is(line, entry) for line in everything), f"no page has {entry['command']}"


def test_a_command_that_would_fail_is_noticed(workplace: Path) -> None:
    wrong = CommandLine(ROOT / "README.md", 1, "workbench extend RUN --tokens 2000")
    with pytest.raises(pytest.fail.Exception):
        parse(wrong, wrong.words)
    assert execute(["workbench", "outcomes", "no-such-study"])[0] != 0
