"""Scalars of TensorBoard event files."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import InputError

PATTERN = "events.out.tfevents.*"
_FRAME = 16  # bytes around each record: its length and two checksums


@dataclass
class Events:
    """The scalars of one folder: tag -> step -> (wall time, value)."""

    folder: Path
    scalars: dict[str, dict[int, tuple[float, float]]] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, tag: str, step: int, wall_time: float, value: float) -> None:
        """Add a value; of several at one step, the one that was written last counts."""
        steps = self.scalars.setdefault(tag, {})
        if step not in steps or wall_time >= steps[step][0]:
            steps[step] = (wall_time, value)


def find_folders(source: Path) -> list[Path]:
    """Every folder under a source that has event files."""
    return sorted({path.parent for path in source.rglob(PATTERN) if path.is_file()})


def read_folder(folder: Path) -> Events:
    """The scalars of all event files of a folder, as one run that may have been resumed.

    Raises:
        InputError: a file is not an event file.
    """
    events = Events(folder)
    for path in sorted(folder.glob(PATTERN)):
        if path.is_file():
            _read_file(path, events)
    return events


def _read_file(path: Path, events: Events) -> None:
    from google.protobuf.message import DecodeError
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto import event_pb2

    read = 0
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        for record in RawEventFileLoader(str(path)).Load():
            read += len(record) + _FRAME
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                number = _scalar(value)
                if number is not None:
                    events.add(value.tag, event.step, event.wall_time, number)
    except DecodeError:
        raise InputError(f"{path}: not a TensorBoard event file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    events.files.append({"file": path.name, "sha256": sha256})
    if read < size:
        if read == 0:
            raise InputError(f"{path}: not a TensorBoard event file, or damaged from its start.")
        events.notes.append(f"{path}: cut off or damaged after byte {read:,}; the rest is lost.")


def _scalar(value: Any) -> float | None:
    """A summary's number, or None for images, text, histograms."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor"):
        return None
    from tensorboard.util.tensor_util import make_ndarray

    try:
        array = make_ndarray(value.tensor)
    except (TypeError, ValueError):
        return None
    return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else None
