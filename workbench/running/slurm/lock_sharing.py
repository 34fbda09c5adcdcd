"""Check that a lock of one node is seen on the others: it prevents training a run twice."""

import os
import re
from pathlib import Path

from workbench.errors import InputError

MOUNTS = Path("/proc/self/mountinfo")


def check_locks_are_shared(folder: Path, mounts: Path = MOUNTS) -> None:
    """Refuse a results folder whose locks are each node's own.

    The kernel says nothing when such a lock is taken, so the mount's options are asked.

    Args:
        mounts: the kernel's table of mounts, in the form of proc(5).

    Raises:
        InputError: names the mount and the option that makes its locks local.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return  # no such table: nothing to be learnt here
    mount = _mount_of(os.path.realpath(folder), lines)
    if mount is None:
        return
    point, kind, options = mount
    option = _local_locks(kind, options)
    if option is not None:
        raise InputError(
            f"--results {folder}: {point} is {kind} mounted with {option}: a lock of one node is "
            "not seen on the others, and two could train one run. Give a folder on a file system "
            "whose locks are shared, or have it mounted so."
        )


def _mount_of(path: str, lines: list[str]) -> tuple[str, str, set[str]] | None:
    """Mount point, type and options of the file system that a path lies on."""
    best: tuple[str, str, set[str]] | None = None
    for line in lines:
        before, dash, after = line.partition(" - ")
        fields, kind_and_rest = before.split(), after.split()
        if not dash or len(fields) < 6 or len(kind_and_rest) < 3:
            continue
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # A later mount at the same point hides the earlier one.
        if inside and (best is None or len(point) >= len(best[0])):
            best = (
                point,
                kind_and_rest[0],
                {*fields[5].split(","), *kind_and_rest[2].split(",")},
            )
    return best


def _local_locks(kind: str, options: set[str]) -> str | None:
    """Return the mount option of a network file system that makes flock local to a node."""
    local = {
        "nfs": ("local_lock=all", "local_lock=flock", "nolock"),
        "nfs4": ("local_lock=all", "local_lock=flock", "nolock"),
        "lustre": ("localflock",),
        "cifs": ("nobrl",),
        "smb3": ("nobrl",),
    }
    return next((option for option in local.get(kind, ()) if option in options), None)
