"""Keeping an answer in the store, where that is possible."""

from collections.abc import Callable
from typing import Any

from workbench.errors import WorkbenchError


def saved(keep: Callable[..., None], *arguments: Any) -> str | None:
    """Keep an answer; where the store cannot be written, the note that says so: the answer is
    there all the same."""
    try:
        keep(*arguments)
    except WorkbenchError as error:
        return f"Note: not saved in the store: {error}"
    return None
