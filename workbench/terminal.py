"""Text on its way to a terminal: what would command it is shown instead.

Names, labels, log lines and texts come from files of other people. An escape sequence in one of
them could rewrite what stands on the screen, or the clipboard; a bidirectional override turns a
line around. `guard` lets everything that this process prints pass through `shown`.
"""

import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# C0 but tab and line feed, DEL, C1, bidirectional embeddings, overrides and isolates, and halves of
# surrogate pairs, by which Python stands for bytes of a file's name that are no text.
_COMMANDS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)


def shown(text: str) -> str:
    """A text with each control character as JSON writes it, such as \\u001b for escape.

    Text in which they stand inside quotes, as in JSON, still means the same.
    """
    return _COMMANDS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class _Shown:
    """A text stream that shows control characters, and else is the one that it writes to."""

    def __init__(self, stream: Any) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        self.unguarded.write(shown(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard() -> None:
    """Let everything that this process prints from now on pass through `shown`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Shown):
            setattr(sys, name, _Shown(stream))


def console(*, stderr: bool = False, width: int | None = None) -> "Console":
    """A Rich console on stdout or stderr: its own colours pass, what it is given is shown."""
    stream = sys.stderr if stderr else sys.stdout
    guarded: Console = _console_class()(file=getattr(stream, "unguarded", stream), width=width)
    return guarded


@cache
def _console_class() -> Any:
    from rich.console import Console
    from rich.segment import Segment

    class ShownConsole(Console):
        def render(self, *arguments: Any, **options: Any) -> Any:
            for segment in super().render(*arguments, **options):
                plain = segment.control is None
                yield Segment(shown(segment.text), segment.style) if plain else segment

    return ShownConsole
