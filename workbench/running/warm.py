"""A warm parent: it imports the training code once and forks a worker for each run.

Importing torch and torchtitan takes seconds; a fork takes milliseconds. The parent only imports:
it runs no parallel operation, so it has no threads that a fork would lose, and it touches no GPU.
A crash of one worker is that worker's alone.

A run with a kind leaves its worker there once it is finished, for the next run of that kind: what
torch.compile made stays in its process, and making it again takes seconds. A worker that ended in
any other way is not used again.

Requests come on stdin, a JSON object a line: {"run_dir": ..., "env": {...}, "kind": ...}. Replies
on stdout are {"ready": true}, {"run_dir", "pid"} and {"run_dir", "pid", "code"}; a negative code is
the signal that ended the worker. End of input ends the parent once its workers have ended.
"""

import gc
import importlib
import json
import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from workbench.runs.files import plain_file
from workbench.runs.processes import die_with_parent

WORKER_MODULE = os.environ.get("WORKBENCH_WORKER_MODULE", "workbench.running.worker")

# A scheduler that ends a job signals all of its processes. Workers write a checkpoint then, and
# would not get to it if their parent ended at the signal.
_FOR_THE_WORKERS = (signal.SIGTERM, signal.SIGUSR1)
_MOST_IDLE = 2  # idle workers for runs that may never come, each with the memory of a run


@dataclass
class _ReusableWorker:
    """A worker that goes on with further runs of its kind."""

    kind: str
    env: dict[str, str]
    orders: int
    """Where to write the folder of its next run."""
    finished: int
    """Where it writes a byte when it has finished one."""
    idle: bool = False
    ended: bool = False

    def close(self) -> None:
        os.close(self.orders)
        os.close(self.finished)


class WarmParent:
    """The loop that forks and reaps."""

    def __init__(self, replies: int) -> None:
        self.worker_module: Any = importlib.import_module(WORKER_MODULE)
        # Nothing imported will be garbage: without this, a worker's first collection would write
        # to every object, and so copy every page that it shares with its parent.
        gc.collect()
        gc.freeze()
        self.replies = replies
        self.running: dict[int, str] = {}
        self.reusable: dict[int, _ReusableWorker] = {}
        # SIGCHLD only has to wake `select`; the handler itself has nothing to do.
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        self.reply({"ready": True})
        buffer, open_input = b"", True
        while open_input or self.running:
            busy = {
                worker.finished: pid
                for pid, worker in self.reusable.items()
                if not worker.idle and not worker.ended
            }
            sources = [self.wake_read, *busy] + ([0] if open_input else [])
            ready, _, _ = select.select(sources, [], [])
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
            for descriptor in set(ready) & busy.keys():
                self.on_report(busy[descriptor])
            self.reap()
            if 0 in ready:
                received = os.read(0, 65_536)
                open_input = bool(received)
                *lines, buffer = (buffer + received).split(b"\n")
                for line in lines:
                    self.start(json.loads(line))

    def start(self, request: dict[str, Any]) -> None:
        run_dir, env = request["run_dir"], request.get("env", {})
        kind = request.get("kind") and json.dumps([request["kind"], env], sort_keys=True)
        pid = self.go_on(kind, run_dir) or self.fork(kind, Path(run_dir), env)
        self.running[pid] = run_dir
        self.reply({"run_dir": run_dir, "pid": pid})

    def go_on(self, kind: str | None, run_dir: str) -> int | None:
        """Give a run to a worker that waits for one of its kind, if there is one."""
        for pid, worker in self.reusable.items():
            if worker.idle and worker.kind == kind:
                worker.idle = False
                try:
                    os.write(worker.orders, run_dir.encode())
                except BrokenPipeError:  # it has just ended, and will be reaped
                    continue
                return pid
        return None

    def fork(self, kind: str | None, run_dir: Path, env: dict[str, str]) -> int:
        idle = [worker for worker in self.reusable.values() if worker.idle]
        for n, worker in enumerate(idle):
            same_gpu = bool(env) and worker.env == env  # where each takes memory of the other
            if same_gpu or n < len(idle) - _MOST_IDLE:
                self.dismiss(worker)
        orders, finished = (os.pipe(), os.pipe()) if kind else (None, None)
        parent = os.getpid()
        # A blocked signal waits until the worker no longer ignores it as we do.
        signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_WORKERS)
        pid = os.fork()
        if pid == 0:
            for worker in self.reusable.values():
                worker.close()
            if orders and finished:
                os.close(orders[1])
                os.close(finished[0])
                self.work(parent, run_dir, env, (orders[0], finished[1]))
            self.work(parent, run_dir, env, None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_WORKERS)
        if kind and orders and finished:
            os.close(orders[0])
            os.close(finished[1])
            self.reusable[pid] = _ReusableWorker(kind, env, orders[1], finished[0])
        return pid

    def work(
        self, parent: int, run_dir: Path, env: dict[str, str], pipes: tuple[int, int] | None
    ) -> NoReturn:
        """In the child: become the run's worker, and never return."""
        code = 1
        try:
            die_with_parent(parent)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, *_FOR_THE_WORKERS):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_WORKERS)
            os.environ.update(env)
            os.close(self.replies)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            code = self.train(run_dir)
            while code == 0 and pipes is not None:
                code = 1  # whatever goes wrong from here on
                following = self.next_run(*pipes)
                if following is None:
                    code = 0
                    break
                code = self.train(following)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def train(self, run_dir: Path) -> int:
        """In the child: train one run, with what it prints in its log."""
        log = plain_file(str(run_dir / "log.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        code: int = self.worker_module.main(run_dir)
        sys.stdout.flush()
        sys.stderr.flush()
        return code

    def next_run(self, orders: int, finished: int) -> Path | None:
        """In a worker that has finished: report it, and return its next run, or None at the end."""
        gc.enable()  # titan collects by itself, and only while it trains
        gc.collect()
        if hasattr(self.worker_module, "rest"):
            self.worker_module.rest()
        os.write(finished, b".")
        return Path(received.decode()) if (received := os.read(orders, 65_536)) else None

    def on_report(self, pid: int) -> None:
        """Note that a worker has finished a run and waits, or has ended, which `reap` reports."""
        worker = self.reusable[pid]
        worker.idle = bool(os.read(worker.finished, 1))
        worker.ended = not worker.idle
        if worker.idle:
            self.reply({"run_dir": self.running.pop(pid), "pid": pid, "code": 0})

    def dismiss(self, worker: _ReusableWorker) -> None:
        """Let an idle worker end: it sees the end of its orders."""
        self.reusable = {pid: other for pid, other in self.reusable.items() if other is not worker}
        worker.close()

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.reusable:
                self.dismiss(self.reusable[pid])
            if pid in self.running:  # not one that was idle
                code = os.waitstatus_to_exitcode(status)
                self.reply({"run_dir": self.running.pop(pid), "pid": pid, "code": code})

    def reply(self, message: dict[str, Any]) -> None:
        os.write(self.replies, json.dumps(message).encode() + b"\n")


def main() -> None:
    """Serve requests: `python -m workbench.running.warm PARENT_PID`."""
    die_with_parent(int(sys.argv[1]))
    # Ctrl-C reaches the whole group: the orchestrator decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _FOR_THE_WORKERS:
        signal.signal(number, signal.SIG_IGN)
    replies = os.dup(1)  # what the imports print must not land among the replies
    os.dup2(2, 1)
    WarmParent(replies).serve()


if __name__ == "__main__":
    main()
