"""The command lines of README.md, CONTRIBUTING.md and docs/, as they are written there.

A block of code without a language, or of `bash` or `console`, has command lines and nothing else;
what is neither command nor program is tagged `text`. In `console` the lines after `$ ` are commands
and the others what they print. A command may go on over several lines, within quotes or after a
backslash.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer.main

from workbench.cli import app
from workbench.errors import InputError

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/plugin/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<tag>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL
)
WITH_COMMANDS = ("", "bash", "console")


@dataclass(frozen=True)
class CommandLine:
    """One command of a page: where it stands, and what a shell would be given."""

    page: Path
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """Its words, without quotes, comment, and what may be left out: `[--step N]`."""
        text = re.sub(r"\[--[^\]]*\]", "", self.text.replace("\\\n", " "))
        return shlex.split(text, comments=True)

    @property
    def place(self) -> str:
        """Page and line, as messages name them."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[tuple[int, str, str]]:
    """(number of the first line of code, tag, code) of each block of a page."""
    text = page.read_text()
    for found in FENCE.finditer(text):
        indent = found["indent"]
        code = "".join(line.removeprefix(indent) for line in found["code"].splitlines(True))
        yield text.count("\n", 0, found.start()) + 2, found["tag"], code


def command_lines(page: Path) -> list[CommandLine]:
    """The command lines of a page, in its order."""
    return [
        CommandLine(page, line, text)
        for first, tag, code in blocks(page)
        if tag in WITH_COMMANDS
        for line, text in _joined(first, code, console=tag == "console")
    ]


def inline_commands(text: str) -> list[str]:
    """What follows `workbench` in the backquotes of a text: commands with or without arguments."""
    prose = FENCE.sub("", text)
    return [" ".join(found.split()) for found in re.findall(r"`workbench ([^`]*)`", prose)]


@cache
def the_command() -> Any:
    """`workbench`, as its own parser has it."""
    return typer.main.get_command(app)


def unknown_names(line: str) -> list[str]:
    """The commands and options of a line, without `workbench`, that there are not."""
    command, words = the_command(), shlex.split(line)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return [name] if name.islower() else []  # such as COMMAND
        command = command.commands[name]
    known = {name for parameter in command.params for name in parameter.opts}
    known |= {name for parameter in command.params for name in parameter.secondary_opts}
    return [word for word in words if re.match(r"--[a-z]", word) and word not in known | {"--help"}]


def refusal(words: list[str]) -> str | None:
    """Why the command line's own parser refuses a command's words; None: it does not. Nothing is
    done."""
    command = the_command()
    name, parent = "workbench", None
    elsewhere = any("://" in word for word in words)
    try:
        while True:
            parent = command.make_context(name, list(words), parent=parent)
            if not hasattr(command, "resolve_command"):
                return None
            words = [*parent._protected_args, *parent.args]
            name, command, words = command.resolve_command(parent, words)
    except InputError:
        if elsewhere:
            return None  # --from has looked for the bucket, which is not within reach
        raise
    except Exception as error:  # of the click that typer brings, which has no public name
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message())


def _joined(first: int, code: str, *, console: bool) -> Iterator[tuple[int, str]]:
    begun, text = first, ""
    for number, line in enumerate(code.splitlines(), first):
        if console and not text:
            if not line.startswith("$ "):
                continue
            line = line.removeprefix("$ ")
        begun = begun if text else number
        text += line + "\n"
        if line.endswith("\\") or not _ends(text):
            continue
        if shlex.split(text, comments=True):
            yield begun, text.strip()
        text = ""
    assert not text, f"a quotation that does not end: {text}"


def _ends(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:  # within a quotation
        return False
    return True
