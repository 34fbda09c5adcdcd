"""A worker's side of tracking: it starts the process that mirrors its run, and ends it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.tracking.settings import trackers_of

_MODULE = "workbench.tracking.mirror"
_PATIENCE_S = 120
"""How long a run that has ended waits for its trackers; what they hold is sent on afterwards."""


@dataclass
class Ending:
    """How the run ended, as far as its worker knows."""

    code: int | None = None


@contextmanager
def mirrored(run: Path, records: Path, *, finished: int) -> Iterator[Ending]:
    """Mirror a run while its worker trains it in this context, if it has trackers.

    Nothing here raises: what cannot be mirrored is a warning in the run's log.

    Args:
        finished: the exit status of a run at its last step, which `Ending.code` is compared with.
    """
    ending = Ending()
    process = _started(run, records)
    try:
        yield ending
    finally:
        if process is not None:
            _end(process, b"f" if ending.code == finished else b"s")


def _started(run: Path, records: Path) -> subprocess.Popen[bytes] | None:
    try:
        if not trackers_of(run)[1]:
            return None
        offset = records.stat().st_size if records.exists() else 0
        return subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(run), str(offset)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # Ctrl-C and a scheduler's warning are for the run, which then ends its mirror.
            start_new_session=True,
        )
    except (OSError, WorkbenchError) as error:
        _warn(f"this run is not shown: {error}")
        return None


def _end(process: subprocess.Popen[bytes], how: bytes) -> None:
    with suppress(OSError):  # where it has died
        assert process.stdin is not None
        process.stdin.write(how)
        process.stdin.close()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        _warn(f"the trackers have not ended {_PATIENCE_S} seconds after the run; they go on alone.")


def _warn(text: str) -> None:
    with suppress(OSError):
        print(f"Warning: tracking: {text}", file=sys.stderr)
