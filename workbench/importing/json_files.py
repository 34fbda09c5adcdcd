"""JSON files that other programs write about a run."""

import hashlib
import json
from pathlib import Path
from typing import Any

from workbench.errors import InputError


def read_object(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The object in a JSON file, and the file's name and sha256 for the provenance.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        content = path.read_bytes()
        document = json.loads(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON, or not all of it is there ({error}).") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON object, not {type(document).__name__}.")
    return document, {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}


def number(value: Any) -> float | None:
    """The number that a JSON value is; None for text, lists, objects, true and false."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
