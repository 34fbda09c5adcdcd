"""A copy on this machine of a dataset in an object store: only what changed is fetched again."""

import hashlib
import json
import os
from pathlib import Path

from workbench.errors import InputError, WorkbenchError
from workbench.store.parquet.filesystem import Place
from workbench.store.parquet.layout import ITEMS, MARKER, METRICS, check_marker, is_ours

_LIST = "_mirror.json"


def mirror_folder(url: str) -> Path:
    """The folder of a URL's copy: below `$XDG_CACHE_HOME`, `~/.cache` by default."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "workbench" / "datasets" / hashlib.sha256(url.encode()).hexdigest()[:16]


def mirrored(url: str) -> Path:
    """Bring the copy of a URL's dataset up to date; returns its folder.

    Raises:
        InputError: there is no dataset, or the package for the URL is not installed.
        WorkbenchError: the URL cannot be reached, or the copy cannot be written.
    """
    there = Place(url)
    listed = there.files()
    if MARKER not in listed:
        raise InputError(
            f"{url}: no dataset there (no {MARKER}). Make it with `workbench export parquet {url}`."
        )
    content = there.read(MARKER)
    check_marker(content, url)
    folder = mirror_folder(url)
    here = Place(str(folder))
    wanted = {path: mark for path, mark in listed.items() if is_ours(path)}
    with here.exclusive(timeout=600.0):
        fetched = _fetched_files(folder)
        stale = [
            p for p, mark in wanted.items() if fetched.get(p) != mark or not (folder / p).exists()
        ]
        # In the order of an export: numbers and items first, and removals last.
        large = [path for path in stale if path.startswith((f"{METRICS}/", f"{ITEMS}/"))]
        for paths in (large, [path for path in stale if path not in large]):
            here.each(lambda path: here.put(path, there.read(path)), paths)
        gone = [path for path in here.files() if is_ours(path) and path not in wanted]
        for path in gone:
            here.remove(path)
        here.put(_LIST, json.dumps({"url": url, "files": wanted}).encode())
        if stale or gone or not (folder / MARKER).exists():
            here.put(MARKER, content)
    return folder


def _fetched_files(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / _LIST).read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}  # everything is fetched again


def mirror_url(folder: Path) -> str | None:
    """The URL that a folder mirrors, or None."""
    try:
        return str(json.loads((folder / _LIST).read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def refresh(folder: Path) -> None:
    """Fetch what has changed, if a folder is a mirror; if that fails, the old files stay usable."""
    url = mirror_url(folder)
    if url is None:
        return
    try:
        mirrored(url)
    except WorkbenchError:
        return  # out of reach for now: the files of the last fetch are used
