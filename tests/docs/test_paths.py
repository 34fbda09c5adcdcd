"""The documents name files, commands and options that are there."""

import re
from pathlib import Path

import pytest
import typer.main

from workbench.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "workbench|tests|app|benchmarks|recipes|docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_a_document_names_exist(page: Path) -> None:
    named = re.findall(rf"(?<![\w/.(-])((?:{FOLDERS})/[\w/.-]+)", page.read_text())
    for name in named:
        assert "NAME" in name or (ROOT / name.rstrip(".")).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_a_document_names_exist(page: Path) -> None:
    root = typer.main.get_command(app)
    lines = re.findall(r"^workbench (.*)$", _code(page.read_text()), re.MULTILINE)
    for line in lines:
        command, words = root, line.partition("  #")[0].split()
        while hasattr(command, "commands"):
            name = words.pop(0)
            if name.startswith("-"):
                break
            assert name in command.commands, line
            command = command.commands[name]
        known = {name for parameter in command.params for name in parameter.opts}
        known |= {name for parameter in command.params for name in parameter.secondary_opts}
        for word in words:
            if re.fullmatch(r"--[a-z][a-z-]*", word):
                assert word in known, f"{line}: {word}"


def _code(text: str) -> str:
    """The blocks of code of a page: fenced, or indented by four blanks."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return "\n".join([*fenced, *indented])
