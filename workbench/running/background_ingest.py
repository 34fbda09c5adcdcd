"""Ingest beside the training: the store follows, and no slot waits for it."""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from workbench.errors import WorkbenchError

_EVERY_S = 5.0
_LOCKED_S = 1.0  # to wait for a reader of the store while runs go on
_LOCKED_AT_END_S = 60.0
_SAY_AFTER_S = 30.0  # without an ingest, because somebody has the store open


class BackgroundIngest:
    """Brings the store up to date every few seconds, in a thread of its own."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")
        self._going_on: Future[WorkbenchError | None] | None = None
        self._changed: set[str] = set()
        self._under_way: set[str] = set()
        self._last = self._current = time.monotonic()
        self._is_said = False

    def note(self, run_id: str) -> None:
        """Remember that a run ended, so that its last records are read."""
        self._changed.add(run_id)

    def now_and_then(self, running: Iterable[str]) -> str | None:
        """Start an ingest of what may have changed, unless it is too early or one goes on.

        Returns:
            what to tell the user: that the store is behind, and why; once, until it follows again.
        """
        if self._going_on is not None and not self._going_on.done():
            return None
        if time.monotonic() - self._last < _EVERY_S:
            return None
        problem = self._going_on.result() if self._going_on is not None else None
        if problem is not None:
            self._changed |= self._under_way
        elif self._going_on is not None:
            self._current, self._is_said = time.monotonic(), False
        self._under_way, self._changed = self._changed | set(running), set()
        if self._under_way:
            self._going_on = self._thread.submit(self._ingest, self._under_way)
        self._last = time.monotonic()
        behind = self._last - self._current > _SAY_AFTER_S
        if problem is None or self._is_said or not behind:
            return None
        self._is_said = True
        return f"Note: the store does not follow: {problem} The runs go on."

    def _ingest(self, run_ids: set[str]) -> WorkbenchError | None:
        from workbench.store import ingest

        try:
            ingest(self.results, run_ids=run_ids, timeout=_LOCKED_S)
        except WorkbenchError as error:
            return error  # such as a store that is open elsewhere
        return None

    def stop(self) -> None:
        """Wait for the ingest that is going on, and start no more."""
        self._thread.shutdown(wait=True)

    def everything(self) -> list[str]:
        """Bring the store up to date with the whole folder, and return what could not be read, or
        that the store could not be written because somebody else has it open.

        Raises:
            WorkbenchError: the disk is full.
        """
        from workbench.store import ingest
        from workbench.store.connection import StoreLocked

        try:
            return ingest(self.results, timeout=_LOCKED_AT_END_S).problems
        except StoreLocked as error:
            return [
                f"the store lacks the last results: {error} Then run `workbench ingest`. The run "
                "folders have every record."
            ]
