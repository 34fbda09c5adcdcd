"""TensorBoard: event files, which its own library writes, without torch."""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from workbench.recipe.tracking import TrackingConfig
from workbench.tracking.tracker import Tracked


class Tracker:
    """A folder of event files for each run.

    Each start writes a file with all of the run's steps, which begins with a mark that what other
    files of the folder have is void: TensorBoard then shows each point once, wherever an earlier
    process was ended.
    """

    last_step = 0

    def __init__(self, tracked: Tracked, settings: TrackingConfig) -> None:
        base = Path(settings.folder) if settings.folder else tracked.results / "tensorboard"
        self._writer = EventFileWriter(str(base / tracked.run_id))
        restart = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(step=0, session_log=restart))

    def write(self, step: int, time: float, values: dict[str, float]) -> None:
        """See `Tracker`. TensorBoard's numbers have single precision."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._writer.add_event(Event(step=step, wall_time=time, summary=Summary(value=scalars)))

    def close(self, *, finished: bool) -> None:
        """See `Tracker`."""
        self._writer.close()
