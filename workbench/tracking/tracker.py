"""What every tracker has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from workbench.recipe.tracking import TrackingConfig


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of a run. It has no keys of services, and none may be added."""

    run_id: str
    study: str
    config: dict[str, Any]
    """The recipe's tables for this run, resolved."""
    results: Path


class Tracker(Protocol):
    """One run in a tracker. Whatever its methods raise costs a warning in the run's log."""

    def __init__(self, tracked: Tracked, settings: TrackingConfig) -> None:
        """Open the tracker's run of the same id, a new one or the one that is there."""

    @property
    def last_step(self) -> int:
        """The last step that the tracker has: it is given those after it. 0 for all of them."""

    def write(self, step: int, time: float, values: dict[str, float]) -> None:
        """Add all values of a step. Steps increase.

        Args:
            time: seconds since 1970.
        """

    def close(self, *, finished: bool) -> None:
        """Write what is still held, and say whether the run has come to its end."""
