"""Where a dataset lies: a folder, or whatever fsspec reaches by a URL."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from workbench.errors import InputError, WorkbenchError

T = TypeVar("T")
_LOCK = "_lock"
_AT_ONCE = 16  # requests to an object store, where each takes tens of milliseconds
# What the clients that fsspec loads raise for themselves; they are not always installed.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
}


def is_url(location: str) -> bool:
    """Whether a location names a protocol: everything else is a path."""
    return "://" in location


class Place:
    """Files by their path relative to a root. A file is there whole or not at all: locally it is
    written beside and renamed; an object store shows an object when its upload has ended."""

    def __init__(self, location: str) -> None:
        """Raises:
        InputError: no such protocol, or its package is not installed.
        """
        self.location = location.rstrip("/") or "/"
        try:
            self.fs, root = fsspec.core.url_to_fs(location)
        except ImportError:
            protocol = location.partition("://")[0]
            package = _PACKAGES.get(protocol)
            how = f"pip install {package}" if package else "see fsspec's list of implementations"
            raise InputError(
                f"{location}: the package that reads {protocol}:// is not installed: {how}."
            ) from None
        except ValueError as error:
            raise InputError(f"{location}: cannot be reached: {error}.") from None
        self.root = root.rstrip("/")
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}"

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Whatever a client raises, named by file: each raises errors of its own."""
        try:
            yield
        except WorkbenchError:
            raise
        except Exception as error:
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            raise WorkbenchError(f"{self.location}/{path}: {reason}.") from error

    def files(self) -> dict[str, str]:
        """Every file below, and what changes whenever the file does."""
        with self._told(""):
            self.fs.invalidate_cache()
            try:
                found = self.fs.find(self.root, detail=True)
            except FileNotFoundError:
                return {}
        start = len(self.root) + 1
        return {name[start:]: _fingerprint(info) for name, info in found.items()}

    def read(self, path: str) -> bytes:
        """A file's content.

        Raises:
            WorkbenchError: missing, or cannot be read.
        """
        with self._told(path):
            return bytes(self.fs.cat_file(self._full(path)))

    @contextmanager
    def opened(self, path: str) -> Iterator[Any]:
        """A file to read parts of."""
        with self.fs.open(self._full(path), "rb") as file:
            yield file

    def put(self, path: str, content: bytes) -> None:
        """Write a file, or replace it, in one step.

        Raises:
            WorkbenchError: it cannot be written; what was there is there still.
        """
        full = self._full(path)
        with self._told(path):
            if not self.is_local:
                self.fs.pipe_file(full, content)
                return
            target = Path(full)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                with open(temporary, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there; and locally the folders that it leaves empty."""
        with self._told(path):
            try:
                self.fs.rm_file(self._full(path))
            except FileNotFoundError:
                return
            if self.is_local:
                for folder in list(Path(path).parents)[:-1]:
                    try:
                        os.rmdir(self._full(str(folder)))
                    except OSError:
                        return

    def each(self, work: Callable[[str], T], paths: Iterable[str]) -> dict[str, T]:
        """`work` for every path, several at once."""
        paths = list(paths)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(paths, pool.map(work, paths), strict=True))

    @contextmanager
    def alone(self, timeout: float) -> Iterator[None]:
        """Keep other exports out, where the file system has locks. An object store has none: there
        the last writer of a file wins, and the next export mends what it left behind.

        Raises:
            WorkbenchError: another export went on for longer than `timeout` seconds.
        """
        if not self.is_local:
            yield
            return
        with self._told(_LOCK):
            Path(self.root).mkdir(parents=True, exist_ok=True)
            lock = open(self._full(_LOCK), "ab")  # noqa: SIM115 - closed below
        with lock:
            _wait_for(lock, self.location, timeout)
            _sweep(Path(self.root))
            yield


def _fingerprint(info: dict[str, Any]) -> str:
    names = ("size", "ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
    return "|".join(f"{name}={info[name]}" for name in names if info.get(name) is not None)


def _wait_for(lock: Any, location: str, timeout: float) -> None:
    @retry(
        retry=retry_if_exception_type(BlockingIOError),
        stop=stop_after_delay(timeout),
        wait=wait_random(0.05, 0.3),
        reraise=True,
    )
    def attempt() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    try:
        attempt()
    except BlockingIOError:
        raise WorkbenchError(
            f"{location}: another export was still writing after {timeout:.0f} s. Try again."
        ) from None
    except OSError as error:
        raise WorkbenchError(f"{location}/{_LOCK}: cannot be locked: {error.strerror}.") from error


def _sweep(root: Path) -> None:
    """Remove what a killed export had begun to write: whoever holds the lock is alone."""
    for pattern in (".part-0.parquet.*", "._*.json.*"):
        for left in root.rglob(pattern):
            left.unlink(missing_ok=True)
