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
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<tag>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
WITH_COMMANDS = ("", "bash", "console")


@dataclass(frozen=True)
class CommandLine:
    """One command of a page: where it stands, and what a shell would be given."""

    page: Path
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """Its words, without quotes and without the comment."""
        return shlex.split(self.text, comments=True)

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
