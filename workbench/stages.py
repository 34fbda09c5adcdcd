"""What is being done at this moment, for whoever waits for it.

What takes long says so with `doing`; the command line shows it once a command takes more than two
seconds (`workbench.cli.waiting`). Nothing is printed here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

_NOW = {"text": "", "shown_elsewhere": False}


def doing(text: str) -> None:
    """Say what is being done from now on, in a few words: "fitting chinchilla"."""
    _NOW["text"] = text


def now() -> str | None:
    """What is being done, "" where nobody said; None while it is shown in another way."""
    return None if _NOW["shown_elsewhere"] else str(_NOW["text"])


@contextmanager
def shown_elsewhere() -> Iterator[None]:
    """Say nothing inside the block: it shows by itself how far it is, or waits for somebody."""
    before = _NOW["shown_elsewhere"]
    _NOW["shown_elsewhere"] = True
    try:
        yield
    finally:
        _NOW["shown_elsewhere"] = before
