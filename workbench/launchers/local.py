"""Runs on this machine: one rank as a fork of a warm parent, several under torchrun."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from workbench.launchers.orphans import die_with_parent
from workbench.runs import RunFolder

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Ended:
    """A worker's end. A negative code is the signal that ended it."""

    run_id: str
    code: int


@dataclass
class _Parent:
    """A warm parent of ours, and the runs it works on."""

    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]
    workers: dict[str, int | None] = field(default_factory=dict)
    buffer: bytes = b""


class LocalLauncher:
    """Starts workers, tells when they end, and takes them along when it ends itself."""

    def __init__(self) -> None:
        self._parents: dict[int, _Parent] = {}
        self._torchruns: dict[str, subprocess.Popen[bytes]] = {}
        self._selector = selectors.DefaultSelector()

    def start(self, run: RunFolder, *, world_size: int, threads: int, env: dict[str, str]) -> None:
        """Start the worker of a run.

        Args:
            world_size: ranks of the run.
            threads: CPU threads a rank.
            env: more environment for the worker, such as CUDA_VISIBLE_DEVICES.
        """
        if world_size > 1:
            self._torchruns[run.run_id] = self._torchrun(run, world_size, threads, env)
            return
        parent = self._parents.get(threads)
        if parent is None:
            parent = self._parents[threads] = self._warm_parent(threads)
        parent.workers[run.run_id] = None
        request = {"run_dir": str(run.path), "env": env}
        try:
            assert parent.process.stdin is not None
            parent.process.stdin.write(json.dumps(request).encode() + b"\n")
            parent.process.stdin.flush()
        except BrokenPipeError:
            pass  # the parent died: its end of file reports the run as ended

    def wait(self, timeout: float) -> list[Ended]:
        """Workers that ended, waiting up to `timeout` seconds for the first."""
        ended = self._ended_torchruns()
        if not ended and not self._selector.get_map():
            import time

            time.sleep(min(timeout, 0.1))
        for key, _ in self._selector.select(0 if ended else self._patience(timeout)):
            ended += self._read(key.data)
        return ended + self._ended_torchruns()

    def signal(self, run_id: str, number: int) -> None:
        """Send a signal to a run's worker, where it is still there."""
        torchrun = self._torchruns.get(run_id)
        pid = torchrun.pid if torchrun else None
        for parent in self._parents.values():
            pid = parent.workers.get(run_id) or pid
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # it has ended, and `wait` will say so

    def close(self) -> None:
        """End what is left."""
        for torchrun in self._torchruns.values():
            torchrun.kill()
            torchrun.wait()
        for parent in self._parents.values():
            parent.process.kill()
            self._release(parent)
        self._parents.clear()
        self._selector.close()

    def _patience(self, timeout: float) -> float:
        return min(timeout, 0.2) if self._torchruns else timeout

    def _environment(self, threads: int, env: dict[str, str]) -> dict[str, str]:
        # Thread pools are sized when torch is imported.
        return {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads)), **env}

    def _warm_parent(self, threads: int) -> _Parent:
        # Not a pipe: a parent that fails at import says why at any length.
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_release`
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.launchers.warm", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=self._environment(threads, {}),
        )
        parent = _Parent(process, errors)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, threads)
        return parent

    def _read(self, threads: int) -> list[Ended]:
        parent = self._parents[threads]
        assert parent.process.stdout is not None
        received = os.read(parent.process.stdout.fileno(), 65_536)
        if not received:
            return self._lost(threads)
        *lines, parent.buffer = (parent.buffer + received).split(b"\n")
        ended = []
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            if "code" in message:
                run_id = Path(message["run_dir"]).name
                parent.workers.pop(run_id, None)
                ended.append(Ended(run_id, message["code"]))
            elif "pid" in message:
                parent.workers[Path(message["run_dir"]).name] = message["pid"]
        return ended

    def _lost(self, threads: int) -> list[Ended]:
        """A warm parent ended, and its workers with it. The next run gets a new one."""
        parent = self._parents.pop(threads)
        code = parent.process.wait()
        parent.errors.seek(0)
        said = parent.errors.read().decode(errors="replace")
        self._release(parent)
        if code > 0 and said:  # it failed by itself rather than by a signal
            sys.stderr.write(said)
        return [Ended(run_id, code if code < 0 else 1) for run_id in parent.workers]

    def _release(self, parent: _Parent) -> None:
        if parent.process.stdout is not None:
            try:
                self._selector.unregister(parent.process.stdout)
            except KeyError:
                pass  # already unregistered
            parent.process.stdout.close()
        if parent.process.stdin is not None:
            try:
                parent.process.stdin.close()
            except BrokenPipeError:
                pass  # it died with a request unread
        parent.process.wait()
        parent.errors.close()

    def _torchrun(
        self, run: RunFolder, world_size: int, threads: int, env: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        me = os.getpid()
        command = [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nnodes", "1", "--nproc-per-node", str(world_size)),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"),
            *("-m", "workbench.training.worker", str(run.path)),
        ]
        with open(run.log_path, "ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(threads, env),
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(me),
            )

    def _ended_torchruns(self) -> list[Ended]:
        ended = []
        for run_id, process in list(self._torchruns.items()):
            code = process.poll()
            if code is not None:
                del self._torchruns[run_id]
                ended.append(Ended(run_id, code))
        return ended
