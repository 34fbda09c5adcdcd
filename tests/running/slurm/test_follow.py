"""Following a study on a real Slurm, with scripted workers: what is lost comes back, once."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.running.slurm.cluster import Cluster
from tests.running.slurm.jobs import (
    element_of,
    orchestrator_of,
    submit_runs,
    wait_for_attempt,
)
from tests.running.studies import attempts, gone, make_run, wait_until
from workbench.running.slurm import queue
from workbench.running.slurm.follow import follow
from workbench.running.slurm.submissions import submissions

pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    """A thread to follow in, which looks at the queue more often than users' do."""
    monkeypatch.setattr(queue, "EVERY_S", 1.0)
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_a_job_that_is_lost_is_submitted_again_and_one_that_is_called_off_is_not(
    cluster: Cluster, results: Path, pool: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, called_off, diverged = (
        make_run(results, "lost", "train", "finish"),
        make_run(results, "called-off", "train", "finish"),
        make_run(results, "diverged", "diverge"),
    )
    done = submit_runs(lost, called_off, diverged)
    following = pool.submit(follow, done, results)
    for run in (lost, called_off):
        wait_for_attempt(run)
    (worker,) = attempts(lost)
    # Slurm's own batch process: nobody is left to ask for the job again.
    batch = psutil.Process(orchestrator_of(worker)).parent()
    assert batch is not None
    os.kill(batch.pid, signal.SIGKILL)
    wait_until(lambda: gone(worker), "the worker ends with its task", 5)
    cluster.run("scancel", element_of(called_off).job)
    report = following.result(timeout=60)
    assert (report.finished, report.diverged) == (["lost"], ["diverged"])
    assert report.interrupted == ["called-off"]
    assert len(submissions(results)) == 2
    assert [len(attempts(run)) for run in (lost, called_off, diverged)] == [2, 1, 1]
    stderr = capsys.readouterr().err
    assert "1 runs have lost their jobs: submitting them again." in stderr
    assert "called-off" in stderr
    # Starts before the job was lost count still.
    assert submissions(results)[-1].attempts == {"lost": 0}
