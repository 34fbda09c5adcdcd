"""The signal to stop, as a worker receives it."""

import signal
from dataclasses import dataclass, field
from typing import Any


@dataclass
class StopSignal:
    """Remembers a SIGTERM, or the SIGUSR1 that srun passes on, until the current step is done."""

    requested: bool = False
    _previous: dict[int, Any] = field(default_factory=dict, repr=False)

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGUSR1):
            self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _remember(self, *_: object) -> None:
        self.requested = True
