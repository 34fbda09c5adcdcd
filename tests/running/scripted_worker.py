"""A worker without torch that does what `behaviour` in its run folder says, attempt by attempt.

Started through WORKBENCH_WORKER_MODULE. Each line is one attempt, and the last one lasts:
finish, fail, diverge, train (until SIGTERM or a request to cancel), slow (the same, and takes a
second to stop), stubborn (until SIGKILL), crash (a segmentation fault), kill (SIGKILL to itself),
silent (leaves with status 7), claimed (says so at once).
`steps` collects one line an attempt: its process id.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from workbench.runs.folder import RunFolder
from workbench.runs.lock import AlreadyClaimed

if os.environ.get("SCRIPTED_IMPORT_FAILS"):
    raise ImportError("the scripted worker cannot be imported")
time.sleep(float(os.environ.get("SCRIPTED_IMPORT_S", "0")))


class _Stop(Exception):
    """SIGTERM."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def main(run_dir: Path) -> int:
    run = RunFolder(run_dir)
    if os.environ.get("RANK", "0") != "0":
        _note_attempt(run)
        time.sleep(60)  # as a rank that waits for rank 0 in a collective
    try:
        with run.claim():
            return _attempt(run)
    except AlreadyClaimed:
        return 3


def _attempt(run: RunFolder) -> int:
    if run.stored_status().state == "finished":
        return 0
    if run.cancel_path.exists():
        run.write_status(state="cancelled")
        return 143
    attempts = run.stored_status().attempts
    lines = (run.path / "behaviour").read_text().split()
    behaviour = lines[min(attempts, len(lines) - 1)]
    _note_attempt(run)
    print(f"attempt {attempts + 1}: {behaviour}, {os.environ['OMP_NUM_THREADS']} threads")
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, _stop)
    try:
        me = {"pid": os.getpid(), "host": os.uname().nodename}
        run.write_status(state="running", attempts=attempts + 1, error=None, **me)
        return _behave(run, behaviour)
    except _Stop:
        if behaviour == "slow":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1)
        run.write_status(state="cancelled" if run.cancel_path.exists() else "interrupted")
        return 143


def _note_attempt(run: RunFolder) -> None:
    with open(run.path / "steps", "a") as steps:
        steps.write(f"{os.getpid()}\n")


def _behave(run: RunFolder, behaviour: str) -> int:
    if behaviour == "crash":
        ctypes.string_at(0)
    if behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "silent":
        return 7
    if behaviour in ("train", "slow", "stubborn"):
        if behaviour == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if run.cancel_path.exists() and behaviour != "stubborn":
                raise _Stop
            time.sleep(0.05)
    if behaviour == "fail":
        print("ValueError: scripted to fail", file=sys.stderr)
        run.write_status(state="failed", error="ValueError: scripted to fail")
        return 1
    if behaviour == "diverge":
        run.write_status(state="diverged", error="the loss is not finite at step 3")
        return 4
    with open(run.records_path, "a") as records:
        record = {"step": 1, "tokens": 1, "epoch": 0.1, "flops": 1.0, "metric": "val_loss"}
        record |= {"value": 2.5, "stderr": None, "n": 1, "estimator": "nll"}
        records.write(json.dumps(record) + "\n")
    time.sleep(float(os.environ.get("SCRIPTED_TRAIN_S", "0")))
    run.write_status(state="finished", step=1)
    return 0
