"""Files of the results folder: JSON documents that are whole or not there, many files at once.

A results folder may come from somebody else. So the files of a run are opened by `plain_file`, as
in `open(path, "rb", opener=plain_file)`, and what is read at once has a limit.
"""

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import InputError, WorkbenchError
from workbench.runs.paths import literal_for_duckdb
from workbench.runs.unfinished import replacing, sweep, unfinished

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


DOCUMENT_LIMIT = 64 * 2**20
"""Bytes of a JSON document. A study of 10,000 runs takes a fraction of one MiB."""


def plain_file(path: str, flags: int) -> int:
    """The descriptor of a file that is one: an `opener` for `open`.

    Neither the file nor the folder that it lies in may be a link: what is written would land
    elsewhere, and what is read would be something else. Opening waits for nobody, as it would for
    the other end of a FIFO.

    Raises:
        OSError: a link, a FIFO, a device, a folder; or as `os.open`.
    """
    folder, name = os.path.split(path)
    try:
        place = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError:
        if os.path.islink(folder):
            message = f"{folder} is a link, which is not followed"
            raise OSError(errno.ELOOP, message, path) from None
        raise
    try:
        opened = os.open(
            name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666, dir_fd=place
        )
    except OSError as error:
        # ENXIO is that of a FIFO that nobody reads, and of a socket.
        words = {errno.ELOOP: "is a link, which is not followed", errno.ENXIO: "is no file"}
        raise OSError(error.errno, words.get(error.errno or 0, error.strerror), path) from None
    finally:
        os.close(place)
    mode = os.fstat(opened).st_mode
    if not stat.S_ISREG(mode):
        os.close(opened)
        words_of = "is a folder" if stat.S_ISDIR(mode) else "is no file"
        raise OSError(errno.EINVAL, words_of, path)
    return opened


def plain_path(path: Path) -> Path:
    """The path of a file, checked as `plain_file` does: for readers that take no file.

    Raises:
        OSError: as `plain_file`.
    """
    os.close(plain_file(str(path), os.O_RDONLY))
    return path


def read_bytes(path: Path, *, limit: int = DOCUMENT_LIMIT) -> bytes:
    """What is in a plain file.

    Raises:
        OSError: as `plain_file`, or larger than `limit` bytes.
    """
    with open(path, "rb", opener=plain_file) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, f"is larger than {limit / 2**20:,.0f} MiB", str(path))
        return file.read()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a plain file.

    Raises:
        InputError: missing, unreadable, or no object.
    """
    try:
        document = parse_json(read_bytes(path))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: this is not the folder of a run.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON object.")
    return document


def parse_json(content: bytes) -> Any:
    """The value of a JSON text, as this workbench writes them: all its numbers are finite, and its
    whole numbers below 2^64.

    Raises:
        ValueError, RecursionError: it is none.
    """
    return json.loads(
        content.decode("utf-8"), parse_float=_finite, parse_int=_whole, parse_constant=_finite
    )


def _finite(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(f"{text[:20]} is no number of JSON's")


def _whole(text: str) -> int:
    if len(text) < 25 and abs(number := int(text)) < 2**64:
        return number
    raise ValueError(f"{text[:20]}... is too large a number")


def write_json(path: Path, document: dict[str, Any], *, folder_synced: bool = True) -> None:
    """Write a file whole: a reader sees the old one or the new one, never a part.

    Args:
        folder_synced: see `unfinished.replace_durably`.
    """
    try:
        with (
            replacing(path, folder_synced=folder_synced) as temporary,
            open(temporary, "w", encoding="utf-8", opener=plain_file) as file,
        ):
            json.dump(document, file, indent=2, allow_nan=False)
            file.write("\n")
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be written: {error.strerror}.") from error


def each(act: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Call `act` on every item, 16 at a time, and return the results in the items' order.

    A disk writes many small files at once in hardly more time than one.
    """
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(act, items))


def check_writable(results: Path) -> None:
    """Make a results folder where there is none, and check that it can be written.

    Raises:
        InputError: it cannot be made or written, or no store can be in it.
    """
    literal_for_duckdb(results)
    try:
        results.mkdir(parents=True, exist_ok=True)
        for folder in (results, results / "data", results / "runs"):
            sweep(folder)
        with unfinished(results / "writable"):
            pass
    except OSError as error:
        raise InputError(
            f"--results {results}: cannot be written: {error.strerror}. Give another folder."
        ) from None


def signature(path: Path) -> str:
    """A file's name, size and time of change, which differ once it is written again.

    Raises:
        OSError: it is missing or cannot be looked at.
    """
    now = path.lstat()
    return f"{path.name}:{now.st_size}:{now.st_mtime_ns}"
