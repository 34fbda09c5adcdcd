"""JSON documents of the results folder: whole or not there, for whoever reads them meanwhile."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError


def read_json(path: Path) -> dict[str, Any]:
    """Raises:
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


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one."""
    try:
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be written: {error.strerror}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside another, with its suffix, which takes the other's place when the block ends
    without an error; else the other stays as it was."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
