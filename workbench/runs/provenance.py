"""Where a run's numbers come from: code, versions, machine, command."""

import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from workbench.version import __version__

_PACKAGES = ("torch", "torchtitan", "torchdata", "numpy", "tokenizers")


def provenance(recipe_text: str) -> dict[str, Any]:
    """Return what to save beside a run, without importing any of the packages that it names."""
    import hashlib

    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "recipe_sha256": hashlib.sha256(recipe_text.encode()).hexdigest(),
        "git": revision(),
        "versions": {"python": platform.python_version(), **_versions()},
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def _versions() -> dict[str, str | None]:
    # An editable install has the metadata of the day that it was made.
    versions: dict[str, str | None] = {"workbench": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def revision() -> dict[str, Any] | None:
    """The workbench's revision and whether files differ from it, or None outside its checkout."""
    return _git(Path(__file__).parent)


def _git(folder: Path) -> dict[str, Any] | None:
    """Revision and whether files differ from it, or None outside a checkout of the workbench."""

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        # An installed package may lie inside somebody else's repository.
        ask("ls-files", "--error-unmatch", "provenance.py")
        return {"revision": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
