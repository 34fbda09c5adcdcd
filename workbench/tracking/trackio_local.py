"""trackio: a database on this machine, or a Space of Hugging Face by its own variables."""

import trackio

from workbench.recipe.tracking import TrackingConfig
from workbench.tracking.tracker import Tracked


class Tracker:
    """A run of the same name, asked for the steps that it has."""

    def __init__(self, tracked: Tracked, settings: TrackingConfig) -> None:
        self._run = trackio.init(
            project=settings.project,
            name=tracked.run_id,
            group=tracked.study or None,
            config=tracked.config,
            resume="allow",
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self.last_step = _last_written(settings.project, tracked.run_id)

    def write(self, step: int, time: float, values: dict[str, float]) -> None:
        """See `Tracker`."""
        trackio.log(values, step=step)  # its own time is that of the call

    def close(self, *, finished: bool) -> None:
        """See `Tracker`."""
        trackio.finish()


def _last_written(project: str, run_id: str) -> int:
    """The last step that the database has of a run, 0 without any."""
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs(project, run_id)
    return max((int(row["step"]) for row in rows if row.get("step") is not None), default=0)
