"""The process that mirrors a run: `python -m workbench.tracking.mirror RUN_DIR OFFSET`.

It follows `records.jsonl` for as long as its input is open. A byte there says that the run has come
to an end: "f" to its last step, "s" to one that it was stopped at. Without one the run was killed,
and the step that it was writing will be written again.

What a tracker raises, also as it is imported, costs one line in the run's log, and that tracker.
"""

import fcntl
import importlib
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.recipe.tracking import TRACKERS, TrackingConfig
from workbench.runs.files import plain_file
from workbench.runs.folder import RunFolder
from workbench.tracking.rows import Rows
from workbench.tracking.settings import trackers_of
from workbench.tracking.tracker import Tracked, Tracker

FINISHED, STOPPED = b"f", b"s"
_LOOK_EVERY_S = 0.5
_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
"""The value of a variable with such a name is not written to a log."""
_LEAST_SECRET = 6  # characters: shorter ones are in too many words


class Mirrored:
    """One tracker with the rows that it still needs; silent once it has failed."""

    def __init__(self, settings: TrackingConfig, tracked: Tracked, earlier: list[bytes]) -> None:
        self.kind = settings.kind
        self._tracker: Tracker | None = None
        try:
            module = importlib.import_module(TRACKERS[settings.kind])
            self._tracker = module.Tracker(tracked, settings)
            self._rows = Rows(self._tracker.last_step, earlier)
        except ImportError as error:
            self._fail(
                f"{error}. Install it with `pip install 'workbench[{self.kind}]'`"
                if error.name and not error.name.startswith("workbench") else str(error)
            )  # fmt: skip
        except BaseException as error:
            self._fail(_text(error))

    def write(self, lines: list[bytes], *, end: bool = False) -> None:
        """Write the rows that new lines complete, and at a known end the last one."""
        if self._tracker is None:
            return
        try:
            for step, values in [*self._rows.add(lines), *(self._rows.end() if end else ())]:
                self._tracker.write(step, time.time(), values)
        except BaseException as error:
            self._fail(_text(error))

    def close(self, *, finished: bool) -> None:
        if self._tracker is None:
            return
        try:
            self._tracker.close(finished=finished)
        except BaseException as error:
            self._fail(_text(error))

    def _fail(self, reason: str) -> None:
        self._tracker = None
        _warn(f"{self.kind} shows this run no longer: {reason}. The run goes on without it.")


def main(run_dir: Path, offset: int) -> None:
    """Mirror a run until its worker ends.

    Args:
        offset: where in `records.jsonl` the worker's own records begin.
    """
    run = RunFolder(run_dir)
    study, settings = trackers_of(run_dir)
    with open(run_dir / "tracking.lock", "ab", opener=plain_file) as lock:
        # The process of an earlier start may still be sending what it has.
        fcntl.flock(lock, fcntl.LOCK_EX)
        tracked = Tracked(run.run_id, study, run.config_json()["config"], run.results)
        earlier = next(_lines(run.records_path, 0, offset), [])
        mirrored = [Mirrored(one, tracked, earlier) for one in settings]
        followed = _lines(run.records_path, offset)
        said, is_open = b"", True
        while is_open:
            ready, _, _ = select.select([0], [], [], _LOOK_EVERY_S)
            if ready:
                received = os.read(0, 64)
                said, is_open = said + received, bool(received)
            lines = next(followed)
            for one in mirrored:
                one.write(lines, end=not is_open and bool(said))
        for one in mirrored:
            one.close(finished=said == FINISHED)


def _lines(path: Path, start: int, stop: int | None = None) -> Iterator[list[bytes]]:
    """The whole lines of a growing file since the last time, from an offset on."""
    rest = b""
    while True:
        received = b""
        if path.exists():
            with open(path, "rb", opener=plain_file) as file:
                file.seek(start)
                received = file.read(-1 if stop is None else max(0, stop - start))
        start += len(received)
        *whole, rest = (rest + received).split(b"\n")
        yield whole


def _text(error: BaseException) -> str:
    """An error in one line, without the values of variables that hold keys."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= _LEAST_SECRET:
            text = text.replace(value, f"<{name}>")
    return text.rstrip(".")


def _warn(text: str) -> None:
    print(f"Warning: tracking: {text}", file=sys.stderr, flush=True)


def run(arguments: list[str]) -> None:
    """The process' start: whatever is wrong with the run's folder is one line too."""
    try:
        main(Path(arguments[0]), int(arguments[1]))
    except (WorkbenchError, OSError, KeyError) as error:
        _warn(f"this run is not shown: {_text(error)}.")


if __name__ == "__main__":
    run(sys.argv[1:])
