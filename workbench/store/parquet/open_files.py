"""Files as they were when they were opened, whatever comes in their place meanwhile.

DuckDB opens a Parquet file once for its footer and again for its pages. An export that replaces the
file between the two makes it read the pages of one file where the footer of another says: with luck
an error, without it wrong numbers.
"""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

from workbench.errors import InputError

# Linux opens the very file behind a descriptor anew; elsewhere /dev/fd hands the descriptor on.
_DESCRIPTORS = Path("/proc/self/fd")
if not _DESCRIPTORS.is_dir():
    _DESCRIPTORS = Path("/dev/fd")


def cannot_be_read(path: Path, told: str) -> str:
    """A file or folder of a dataset and what was told of it, and how to mend it."""
    if os.strerror(errno.EMFILE) in told:
        return f"{path}: cannot be read: {told} Raise the limit: `ulimit -n 4096`."
    return (
        f"{path}: cannot be read: {told} Export the store again: only what is missing or damaged "
        "is written."
    )


class HeldFiles:
    """Open files, by names that lead to them and to no later ones of the same path."""

    def __init__(self, stack: ExitStack) -> None:
        """Args:
        stack: what closes the files.
        """
        self._stack = stack
        self._names: dict[Path, str] = {}

    def hold(self, path: Path) -> str:
        """A name under which any thread of this process can open the file as it was when this was
        first asked.

        Raises:
            InputError: it cannot be opened.
        """
        if path in self._names:
            return self._names[path]
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise InputError(cannot_be_read(path, f"{error.strerror}.")) from None
        self._stack.callback(os.close, descriptor)
        name = str(_DESCRIPTORS / str(descriptor))
        self._names[path] = name
        return name

    @property
    def names(self) -> list[str]:
        return list(self._names.values())

    def named(self, error: Exception) -> str:
        """What an error says in its first line, with the files' own paths."""
        told = str(error).partition("\n")[0]
        # The longest first: .../fd/12 is no part of .../fd/123.
        for path, name in sorted(self._names.items(), key=lambda one: len(one[1]), reverse=True):
            told = told.replace(name, str(path))
        return told
