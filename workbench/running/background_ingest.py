"""Ingest beside the training: the store follows, and no slot waits for it."""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from workbench.errors import WorkbenchError

_EVERY_S = 5.0
_LOCKED_S = 1.0  # to wait for a reader of the store while runs go on
_LOCKED_AT_END_S = 60.0


class BackgroundIngest:
    """Brings the store up to date every few seconds, in a thread of its own."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")
        self._going_on: Future[None] | None = None
        self._changed: set[str] = set()
        self._last = time.monotonic()

    def note(self, run_id: str) -> None:
        """Remember that a run ended, so that its last records are read."""
        self._changed.add(run_id)

    def now_and_then(self, running: Iterable[str]) -> None:
        """Start an ingest of what may have changed, unless it is too early or one goes on."""
        if self._going_on is not None and not self._going_on.done():
            return
        if time.monotonic() - self._last < _EVERY_S:
            return
        changed, self._changed = self._changed | set(running), set()
        if changed:
            self._going_on = self._thread.submit(self._ingest, changed)
        self._last = time.monotonic()

    def _ingest(self, run_ids: set[str]) -> None:
        from workbench.store import ingest

        try:
            ingest(self.results, run_ids=run_ids, timeout=_LOCKED_S)
        except WorkbenchError:
            return  # such as a locked store; `everything` reports what does not pass

    def stop(self) -> None:
        """Wait for the ingest that is going on, and start no more."""
        self._thread.shutdown(wait=True)

    def everything(self) -> list[str]:
        """Bring the store up to date with the whole folder, and return what could not be read.

        Raises:
            WorkbenchError: the store stayed locked, or the disk is full.
        """
        from workbench.store import ingest

        return ingest(self.results, timeout=_LOCKED_AT_END_S).problems
