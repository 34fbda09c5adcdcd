"""One task of an array, on its first node.

Started as `python -m workbench.running.slurm.array_task FOLDER ARRAY`.

Two processes. The first is what Slurm knows as the batch job: it imports next to nothing, gets
Slurm's warning, and asks for the job to be started again when its runs are not at their end. The
second, its child, trains the task's runs as an orchestrator does on any machine.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.runs.processes import die_with_parent

if TYPE_CHECKING:
    from workbench.running.slots import Slots
    from workbench.running.slurm.shapes import Shape
    from workbench.running.slurm.submissions import Submission
    from workbench.runs.folder import RunFolder

AGAIN = 75
"""The child's exit status when runs are left for another start (EX_TEMPFAIL)."""
_MAX_TRIES, _TRY_EVERY_S = 6, 10.0  # to reach the controller: it may be restarting
_PATIENCE_S = 60.0  # for runs that somebody else trains


def supervise(folder: Path, number: int) -> int:
    """Start the child, pass signals on, and requeue the job where that is wanted."""
    die_with_parent(os.getppid())  # slurmstepd: no worker outlives its step
    warned: list[int] = []
    terminated: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def on_signal(signal_number: int, _frame: object) -> None:
        (warned if signal_number == signal.SIGUSR1 else terminated).append(signal_number)
        if child is not None:
            child.send_signal(signal_number)

    for signal_number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(signal_number, on_signal)
    command = [sys.executable, "-m", "workbench.running.slurm.array_task", str(folder), str(number)]
    child = subprocess.Popen([*command, str(os.getpid())])
    if warned or terminated:
        child.send_signal(signal.SIGTERM)  # received before there was a child
    code = child.wait()
    if terminated and not warned:
        # Slurm wants us gone. Where it preempts us or a node fails, it requeues by itself; where
        # somebody cancels us, nobody wants us back.
        return _status(code)
    if code == AGAIN or code < 0:
        _requeue(folder, number)
    return _status(code)


def _status(code: int) -> int:
    """Return the exit status a shell gives: 128 + the signal, where a signal ended the process."""
    return code if code >= 0 else 128 - code


def _requeue(folder: Path, number: int) -> None:
    """Ask Slurm to start this job again. It ends us for that."""
    from workbench.running.slurm.submissions import Submission

    submission = Submission.load(folder)
    limit = submission.settings.max_attempts
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    # Not SLURM_JOB_ID: an array's last task has the array's own, which means all of its tasks.
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if restarts + 1 >= limit:
        print(f"Given up: this task was started {restarts + 1} times (max_attempts).", flush=True)
        for run in _runs(submission, number, folder.parent.parent).values():
            _give_up_at_the_limit(run, submission)
        return
    print(f"Not at the end: job {job} goes back into the queue.", flush=True)
    # Slurm's SIGTERM is the end now, or it would wait for its KillWait.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for _ in range(_MAX_TRIES):
        if subprocess.run(["scontrol", "requeue", job], check=False).returncode == 0:
            time.sleep(60)  # an end of our own would race with it
            return
        time.sleep(_TRY_EVERY_S)


def work(folder: Path, number: int, parent: int) -> int:
    """Train the task's runs, and return whether all is done.

    Returns:
        0 when nothing is left, `AGAIN` when runs are unfinished through no fault of theirs, 1 when
        one failed, diverged or was given up.
    """
    die_with_parent(parent)
    from workbench.errors import WorkbenchError
    from workbench.running.slurm.submissions import Submission

    try:
        return _train(Submission.load(folder), number, folder.parent.parent)
    except WorkbenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return AGAIN  # every run has written its checkpoint


def _train(submission: "Submission", number: int, results: Path) -> int:
    from workbench.running.orchestrator import Allocation, Orchestrator
    from workbench.running.slurm.steps import StepLauncher

    folders = _runs(submission, number, results)
    for run in folders.values():
        _give_up_at_the_limit(run, submission)
    shape = submission.arrays[number].shape
    launcher = partial(StepLauncher, nodes=shape.nodes, cpus_per_node=shape.cpus_per_node)
    allocation = Allocation(
        _slots(shape, submission.settings.runs_per_gpu), launcher, patience_s=_PATIENCE_S
    )
    report = Orchestrator(
        submission.study,
        folders,
        results,
        jobs=None,
        keep_going=True,
        retry_failed=False,
        ranks=shape.ranks,
        allocation=allocation,
    ).run()
    print(report.summary(), file=sys.stderr)
    if report.waiting or report.interrupted:
        return AGAIN
    return 0 if report.ok else 1


def _runs(submission: "Submission", number: int, results: Path) -> dict[str, "RunFolder"]:
    """The runs of this task of an array."""
    from workbench.runs.folder import RunFolder

    runs = submission.arrays[number].tasks[int(os.environ["SLURM_ARRAY_TASK_ID"])]
    return {run_id: RunFolder(results / "runs" / run_id) for run_id in runs}


def _slots(shape: "Shape", runs_per_gpu: int) -> "Slots":
    """Places for the ranks that train at once: GPUs, each as often as runs share it, or CPUs.

    On several nodes srun hands out the GPUs.
    """
    from workbench.running.slots import Slots
    from workbench.running.visible_gpus import visible_gpus

    places = shape.ranks * shape.at_once
    gpus = visible_gpus() * (runs_per_gpu if shape.ranks == 1 else 1)
    if shape.nodes > 1 or shape.gpus_per_node is None or len(gpus) < places:
        return Slots(list(range(places)), None)
    return Slots(list(range(places)), gpus[:places])


def _give_up_at_the_limit(run: "RunFolder", submission: "Submission") -> None:
    """Write down that a run was started too often to be started again."""
    from workbench.runs.folder import ENDED
    from workbench.runs.lock import AlreadyClaimed

    before = submission.attempts.get(run.run_id, 0)
    limit = submission.settings.max_attempts
    status = run.status()
    if status.state in ENDED:
        return
    if status.attempts - before < limit:
        return
    error = (
        f"given up after {status.attempts - before} starts (launcher.slurm.max_attempts); "
        "`workbench retry` starts it again from its last checkpoint"
    )
    with suppress(AlreadyClaimed):
        run.settle("failed", error)


def main() -> int:
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        return work(folder, number, int(sys.argv[3]))
    return supervise(folder, number)


if __name__ == "__main__":
    sys.exit(main())
