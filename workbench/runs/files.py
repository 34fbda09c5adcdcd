"""Files of the results folder: JSON documents that are whole or not there, many files at once."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import InputError, WorkbenchError
from workbench.runs.paths import literal_for_duckdb
from workbench.runs.unfinished import replacing, sweep, unfinished

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        InputError: missing, unreadable, or no object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: this is not the folder of a run.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON object.")
    return document


def write_json(path: Path, document: dict[str, Any], *, folder_synced: bool = True) -> None:
    """Write a file whole: a reader sees the old one or the new one, never a part.

    Args:
        folder_synced: see `unfinished.replace_durably`.
    """
    try:
        with (
            replacing(path, folder_synced=folder_synced) as temporary,
            open(temporary, "w", encoding="utf-8") as file,
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
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"
