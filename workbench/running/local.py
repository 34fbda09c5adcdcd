"""Runs on this machine: one rank as a fork of a warm parent, several under torchrun."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from workbench.errors import WorkbenchError
from workbench.running.environment import worker_environment
from workbench.running.launcher import Ended
from workbench.runs.files import plain_file
from workbench.runs.folder import RunFolder
from workbench.runs.processes import parent_of, wait_for_end

_DEATH_S = 5.0  # more than enough for a process that the kernel has sent SIGKILL


@dataclass
class _Parent:
    """A warm parent of ours, and the runs it works on."""

    process: "subprocess.Popen[bytes]"
    requests: IO[bytes]
    replies: IO[bytes]
    errors: IO[bytes]
    ready: bool = False
    workers: dict[str, int | None] = field(default_factory=dict)
    """Process ids by run; None until the parent has reported it."""
    owed: dict[str, int] = field(default_factory=dict)
    """Signals for workers whose id is not known yet."""
    buffer: bytes = b""


@dataclass
class _Ranks:
    """A process of ours, torchrun or a lone rank; its `pidfd` is readable once it has ended."""

    process: "subprocess.Popen[bytes]"
    run: RunFolder
    pidfd: int


class LocalLauncher:
    """Starts workers, reports when they end, and ends those left when it ends itself.

    Use it from one thread that lives as long as it does: the kernel ends workers with the thread
    that started them.
    """

    def __init__(self, *, warm: bool = True) -> None:
        """Start no process yet.

        Args:
            warm: fork workers of one rank from a parent that has done the imports. It pays where
                a slot takes a second run; otherwise the parent only takes memory.
        """
        self._warm = warm
        self._parents: dict[int, _Parent] = {}
        self._ranks: dict[str, _Ranks] = {}
        self._selector = selectors.DefaultSelector()

    def start(
        self,
        run: RunFolder,
        *,
        world_size: int,
        threads: int,
        env: dict[str, str],
        kind: str | None = None,
    ) -> None:
        """See `Launcher.start`. Returns at once: a first run waits for its parent's imports."""
        if world_size > 1 or not self._warm:
            self._start_ranks(run, world_size, threads, env)
            return
        parent = self._parents.get(threads) or self._warm_parent(threads)
        parent.workers[run.run_id] = None
        request = {"run_dir": str(run.path.absolute()), "env": env, "kind": kind}
        # A parent that has died reports the run as ended by its own end of file.
        with suppress(BrokenPipeError):
            parent.requests.write(json.dumps(request).encode() + b"\n")

    def wait(self, timeout: float) -> list[Ended]:
        """See `Launcher.wait`."""
        ended: list[Ended] = []
        for key, _ in self._selector.select(timeout):
            report: Callable[[], list[Ended]] = key.data
            ended += report()
        return ended

    def signal(self, run_id: str, number: int) -> None:
        """See `Launcher.signal`."""
        if run_id in self._ranks:
            self._signal_ranks(self._ranks[run_id], number)
        for parent in self._parents.values():
            if run_id not in parent.workers:
                continue
            pid = parent.workers[run_id]
            if pid is not None:
                _kill(pid, number)
            elif parent.ready:
                parent.owed[run_id] = number
            else:
                # Still importing: none of its runs has begun, so nothing is worth waiting for.
                parent.process.kill()

    def close(self) -> None:
        """See `Launcher.close`. The kernel ends workers together with what started them."""
        for ranks in self._ranks.values():
            ranks.process.kill()
            ranks.process.wait()
            os.close(ranks.pidfd)
        for parent in self._parents.values():
            parent.process.kill()
            self._release(parent)
        self._ranks.clear()
        self._parents.clear()
        self._selector.close()

    def _warm_parent(self, threads: int) -> _Parent:
        # Not a pipe: a parent that fails at import says why at any length.
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_release`
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.running.warm", str(os.getpid())],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(threads, {}),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        parent = _Parent(process, process.stdin, process.stdout, errors)
        self._parents[threads] = parent
        self._selector.register(parent.replies, selectors.EVENT_READ, partial(self._read, threads))
        return parent

    def _read(self, threads: int) -> list[Ended]:
        parent = self._parents[threads]
        received = os.read(parent.replies.fileno(), 65_536)
        if not received:
            return self._lost(threads)
        *lines, parent.buffer = (parent.buffer + received).split(b"\n")
        ended = []
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            run_id = Path(message.get("run_dir", "")).name
            if "code" in message:
                parent.workers.pop(run_id, None)
                parent.owed.pop(run_id, None)
                ended.append(Ended(run_id, message["code"]))
            elif "pid" in message:
                parent.workers[run_id] = message["pid"]
                if run_id in parent.owed:
                    _kill(message["pid"], parent.owed.pop(run_id))
            else:
                parent.ready = True
        return ended

    def _lost(self, threads: int) -> list[Ended]:
        """Report the runs of a warm parent that ended, and its workers with it.

        The next run gets a new parent.
        """
        parent = self._parents.pop(threads)
        code = parent.process.wait()
        parent.errors.seek(0)
        output = parent.errors.read().decode(errors="replace").strip()
        self._release(parent)
        if code >= 0 and not parent.ready:
            # Every further run would fail alike, after seconds of imports each.
            raise WorkbenchError(
                f"the training code cannot be loaded; no run was started.\n{output}"
            )
        if output:
            print(output, file=sys.stderr)
        for pid in parent.workers.values():
            if pid is not None:
                wait_for_end(pid, _DEATH_S)  # or their claims would look like somebody else's
        return [Ended(run_id, code if code < 0 else 1) for run_id in parent.workers]

    def _release(self, parent: _Parent) -> None:
        self._selector.unregister(parent.replies)
        parent.replies.close()
        parent.requests.close()
        parent.process.wait()
        parent.errors.close()

    def _start_ranks(
        self, run: RunFolder, world_size: int, threads: int, env: dict[str, str]
    ) -> None:
        command = self._command(run, world_size)
        try:
            log = open(run.log_path, "ab", opener=plain_file)  # noqa: SIM115 - closed below
        except OSError as error:
            raise WorkbenchError(f"{run.log_path}: cannot be written: {error.strerror}.") from error
        with log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(threads, env),
                # Ctrl-C must reach the orchestrator alone, which passes it on once.
                start_new_session=True,
            )
        ranks = _Ranks(process, run, os.pidfd_open(process.pid))
        self._ranks[run.run_id] = ranks
        self._selector.register(
            ranks.pidfd, selectors.EVENT_READ, partial(self._ranks_ended, run.run_id)
        )

    def _command(self, run: RunFolder, world_size: int) -> list[str]:
        me, run_dir = str(os.getpid()), str(run.path.absolute())
        part = ("rank", me, run_dir) if world_size == 1 else ("agent", me, str(world_size), run_dir)
        return [sys.executable, "-m", "workbench.running.torchrun", *part]

    def _ranks_ended(self, run_id: str) -> list[Ended]:
        ranks = self._ranks.pop(run_id)
        code = ranks.process.wait()
        self._selector.unregister(ranks.pidfd)
        os.close(ranks.pidfd)
        holder = ranks.run.holder()
        if code < 0 and holder is not None and holder.host == os.uname().nodename:
            wait_for_end(holder.pid, _DEATH_S)  # its agent was killed: the kernel ends it too
        return [Ended(run_id, code)]

    def _signal_ranks(self, ranks: _Ranks, number: int) -> None:
        """Signal rank 0 to stop, which passes it on to the others.

        torchrun itself would end ranks that take more than 30 s to reach their checkpoint.
        """
        holder = ranks.run.holder()
        if number == signal.SIGTERM and holder and parent_of(holder.pid) == ranks.process.pid:
            _kill(holder.pid, number)
        else:
            ranks.process.send_signal(number)


def _environment(threads: int, env: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **worker_environment(threads), **env}


def _kill(pid: int, number: int) -> None:
    """Signal a worker; where it has ended already, `wait` will report it."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
