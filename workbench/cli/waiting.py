"""Lines on stderr about a command that takes its time, so that nobody waits in silence."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from workbench import stages
from workbench.messages import duration

FIRST_S = 2.0
_AGAIN_S = 10.0
_LOOK_EVERY_S = 0.25


@contextmanager
def told(command: str, *, first: float = FIRST_S, again: float = _AGAIN_S) -> Iterator[None]:
    """Print to stderr what a command does: after `first` seconds, when that changes, but no more
    often than that, and else every `again` seconds.

    Nothing is printed where stdout and stderr are one pipe or file: lines would be in the answer.
    """
    if _is_one_with_stdout():
        yield
        return
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(command, first, again, over), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _tell(command: str, first: float, again: float, over: threading.Event) -> None:
    began = said = time.monotonic()
    last: str | None = None
    while not over.wait(min(_LOOK_EVERY_S, first)):
        text, at = stages.now(), time.monotonic()
        if text is None:
            said = at  # what shows itself is followed by silence of its own length
            continue
        if at - said >= (first if text != last else again):
            said, last = at, text
            with suppress(OSError, ValueError):  # nobody reads it any more
                line = f"{command}: {duration(at - began)}{text and f', {text}'} ..."
                print(line, file=sys.stderr, flush=True)


def _is_one_with_stdout() -> bool:
    try:
        out, err = os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno())
        alike = (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
        return alike and not sys.stderr.isatty()
    except (OSError, ValueError):  # closed, or none of a file
        return True
