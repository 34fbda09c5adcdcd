"""Paths that are taken as they are, whatever characters they have."""

import glob
from collections.abc import Iterator
from pathlib import Path


def globbed(pattern: Path) -> Iterator[Path]:
    """What a pattern matches.

    As far as there are folders of that very name, it is none: `exp[12]/*.txt` means the folder
    `exp[12]` where there is one.
    """
    whole = pattern.absolute()
    folder = next(parent for parent in whole.parents if parent.exists())
    names = glob.glob(str(whole.relative_to(folder)), root_dir=folder, recursive=True)
    yield from (folder / name for name in names)
