"""Who works on a run: a lock of the kernel on a file, signed by the process that holds it."""

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workbench.errors import WorkbenchError
from workbench.runs.files import plain_file, read_bytes
from workbench.runs.processes import started_at


class AlreadyClaimed(WorkbenchError):
    """Another process is working on this run."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a run's claim."""

    pid: int
    host: str


class RunLock:
    """The file `lock` of a run's folder. Whoever holds it is the run's only writer."""

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self.run_id = run_id

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Lock the run. The kernel unlocks it when the process ends, however it ends.

        Raises:
            AlreadyClaimed: another process holds it.
        """
        with self._open_lock() as lock:
            for patience in (0.01, 0.05, 0.2, 0.0):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    # `is_claimed` of another process may be looking, for microseconds.
                    time.sleep(patience)
                except OSError as error:
                    raise WorkbenchError(
                        f"{self.path}: cannot be locked: {error.strerror}. The results folder "
                        "must lie on a file system with flock."
                    ) from error
            else:
                raise AlreadyClaimed(f"run {self.run_id} is being trained by another process.")
            self._sign(lock)
            yield

    def _open_lock(self) -> IO[bytes]:
        try:
            return open(self.path, "ab", buffering=0, opener=plain_file)
        except OSError as error:
            raise WorkbenchError(f"{self.path}: cannot be opened: {error.strerror}.") from error

    def _sign(self, lock: IO[bytes]) -> None:
        """Write into the lock who holds it. The claim is valid without, as on a full disk."""
        me = os.getpid()
        signature = {"pid": me, "started": started_at(me), "host": platform.node()}
        with suppress(OSError):
            lock.truncate(0)
            lock.write(json.dumps(signature).encode())

    def is_claimed(self) -> bool:
        """Whether some process holds the run now.

        Raises:
            WorkbenchError: the lock cannot be looked at, or is no file of this run's.
        """
        try:
            # For reading: whoever may read a run may know whether it is at work.
            with open(self.path, "rb", opener=plain_file) as lock:
                # Shared: two who only look do not take each other for workers.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise WorkbenchError(f"{self.path}: cannot be opened: {error.strerror}.") from error
        return False

    def holder(self) -> Holder | None:
        """Who holds the run now, or None where nobody does or that cannot be known.

        On this host the answer is a live process, and never another that was given its id later.
        """
        if not self.is_claimed():
            return None
        try:
            signed = json.loads(read_bytes(self.path, limit=65_536))
            holder = Holder(signed["pid"], signed["host"])
            if type(holder.pid) is not int or holder.pid < 1:
                return None  # nobody's id: a signal to it would reach others
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None  # claimed this moment, and not yet signed
        if holder.host == platform.node() and started_at(holder.pid) != signed.get("started"):
            return None
        return holder
