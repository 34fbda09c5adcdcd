"""What stands for a full disk: the kernel refuses to let any file grow, whoever writes."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from workbench.errors import WorkbenchError

FULL = "File too large|No space left"


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows past a size."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def refused_at(size: int, said: str = "") -> Iterator[None]:
    """Files end at a size, and the block with an error that says what has no room, and why."""
    with pytest.raises(WorkbenchError, match=f"{said}.*({FULL})"), files_end_at(size):
        yield
