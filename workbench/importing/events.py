"""Scalars of TensorBoard event files, as one run that may have been resumed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.importing.event_records import EventFile

PATTERN = "events.out.tfevents.*"

Curve = dict[int, tuple[float, float]]
"""Step -> (wall time, value)."""


@dataclass
class Events:
    """What event files hold: the scalars of one run, or of one session of it."""

    scalars: dict[str, Curve] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    start: int | None = None
    """The step of a restart that the file records: what came before it in time and has this step
    or a later one belongs to an attempt that was given up."""
    began: float = float("inf")
    """The wall time of the first point or restart."""
    hparams: bool = False
    """Whether hyperparameters are recorded here, as `add_hparams` does in a folder of its own."""

    def add(self, tag: str, step: int, wall_time: float, value: float) -> None:
        """Add a value; of several at one step, the one that was written last counts."""
        steps = self.scalars.setdefault(tag, {})
        if step not in steps or wall_time >= steps[step][0]:
            steps[step] = (wall_time, value)

    def purge(self, step: int) -> int:
        """Remove the points at a step and after it; returns their number."""
        before = self.count()
        for tag, curve in list(self.scalars.items()):
            self.scalars[tag] = {at: point for at, point in curve.items() if at < step}
            if not self.scalars[tag]:
                del self.scalars[tag]
        return before - self.count()

    def count(self) -> int:
        return sum(map(len, self.scalars.values()))

    def steps(self) -> set[int]:
        return {step for curve in self.scalars.values() for step in curve}


def read_folder(folder: Path) -> Events:
    """The scalars of all event files of a folder.

    Raises:
        InputError: a file is not an event file.
    """
    return joined(read_file(path) for path in sorted(folder.glob(PATTERN)) if path.is_file())


def joined(sessions: Iterable[Events]) -> Events:
    """Sessions of one run as one, in the order of time, without the points of attempts that a
    later session began again from an earlier step.

    A session begins again where it says so (`SummaryWriter(purge_step=...)`, TensorBoard's
    SessionLog START), or where the tag that has the most points goes back: all its new points were
    written after the old ones, yet their steps begin before those had ended. Other tags and single
    points say nothing of that kind, since a later evaluation of old checkpoints looks the same.
    """
    run = Events()
    for session in sorted(sessions, key=lambda session: session.began):
        start = session.start
        if start is None:
            start = _unmarked_restart(run, session)
        if start is not None:
            last = max(run.steps(), default=0)
            gone = run.purge(start)
            if gone:
                names = ", ".join(sorted({file["file"] for file in session.files}))
                run.notes.append(
                    f"{names}: the run begins again at step {start:,}: {gone:,} points from there "
                    f"to step {last:,} of the attempt before it are left out."
                )
        for tag, curve in session.scalars.items():
            for step, (wall_time, value) in curve.items():
                run.add(tag, step, wall_time, value)
        run.files += session.files
        run.notes += session.notes
        run.hparams |= session.hparams
    return run


def _unmarked_restart(run: Events, session: Events) -> int | None:
    """The step at which a session begins a run again without saying so, or None."""
    most = max(map(len, run.scalars.values()), default=0)
    begins = []
    for tag, before in run.scalars.items():
        curve = session.scalars.get(tag, {})
        if len(before) < most or len(curve) < 2 or min(curve) > max(before):
            continue
        if min(at for at, _ in curve.values()) > max(at for at, _ in before.values()):
            begins.append(min(curve))
    return min(begins, default=None)


def read_file(path: Path) -> Events:
    """The scalars of one event file.

    Raises:
        InputError: it is not an event file.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    events, file = Events(), EventFile(path)
    back: dict[str, tuple[int, int]] = {}
    latest: dict[str, int] = {}
    try:
        for record in file.records():
            event = event_pb2.Event.FromString(record)
            if event.session_log.status == event.session_log.START:
                events.purge(event.step)
                latest.clear()
                events.start = event.step if events.start is None else min(events.start, event.step)
                events.began = min(events.began, event.wall_time)
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                events.hparams |= plugin == "hparams"
                number = _scalar(value)
                if number is None:
                    continue
                events.add(value.tag, event.step, event.wall_time, number)
                events.began = min(events.began, event.wall_time)
                if event.step < latest.get(value.tag, event.step):
                    back.setdefault(value.tag, (latest[value.tag], event.step))
                latest[value.tag] = event.step
    except DecodeError:
        raise InputError(f"{path}: not a TensorBoard event file.") from None
    events.files = [{"file": path.name, "sha256": file.sha256}]
    events.notes += file.notes
    if back:
        tag, (high, low) = next(iter(back.items()))
        events.notes.append(
            f"{path}: the steps of {tag} go back from {high:,} to {low:,} without the mark of a "
            "restart. Of two points at one step the later counts; all others are imported."
        )
    return events


def _scalar(value: Any) -> float | None:
    """A summary's number, or None for images, text, histograms."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor"):
        return None
    from tensorboard.util.tensor_util import make_ndarray

    if any(dimension.size > 1 for dimension in value.tensor.tensor_shape.dim):
        return None  # before it is unpacked: a shape can ask for more than there is
    try:
        array = make_ndarray(value.tensor)
    except (TypeError, ValueError):
        return None
    return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else None
