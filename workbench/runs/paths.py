"""Paths that are taken as they are, whatever characters they have."""

import glob
from collections.abc import Iterator
from pathlib import Path

from workbench.errors import InputError


def globbed(pattern: Path) -> Iterator[Path]:
    """What a pattern matches.

    As far as there are folders of that very name, it is none: `exp[12]/*.txt` means the folder
    `exp[12]` where there is one.
    """
    whole = pattern.absolute()
    folder = next(parent for parent in whole.parents if parent.exists())
    names = glob.glob(str(whole.relative_to(folder)), root_dir=folder, recursive=True)
    yield from (folder / name for name in names)


def literal_for_duckdb(path: Path) -> str:
    """A path by which DuckDB opens this file: at the beginning, `md:` and `~` have a meaning there.

    Raises:
        InputError: it has a `?`. DuckDB takes what follows for options, wherever it stands, and
            would write its log to another folder.
    """
    name = str(path.absolute())
    if "?" in name:
        raise InputError(
            f"{name}: DuckDB cannot have its file in a folder with ? in its path. Give results a "
            "folder of another name."
        )
    return name
