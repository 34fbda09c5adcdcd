"""JSON documents of the results folder: whole or not there, for whoever reads them meanwhile."""

import json
import os
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise WorkbenchError(f"{path}: cannot be written: {error.strerror}.") from error
