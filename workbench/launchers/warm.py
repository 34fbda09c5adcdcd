"""A warm parent: it imports the training code once and forks a worker for each run.

Importing torch and torchtitan takes seconds; a fork takes milliseconds. The parent only imports:
it runs no parallel operation, so it has no threads that a fork would lose, and it touches no GPU.
A crash of one worker is that worker's alone.

Spoken on stdin, a JSON object a line: {"run_dir": ..., "env": {...}}. On stdout come
{"ready": true}, {"run_dir", "pid"} and {"run_dir", "pid", "code"}, where a negative code is the
signal that ended the worker. End of input ends the parent once its workers have ended.
"""

import gc
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from workbench.launchers.orphans import die_with_parent

WORKER_MODULE = os.environ.get("WORKBENCH_WORKER_MODULE", "workbench.training.worker")

# A scheduler that ends a job tells all of its processes. Workers write a checkpoint then, and would
# not get to it if their parent ended at the word.
_FOR_THE_WORKERS = (signal.SIGTERM, signal.SIGUSR1)


class WarmParent:
    """The loop that forks and reaps."""

    def __init__(self, replies: int) -> None:
        self.worker: Any = importlib.import_module(WORKER_MODULE)
        # Nothing imported will be garbage: without this, a worker's first collection would write
        # to every object, and so copy every page that it shares with its parent.
        gc.collect()
        gc.freeze()
        self.replies = replies
        self.running: dict[int, str] = {}
        # SIGCHLD only has to wake `select`; the handler itself has nothing to do.
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        self.reply({"ready": True})
        buffer, open_input = b"", True
        while open_input or self.running:
            sources = [self.wake_read] + ([0] if open_input else [])
            ready, _, _ = select.select(sources, [], [])
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
            self.reap()
            if 0 in ready:
                received = os.read(0, 65_536)
                open_input = bool(received)
                *lines, buffer = (buffer + received).split(b"\n")
                for line in lines:
                    self.start(json.loads(line))

    def start(self, request: dict[str, Any]) -> None:
        parent = os.getpid()
        # Blocked, a word to the worker waits until the worker no longer ignores it as we do.
        signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_WORKERS)
        pid = os.fork()
        if pid == 0:
            self.work(parent, Path(request["run_dir"]), request.get("env", {}))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_WORKERS)
        self.running[pid] = request["run_dir"]
        self.reply({"run_dir": request["run_dir"], "pid": pid})

    def work(self, parent: int, run_dir: Path, env: dict[str, str]) -> NoReturn:
        """In the child: become the run's worker, and never return."""
        code = 1
        try:
            die_with_parent(parent)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, *_FOR_THE_WORKERS):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_WORKERS)
            os.environ.update(env)
            log = os.open(run_dir / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(self.replies)
            code = self.worker.main(run_dir)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def reap(self) -> None:
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self.reply({"run_dir": self.running.pop(pid), "pid": pid, "code": code})

    def reply(self, message: dict[str, Any]) -> None:
        os.write(self.replies, json.dumps(message).encode() + b"\n")


def main() -> None:
    """`python -m workbench.launchers.warm PARENT_PID`."""
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
