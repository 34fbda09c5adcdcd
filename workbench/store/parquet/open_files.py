"""Open files that stay the same while other files replace them.

DuckDB opens a Parquet file once for its footer and again for its pages. An export that replaces the
file between the two makes it read pages of the new file at the places of the old footer: with luck
an error, without it wrong numbers.
"""

import errno
import os
import stat
from contextlib import ExitStack
from pathlib import Path

from workbench.errors import InputError

# Linux opens the file behind a descriptor anew; on other systems /dev/fd shares the descriptor.
_DESCRIPTORS = Path("/proc/self/fd")
if not _DESCRIPTORS.is_dir():
    _DESCRIPTORS = Path("/dev/fd")


def cannot_be_read(path: Path, message: str) -> str:
    """The message that a file or folder of a dataset cannot be read, and how to mend it."""
    if os.strerror(errno.EMFILE) in message:
        return f"{path}: cannot be read: {message} Raise the limit: `ulimit -n 4096`."
    return (
        f"{path}: cannot be read: {message} Export the store again: only what is missing or "
        "damaged is written."
    )


class OpenFiles:
    """Open files, with names that lead to them and not to later files of the same path."""

    def __init__(self, stack: ExitStack) -> None:
        """Start without files.

        Args:
            stack: closes the files when it ends.
        """
        self._stack = stack
        self._names: dict[Path, str] = {}

    def open(self, path: Path) -> str:
        """Open a file; returns a name by which any thread of this process can open the same file.

        Later calls return the same name, even if the path has another file by then.

        Raises:
            InputError: the file cannot be opened.
        """
        if path in self._names:
            return self._names[path]
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise InputError(cannot_be_read(path, f"{error.strerror}.")) from None
        self._stack.callback(os.close, descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a FIFO would never end
            raise InputError(cannot_be_read(path, "not a file."))
        name = str(_DESCRIPTORS / str(descriptor))
        self._names[path] = name
        return name

    @property
    def names(self) -> list[str]:
        return list(self._names.values())

    def named(self, error: Exception) -> str:
        """The first line of an error, with the files' paths instead of their names here."""
        message = str(error).partition("\n")[0]
        # The longest first: .../fd/12 is no part of .../fd/123.
        for path, name in sorted(self._names.items(), key=lambda pair: len(pair[1]), reverse=True):
            message = message.replace(name, str(path))
        return message
