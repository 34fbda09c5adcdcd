"""The place of a dataset: a folder, or whatever fsspec reaches by a URL."""

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from workbench.errors import InputError, WorkbenchError
from workbench.runs.unfinished import UNFINISHED, replace_durably, unfinished

T = TypeVar("T")
# The second and third kind are of earlier versions.
_LEFT_BY_A_KILL = re.compile(rf"{re.escape(UNFINISHED)}.*|\.part-0\.parquet\.\d+|\._\w+\.json\.\d+")
_LOCK = "_lock"
_AT_ONCE = 16  # requests to an object store, where each takes tens of milliseconds
# The packages of fsspec's clients, by protocol; they are not always installed.
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
    """Files by their path relative to a root.

    No reader sees a partial file: locally a file is written beside its place and renamed; an object
    store shows an object only after its upload.
    """

    def __init__(self, location: str) -> None:
        """Connect to a location.

        Raises:
            InputError: there is no such protocol, or its package is not installed.
        """
        self.location = location.rstrip("/") or "/"
        try:
            self.fs, root = (
                fsspec.core.url_to_fs(location)
                if is_url(location)
                else (LocalFileSystem(), str(Path(location).absolute()))  # `::` in it is a name
            )
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
    def _named_errors(self, path: str) -> Iterator[None]:
        """Turn any error in the block, whatever client raises it, into one that names the file."""
        try:
            yield
        except WorkbenchError:
            raise
        except Exception as error:
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            raise WorkbenchError(f"{self.location}/{path}: {reason}.") from error

    def files(self) -> dict[str, str]:
        """Every file below the root, with a fingerprint that changes whenever the file does."""
        with self._named_errors(""):
            self.fs.invalidate_cache()
            try:
                files = self.fs.find(self.root, detail=True)
            except FileNotFoundError:
                return {}
        start = len(self.root) + 1
        return {
            name[start:]: _fingerprint(info)
            for name, info in files.items()
            if not _LEFT_BY_A_KILL.fullmatch(name.rpartition("/")[2])
        }

    def read(self, path: str) -> bytes:
        """A file's content.

        Raises:
            WorkbenchError: the file is missing, or cannot be read.
        """
        with self._named_errors(path):
            return bytes(self.fs.cat_file(self._full(path)))

    @contextmanager
    def opened(self, path: str) -> Iterator[Any]:
        """Open a file to read parts of it."""
        with self.fs.open(self._full(path), "rb") as file:
            yield file

    def put(self, path: str, content: bytes) -> None:
        """Write a file, or replace it, in one step.

        Raises:
            WorkbenchError: the file cannot be written. An old file stays as it is.
        """
        full = self._full(path)
        with self._named_errors(path):
            if not self.is_local:
                self.fs.pipe_file(full, content)
                return
            target = Path(full)
            target.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(target) as temporary:
                temporary.write_bytes(content)
                replace_durably(temporary, target)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there; and locally the folders that it leaves empty."""
        with self._named_errors(path):
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
        """Call `work` for every path, several at once; returns the results by path."""
        paths = list(paths)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(paths, pool.map(work, paths), strict=True))

    @contextmanager
    def exclusive(self, timeout: float) -> Iterator[None]:
        """Keep other exports out during the block, where the file system has locks.

        An object store has none: there the last writer of a file wins, and the next export repairs
        what is inconsistent.

        Raises:
            WorkbenchError: another export went on for longer than `timeout` seconds.
        """
        if not self.is_local:
            yield
            return
        with self._named_errors(_LOCK):
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
    """Remove the partial files of killed exports; the caller has the lock."""
    for folder, _, names in os.walk(root):
        for name in filter(_LEFT_BY_A_KILL.fullmatch, names):
            Path(folder, name).unlink(missing_ok=True)
