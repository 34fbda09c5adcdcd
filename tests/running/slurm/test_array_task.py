"""Tasks of an array on a real Slurm, with scripted workers: what is tried again, what is not."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.running.slurm.cluster import Cluster
from tests.running.slurm.jobs import (
    element_of,
    orchestrator_of,
    submit_runs,
    task_log,
    wait_for_attempt,
    wait_for_empty_queue,
    wait_for_state,
)
from tests.running.studies import attempts, gone, make_run, wait_until
from workbench.running.control import cancel, retry
from workbench.running.slurm.jobs import Jobs
from workbench.running.slurm.submit import Submitted
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("scripted")


def job_of(run: RunFolder, cluster: Cluster) -> dict[str, str]:
    """A task as the controller has it."""
    lines = cluster.run("scontrol", "show", "job", "-o", element_of(run).job).split()
    return dict(pair.split("=", 1) for pair in lines if "=" in pair)


def test_a_study_of_good_and_bad_runs_ends_without_trying_the_bad_ones_again(
    cluster: Cluster, results: Path
) -> None:
    behaviours = ("finish", "fail", "diverge", "silent")
    runs = {behaviour: make_run(results, behaviour, behaviour) for behaviour in behaviours}
    submit_runs(*runs.values())
    assert {run.stored_status().state for run in runs.values()} <= {"submitted", "running"}
    wait_for_empty_queue(cluster)
    states = {behaviour: run.status().state for behaviour, run in runs.items()}
    assert states == {
        "finish": "finished", "fail": "failed", "diverge": "diverged", "silent": "failed",
    }  # fmt: skip
    assert all(len(attempts(run)) == 1 for run in runs.values())
    assert "ValueError: scripted to fail" in task_log(runs["fail"])


def test_runs_of_a_task_share_one_warm_parent(cluster: Cluster, results: Path) -> None:
    runs = [make_run(results, f"r{i}", "finish") for i in range(5)]
    done = submit_runs(*runs, runs_per_task=5)
    assert len(done.submission.arrays[0].tasks) == 1
    wait_for_empty_queue(cluster)
    assert all(run.status().state == "finished" for run in runs)
    assert "5 finished" in task_log(runs[0])


def test_a_killed_task_comes_back_and_leaves_no_worker_behind(
    cluster: Cluster, results: Path
) -> None:
    run = make_run(results, "task", "train", "finish")
    submit_runs(run)
    wait_for_attempt(run)
    (worker,) = attempts(run)
    # The process that trains, under the one that Slurm knows.
    psutil.Process(orchestrator_of(worker)).kill()
    wait_until(lambda: gone(worker), "the worker is gone", 5)
    wait_for_state(run, "finished")
    assert run.status().attempts == 2
    wait_for_empty_queue(cluster)
    assert job_of(run, cluster)["Restarts"] == "1"


def test_a_job_that_slurm_ends_has_time_for_its_checkpoints(
    cluster: Cluster, results: Path
) -> None:
    # Slurm tells every process of the job: workers, their warm parent, what started that.
    runs = [make_run(results, f"r{i}", "slow") for i in range(3)]
    submit_runs(*runs, runs_per_task=3, runs_at_once=2)
    for run in runs[:2]:
        wait_for_attempt(run)
    cluster.run("scancel", element_of(runs[0]).job)
    wait_for_empty_queue(cluster)
    states = [run.stored_status().state for run in runs]
    assert states == ["interrupted", "interrupted", "submitted"]


def test_a_task_that_never_gets_through_is_given_up(cluster: Cluster, results: Path) -> None:
    run = make_run(results, "doomed", "train")
    submit_runs(run, max_attempts=2)
    for number in (1, 2):
        wait_for_attempt(run, number)
        cluster.run("scancel", "--batch", "--signal=USR1", element_of(run).job)
    wait_for_empty_queue(cluster)
    assert len(attempts(run)) == 2
    assert "Given up: this task was started 2 times" in task_log(run)
    assert run.status().state == "failed"
    assert "given up after 2 starts" in (run.status().error or "")


def test_a_run_that_was_started_too_often_fails_and_says_so(
    cluster: Cluster, results: Path
) -> None:
    run = make_run(results, "doomed", "kill")
    submit_runs(run, max_attempts=3)
    wait_for_empty_queue(cluster)
    assert run.status().state == "failed"
    assert len(attempts(run)) == 3
    assert (run.status().error or "").startswith("the worker ended by signal 9, as the kernel")


def test_a_run_that_another_process_trains_is_not_trained_twice(
    cluster: Cluster, results: Path
) -> None:
    run = make_run(results, "shared", "finish")
    other = subprocess.Popen(
        [sys.executable, "-m", "tests.running.slurm.other_trainer", str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdin is not None
    submit_runs(run, options=["--begin=now+2"])
    try:
        assert other.stdout.readline() == "claimed\n"
        wait_until(lambda: "RUNNING" in cluster.queue().values(), "the task runs")
        other.stdin.write("\n")
        other.stdin.close()
        wait_for_empty_queue(cluster)
    finally:
        other.kill()
        other.wait()
    assert attempts(run) == []
    assert run.status().state == "finished"


def study(results: Path, *runs: RunFolder) -> Submitted:
    (results / "studies").mkdir(exist_ok=True)
    document = {"name": "scripted", "question": "?", "source": None, "compare": {}, "recipe": ""}
    ids = [run.run_id for run in runs]
    write_json(results / "studies" / "scripted.json", document | {"run_ids": ids})
    return submit_runs(*runs)


def test_cancel_stops_what_runs_and_what_waits_and_retry_submits_it_again(
    cluster: Cluster, results: Path
) -> None:
    runs = [make_run(results, f"r{i}", "train", "finish") for i in range(6)]
    study(results, *runs)
    wait_for_attempt(runs[0])
    messages = cancel(results, "scripted")
    assert len(messages) == 6
    wait_for_empty_queue(cluster)
    assert {run.status().state for run in runs} == {"cancelled"}
    done = retry(results, "r0")
    assert isinstance(done, Submitted)
    wait_for_state(runs[0], "finished")
    assert runs[5].status().state == "cancelled"


def test_cancelling_one_run_leaves_the_others_of_its_task(cluster: Cluster, results: Path) -> None:
    first, other, late = (
        make_run(results, "first", "train"),
        make_run(results, "other", "finish"),
        make_run(results, "late", "finish"),
    )
    submit_runs(first, other, late, runs_per_task=3)
    wait_for_attempt(first)
    cancel(results, "late")
    cancel(results, "first")
    wait_for_empty_queue(cluster)
    states = [run.status().state for run in (first, other, late)]
    assert states == ["cancelled", "finished", "cancelled"]
    assert attempts(late) == []


def test_status_shows_why_a_job_waits_and_that_one_is_gone(cluster: Cluster, results: Path) -> None:
    run = make_run(results, "waiting", "finish")
    submit_runs(run, options=["--begin=now+1hour"])
    row = Jobs(results).columns("waiting", "submitted")
    assert (row["job"], row["job_state"]) == (element_of(run).job, "PENDING")
    wait_until(lambda: asked_now(results)["job_reason"] == "BeginTime", "Slurm gives the reason")
    cluster.run("scancel", element_of(run).array_job)
    wait_until(lambda: asked_now(results)["job_state"] == "CANCELLED", "Slurm tells the end")
    # The study's next `workbench run` takes it up again.
    assert submit_runs(run).submitted == ["waiting"]


def asked_now(results: Path) -> dict[str, str]:
    """What `status` says once the last answer of the controller is too old."""
    saved = results / "slurm" / ".queue.json"
    document = json.loads(saved.read_text()) if saved.exists() else {"jobs": {}, "ended": {}}
    write_json(saved, document | {"asked": 0.0})
    return Jobs(results).columns("waiting", "submitted")
