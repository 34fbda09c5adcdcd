"""What `random_kills.py` kills: each kind of victim, where its living are, and what mends it."""

import random
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import psutil

from tests.running.slurm.cluster import NODES, Cluster

QUEUE_S = 90.0  # for what a lost job leaves in the queue: it starts, finds all done, and ends
NODE_DOWN_S = 8.0  # at most; Slurm takes a node for lost after 5


@dataclass(frozen=True)
class Victim:
    """A living process, or one that stands for several."""

    kind: str
    name: str
    born: float
    kill: Callable[[], None]
    rarity: float = 1.0
    """Moments are drawn from so many lives: most of the rare ones are spared."""


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


class Target(ABC):
    """One kind of victim, during one study."""

    name: str

    def __init__(self, cluster: Cluster | None, rng: random.Random) -> None:
        self.cluster, self.rng = cluster, rng

    @abstractmethod
    def living(self, command: "subprocess.Popen[bytes]") -> Iterator[Victim]:
        """Those alive now.

        Args:
            command: the `workbench` at work.
        """

    def tend(self) -> None:  # noqa: B027 - most have nothing to bring back
        """Bring back what nobody but an administrator would."""

    def finish(self) -> list[str]:
        """Once the study is done: what is wrong still."""
        return []


class Orchestrator(Target):
    """`workbench run` on this machine."""

    name = "orchestrator"

    def living(self, command: "subprocess.Popen[bytes]") -> Iterator[Victim]:
        with suppress(psutil.NoSuchProcess):
            born = psutil.Process(command.pid).create_time()
            yield Victim(self.name, f"{self.name} {command.pid}", born, command.kill)


class Worker(Target):
    """A process that trains a run, and now and then the one that forks them all."""

    name = "worker"

    def __init__(self, cluster: Cluster | None, rng: random.Random) -> None:
        super().__init__(cluster, rng)
        self.kinds: dict[int, str] = {}

    def living(self, command: "subprocess.Popen[bytes]") -> Iterator[Victim]:
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(command.pid).children(recursive=True)
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    if one.pid not in self.kinds:
                        self.kinds[one.pid] = self._kind(one, command.pid)
                    kind, kill = self.kinds[one.pid], partial(_kill, one)
                    rarity = 4.0 if kind == "parent of workers" else 1.0
                    yield Victim(kind, f"{kind} {one.pid}", one.create_time(), kill, rarity)

    def _kind(self, one: psutil.Process, orchestrator: int) -> str:
        warm = one.ppid() == orchestrator and "workbench.running.warm" in one.cmdline()
        return "parent of workers" if warm else "worker"


class OnSlurm(Target):
    """A study in the queue: it is done when nothing of it is left there."""

    @property
    def slurm(self) -> Cluster:
        assert self.cluster is not None
        return self.cluster

    def finish(self) -> list[str]:
        for node in NODES:
            if node not in self.slurm.daemons:
                self.slurm.start_node(node)
        self.slurm.wait_for_nodes(60)
        until = time.monotonic() + QUEUE_S
        while (left := self.slurm.queue()) and time.monotonic() < until:
            time.sleep(0.2)
        steps = [step for node in NODES for step in self.slurm.steps_of(node)]
        if left:
            self.slurm.clear()
        _, steps = psutil.wait_procs(steps, timeout=10)
        problems = [f"in the queue after the end: {left}"] if left else []
        return problems + ([f"{len(steps)} steps are left on the nodes"] if steps else [])


class Follower(OnSlurm):
    """`workbench run --launcher slurm --wait`, while it submits and while it follows."""

    name = "follower"
    living = Orchestrator.living


class Step(OnSlurm):
    """One of a job's processes: Slurm's own over the step, the batch process, or its child."""

    name = "step"
    PARTS = ("slurmstepd", "batch process", "trainer of the task")

    def __init__(self, cluster: Cluster | None, rng: random.Random) -> None:
        super().__init__(cluster, rng)
        self.looked = 0.0
        self.parts: dict[int, str] = {}
        self.steps: list[psutil.Process] = []

    def living(self, command: "subprocess.Popen[bytes]") -> Iterator[Victim]:
        if time.monotonic() - self.looked > 0.3:  # a look at all processes is not cheap
            self.looked = time.monotonic()
            self.steps = [step for node in NODES for step in self.slurm.steps_of(node)]
        for step in self.steps:
            with suppress(psutil.NoSuchProcess):
                part = self.parts.setdefault(step.pid, self.rng.choice(self.PARTS))
                kill = partial(self._kill_part, step, part)
                yield Victim("step", f"{part} of step {step.pid}", step.create_time(), kill)

    def _kill_part(self, step: psutil.Process, part: str) -> None:
        with suppress(psutil.NoSuchProcess):
            victim = step
            for _ in range(self.PARTS.index(part)):
                below = victim.children()
                victim = below[0] if below else victim  # not there yet
            victim.kill()


class Node(OnSlurm):
    """A node's daemon: alone, so that its jobs go on, or with all that is on the node. The node
    comes back after a while, before or after Slurm has missed it."""

    name = "node"

    def __init__(self, cluster: Cluster | None, rng: random.Random) -> None:
        super().__init__(cluster, rng)
        self.up_since = dict.fromkeys(NODES, time.time())
        self.back_at: dict[str, float] = {}
        self.lost: dict[tuple[str, float], bool] = {}

    def living(self, command: "subprocess.Popen[bytes]") -> Iterator[Victim]:
        for node in NODES:
            if node in self.slurm.daemons:
                born = self.up_since[node]
                lost = self.lost.setdefault((node, born), self.rng.random() < 0.5)
                name = f"node {node}" if lost else f"daemon of {node}"
                yield Victim("node", name, born, partial(self._lose, node, lost))

    def _lose(self, node: str, lost: bool) -> None:
        steps = self.slurm.steps_of(node) if lost else []
        self.slurm.kill(node)
        for step in steps:
            _kill(step)  # the kernel takes its workers along
        self.back_at[node] = time.time() + self.rng.uniform(0, NODE_DOWN_S)

    def tend(self) -> None:
        for node, when in list(self.back_at.items()):
            if time.time() >= when:
                del self.back_at[node]
                self.slurm.start_node(node)
                self.up_since[node] = time.time()


TARGETS: dict[str, type[Target]] = {
    one.name: one for one in (Orchestrator, Worker, Follower, Step, Node)
}
LOCAL = ("orchestrator", "worker")
