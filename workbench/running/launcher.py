"""What every launcher offers the orchestrator."""

from dataclasses import dataclass
from typing import Protocol

from workbench.runs.folder import RunFolder


@dataclass(frozen=True)
class Ended:
    """A worker's end. A negative code is the signal that ended it."""

    run_id: str
    code: int


class Launcher(Protocol):
    """Starts workers, reports when they end, and ends those left when it ends itself."""

    def start(
        self,
        run: RunFolder,
        *,
        world_size: int,
        threads: int,
        env: dict[str, str],
        kind: str | None = None,
    ) -> None:
        """Start the worker of a run.

        Args:
            world_size: ranks of the run.
            threads: CPU threads a rank.
            env: more environment for the worker, such as CUDA_VISIBLE_DEVICES.
            kind: a process that finished a run of this kind may go on with this one.
        """
        ...

    def wait(self, timeout: float) -> list[Ended]:
        """Return workers that ended, waiting up to `timeout` seconds for news.

        Raises:
            WorkbenchError: no worker can be started here at all.
        """
        ...

    def signal(self, run_id: str, number: int) -> None:
        """Send a signal to a run's worker, now or as soon as it can receive one."""
        ...

    def close(self) -> None:
        """End every worker that is left."""
        ...
