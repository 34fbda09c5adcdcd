"""The `workbench` of this checkout, as a command for a process of its own."""

import sys
from pathlib import Path


def workbench(*arguments: str | Path) -> list[str]:
    """The words of a command, for `subprocess`."""
    return [sys.executable, "-m", "workbench.cli", *map(str, arguments)]
