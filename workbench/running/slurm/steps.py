"""Workers inside an allocation: on its first node as on any machine, on several under srun."""

import os
import signal
import socket
import sys
import time

from workbench.running.launcher import Ended
from workbench.running.local import LocalLauncher
from workbench.runs.folder import RunFolder

_REPEAT_S = 1.0


class StepLauncher(LocalLauncher):
    """The local launcher, and one srun with a torchrun on each node for runs of several nodes."""

    def __init__(self, *, warm: bool = True, nodes: int = 1, cpus_per_node: int = 1) -> None:
        super().__init__(warm=warm and nodes == 1)
        self._nodes = nodes
        self._cpus_per_node = cpus_per_node
        self._stopping: dict[str, float] = {}

    def wait(self, timeout: float) -> list[Ended]:
        """See `Launcher.wait`."""
        ended = super().wait(timeout)
        for end in ended:
            self._stopping.pop(end.run_id, None)
        for run_id, last in self._stopping.items():
            if time.monotonic() - last >= _REPEAT_S and run_id in self._ranks:
                # Ranks that were still importing did not get the signal before.
                self._stopping[run_id] = time.monotonic()
                self._ranks[run_id].process.send_signal(signal.SIGUSR1)
        return ended

    def signal(self, run_id: str, number: int) -> None:
        """See `Launcher.signal`. srun passes SIGUSR1 on to the ranks, and nothing gentler."""
        if self._nodes > 1 and number == signal.SIGTERM and run_id in self._ranks:
            self._stopping.setdefault(run_id, 0.0)
        else:
            super().signal(run_id, number)

    def _command(self, run: RunFolder, world_size: int) -> list[str]:
        if self._nodes == 1:
            return super()._command(run, world_size)
        part = (
            *("step", os.getpid(), run.path.absolute(), self._nodes, world_size // self._nodes),
            *(self._cpus_per_node, _free_port()),
        )
        return [sys.executable, "-m", "workbench.running.torchrun", *map(str, part)]


def _free_port() -> int:
    """A port of this node, which is the first of the allocation, for the ranks to meet at."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
        return port
