"""Files and folders in the making: they appear whole and on disk, or not at all.

What is being written lies beside its place, under a name that begins with `.unfinished-` and does
not have the place's suffix (other programs read `**/*.parquet`, hidden files too), and its writer
holds a lock of the kernel on it. What nobody holds was left by a writer that was killed: whoever
writes there next removes it.
"""

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = ".unfinished-"
_LONGEST_NAME = 200  # bytes of the place's own name, of the 255 that a name may have


@contextmanager
def replacing(path: Path, *, folder_synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside a file, which replaces it when the block ends without an error.

    After an error the file stays as it was.

    Args:
        folder_synced: see `replace_durably`.
    """
    sweep(path.parent)
    with unfinished(path) as temporary:
        yield temporary
        replace_durably(temporary, path, folder_synced=folder_synced)


@contextmanager
def unfinished(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a new temporary file, or folder, beside a path. What is left of it when the block ends
    is removed."""
    temporary, lock = _make(path, folder)
    try:
        yield temporary
    finally:
        _remove(temporary)
        os.close(lock)


def _make(path: Path, folder: bool) -> tuple[Path, int]:
    name = os.fsdecode(os.fsencode(path.name)[-_LONGEST_NAME:])
    while True:
        temporary = path.with_name(f"{UNFINISHED}{name}.{secrets.token_hex(4)}")
        if folder:
            temporary.mkdir()
            lock = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
        else:
            lock = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # a file system without locks: then nothing there is swept either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink and temporary.exists():
            return temporary, lock
        os.close(lock)  # swept before it was locked


def replace_durably(temporary: Path, path: Path, *, folder_synced: bool = True) -> None:
    """Rename a file or a folder to its place: all of it is on disk before, and its name after.

    Without the first, a file can be empty after a power failure; without the second, it can be the
    one of before, or not there.

    Args:
        folder_synced: whether to wait for the name as well.

    Raises:
        OSError: it cannot be written, or the place is taken.
    """
    if temporary.is_dir():
        for inner in temporary.rglob("*"):
            _sync(inner)
    _sync(temporary)
    os.replace(temporary, path)
    if folder_synced:
        _sync(path.parent)


def _sync(path: Path) -> None:
    status = path.lstat()
    if not (stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_size)):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not stat.S_ISDIR(status.st_mode):  # some file systems do not sync folders
            raise
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what killed writers have left in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        left = [entry for entry in entries if entry.name.startswith(UNFINISHED)]
        for entry in left:
            with suppress(OSError):  # held by its writer, or not ours to remove
                _sweep(Path(entry.path), entry.is_dir(follow_symlinks=False))


def _sweep(path: Path, is_folder: bool) -> None:
    how = os.O_RDONLY | os.O_DIRECTORY if is_folder else os.O_RDWR  # NFS locks what can be written
    lock = os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
