"""Processes of this machine (Linux): when they started, their ends, and children that end with
their parent."""

import ctypes
import os
import select
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot, or None where it has ended.

    An id is used again in time; an id together with its start is not.
    """
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def parent_of(pid: int) -> int | None:
    """The id of a process's parent, or None where the process has ended."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def wait_for_end(pid: int, timeout: float) -> None:
    """Return when a process, which need not be a child, has ended or `timeout` seconds are over."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [], timeout)
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (the state) on; None for a zombie as well."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses, which may hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields


def die_with_parent(parent: int, death_signal: int = signal.SIGKILL) -> None:
    """Ask the kernel to signal this process when its parent ends.

    Args:
        parent: the parent's id as the parent knows it: it may have ended before this call.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(128 + death_signal)
