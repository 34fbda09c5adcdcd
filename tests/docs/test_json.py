"""The answers whose keys docs/json.md lists have those keys."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.command_lines import ROOT, CommandLine, command_lines
from tests.docs.executing import execute

PAGE = ROOT / "docs" / "json.md"
SECTION = re.compile(r"^(workbench [^\n]*)$.*?^\|---\|---\|$\n(.*?)(?=^## |\Z)", re.M | re.S)
SECTIONS = dict(SECTION.findall(PAGE.read_text()))
"""The table of keys that follows each command."""


def keys_of(table: str) -> list[str]:
    """The keys in the first column of a table."""
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    return [key for cell in cells for key in re.findall(r"`([^`]*)`", cell)]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(line, marks=pytest.mark.long if line.words[1] == "advise" else ())
        for line in command_lines(PAGE)
    ],
    ids=lambda command: command.words[1],
)
def test_an_answer_has_the_keys_that_the_page_lists(command: CommandLine, workplace: Path) -> None:
    done = execute(command.words)
    assert done.status == 0, done.errors
    answer = json.loads(done.printed)
    assert SECTIONS[command.text]
    for key in keys_of(SECTIONS[command.text]):
        part: Any = answer[0] if isinstance(answer, list) else answer
        for name in key.split("."):
            assert name in part, f"{command.text}: no {key}"
            part = part[name]
