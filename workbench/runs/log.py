"""The log of a run, as far as it is written, and as it grows."""

import time
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from workbench.errors import InputError
from workbench.runs.files import plain_file
from workbench.runs.folder import RunFolder

_LOOK_EVERY_S = 0.3


def log_lines(run: RunFolder, last: int = 0, *, follow: bool = False) -> Iterator[str]:
    """Lines of a run's log.

    Args:
        last: so many of its end; all where 0.
        follow: go on with lines as they are written, until nobody trains the run.

    Raises:
        InputError: there is no log, or it cannot be read.
    """
    try:
        file = open(run.log_path, "rb", opener=plain_file)  # noqa: SIM115 - closed below
    except OSError:
        why = "it was not trained here" if run.is_imported() else "it has not been started here"
        raise InputError(f"run {run.run_id} has no log: {why}.") from None
    with file:
        there = _whole_lines(file)
        yield from deque(there, maxlen=last) if last else there
        while follow:
            # Whether it is over is asked before the last look: what it wrote until then is there.
            over = not run.is_claimed()
            yield from _whole_lines(file)
            if over:
                break
            time.sleep(_LOOK_EVERY_S)
        if rest := file.read():
            yield _text(rest)


def _whole_lines(file: BinaryIO) -> Iterator[str]:
    """Lines up to the last one that has its end; the place in the file stays behind that."""
    while (line := file.readline()).endswith(b"\n"):
        yield _text(line)
    file.seek(-len(line), 1)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r\n")
