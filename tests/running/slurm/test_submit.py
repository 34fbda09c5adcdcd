"""Submission to a real Slurm: all of it or nothing, and the messages to users."""

import json
import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Workbench
from tests.running.slurm.cluster import Cluster
from tests.running.slurm.jobs import element_of, submit_runs
from tests.running.studies import make_run, wait_until
from workbench.errors import InputError, WorkbenchError
from workbench.running.slurm.submissions import SUBMITTING, submissions
from workbench.runs.folder import list_runs

AT_ONCE_S = 10.0


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_dry_run_prints_the_scripts_and_writes_nothing(
    recipe: Path, workbench: Workbench, tmp_path: Path, no_site: None
) -> None:
    before = everything_in(tmp_path)
    done = workbench("run", recipe, "--launcher", "slurm", "--dry-run", "--results", "r")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("#!/bin/bash\n")
    assert "#SBATCH --array=0-1\n" in done.stdout
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('launcher.slurm.partition="nope"', "invalid partition specified: nope"),
        ('launcher.slurm.constraint="quantum"', "Invalid feature specification"),
        ("launcher.slurm.gpus_per_node=64", "gpus_per_node = 64"),
        ("launcher.slurm.cpus_per_node=99", "cpus_per_node = 99"),
    ],
)
def test_what_slurm_refuses_is_reported_and_nothing_is_begun(
    override: str,
    message: str,
    recipe: Path,
    workbench: Workbench,
    tmp_path: Path,
    cluster: Cluster,
) -> None:
    before = everything_in(tmp_path)
    done = workbench(
        *("run", recipe, "--launcher", "slurm", "--results", "r"),
        *("--set", override, "--set", "training.device=auto"),
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Nothing was submitted" in done.stderr
    assert cluster.queue() == {}
    assert everything_in(tmp_path) == before


def test_a_limit_of_the_partition_is_reported(
    recipe: Path, workbench: Workbench, cluster: Cluster
) -> None:
    done = workbench(
        *("run", recipe, "--launcher", "slurm", "--results", "r"),
        *("--set", 'launcher.slurm.partition="short"', "--set", "launcher.slurm.time=60"),
    )
    assert done.returncode == 2
    assert "time limit" in done.stderr
    assert "time = '60'" in done.stderr
    assert cluster.queue() == {}


def test_without_slurm_on_the_machine_nothing_is_begun(
    recipe: Path,
    workbench: Workbench,
    tmp_path: Path,
    no_site: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    before = everything_in(tmp_path)
    done = workbench("run", recipe, "--launcher", "slurm", "--results", "r")
    assert done.returncode == 2
    assert "there is no Slurm on this machine" in done.stderr
    assert "Traceback" not in done.stderr
    assert everything_in(tmp_path) == before


def test_a_controller_that_is_down_is_reported_by_every_command(
    recipe: Path, workbench: Workbench, tmp_path: Path, cluster: Cluster, scripted: None
) -> None:
    run = make_run(tmp_path / "r", "waiting", "finish")
    submit_runs(run, options=["--begin=now+1hour"])
    (tmp_path / "r" / "slurm" / ".queue.json").unlink(missing_ok=True)
    cluster.kill("slurmctld")
    try:
        commands: tuple[tuple[str | Path, ...], ...] = (
            ("run", recipe, "--launcher", "slurm", "--results", "other"),
            ("status", "--results", "r"),
            ("cancel", "waiting", "--results", "r"),
        )
        with ThreadPoolExecutor() as pool:  # each waits for Slurm's patience
            submitted, asked, called_off = pool.map(lambda command: workbench(*command), commands)
    finally:
        cluster.start_controller()
        cluster.wait_for_nodes()
    assert submitted.returncode == called_off.returncode == 1
    for done in (submitted, asked, called_off):
        assert "the Slurm controller does not answer" in done.stderr
        assert "Traceback" not in done.stderr
    assert asked.returncode == 0
    assert not (tmp_path / "other").exists()
    # Nobody trains it any more, whatever the queue still has.
    assert "in the queue still" in called_off.stderr
    assert run.status().state == "cancelled"


def test_when_one_array_of_several_is_refused_none_is_left(
    cluster: Cluster, scripted: None, tmp_path: Path
) -> None:
    # Runs of two shapes; the cluster has no node for the second.
    fits = make_run(tmp_path / "r", "fits", "finish")
    wide = make_run(tmp_path / "r", "wide", "finish", ranks=32)
    with pytest.raises(InputError, match="Nothing was submitted"):
        submit_runs(fits, wide)
    assert cluster.queue() == {}
    assert {run.stored_status().state for run in (fits, wide)} == {"planned"}
    assert not (tmp_path / "r" / "slurm").exists()


def test_a_refusal_restores_the_states_in_the_folders(
    cluster: Cluster, scripted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "r", "once", "finish")
    run.write_status(state="cancelled", error="called off")
    run.request_cancel()
    # scontrol answers what is asked before, and then cannot reach the controller any more.
    shim(tmp_path, monkeypatch, "scontrol", '[ "$1" = release ] && exec false')
    with pytest.raises(WorkbenchError):
        submit_runs(run, retry_failed=True)
    assert cluster.queue() == {}
    assert (run.stored_status().state, run.stored_status().error) == ("cancelled", "called off")
    assert run.cancel_path.exists()


def test_what_a_killed_submitter_left_in_the_queue_is_taken_back(
    cluster: Cluster, scripted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "r", "once", "train", "finish")
    with monkeypatch.context() as patch:
        shim(tmp_path, patch, "scontrol", '[ "$1" = release ] && kill -9 $PPID')
        code = f"""
from pathlib import Path
from tests.running.slurm.jobs import submit_runs
from workbench.runs.folder import RunFolder
submit_runs(RunFolder(Path({str(run.path)!r})))
"""
        killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9
    (left,) = submissions(tmp_path / "r")
    # As if it had been killed before it could write down that all was there.
    left.state = SUBMITTING
    left.save()
    assert set(cluster.queue().values()) == {"PENDING"}
    done = submit_runs(run, options=["--begin=now+1hour"])
    assert done.submitted == ["once"]
    assert list(cluster.queue()) == [element_of(run).job]
    assert [left.name for left in submissions(tmp_path / "r")] == [done.submission.name]


def test_runs_in_the_queue_are_not_submitted_again(
    cluster: Cluster, scripted: None, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "r", "once", "finish")
    submit_runs(run, options=["--begin=now+1hour"])
    again = submit_runs(run)
    assert (again.queued, again.submission) == (["once"], None)
    assert len(cluster.queue()) == 1


def test_arrays_keep_to_the_largest_that_the_cluster_takes(
    cluster: Cluster, scripted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(tmp_path / "r", f"r{i:02}", "finish") for i in range(5)]
    monkeypatch.setattr("workbench.running.slurm.submit.largest_array", lambda: 2)
    done = submit_runs(*runs, options=["--begin=now+1hour"])
    assert len(done.submission.job_ids) == 3
    assert len(cluster.queue()) == 5


def test_300_planned_runs_are_submitted_and_cancelled_at_once(
    recipe: Path, workbench: Workbench, cluster: Cluster, tmp_path: Path
) -> None:
    seeds = f"sweep.training.seed={list(range(150))}"
    common = (
        *("--results", "r", "--set", seeds),
        *("--set", 'launcher.slurm.options=["--begin=now+1hour"]'),
    )
    assert workbench("plan", recipe, *common[:4]).returncode == 0
    began = time.monotonic()
    done = workbench("run", recipe, "--launcher", "slurm", *common)
    submitted_s = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert "tiny: 300 submitted" in done.stderr
    assert len(cluster.queue()) == 300
    states = {run.stored_status().state for run in list_runs(tmp_path / "r")}
    assert states == {"submitted"}
    began = time.monotonic()
    done = workbench("cancel", "tiny", "--results", "r")
    cancelled_s = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not cluster.queue(), "the queue is empty", AT_ONCE_S)
    assert {run.status().state for run in list_runs(tmp_path / "r")} == {"cancelled"}
    print(f"300 runs: submitted in {submitted_s:.1f} s, cancelled in {cancelled_s:.1f} s")
    assert submitted_s < AT_ONCE_S
    assert cancelled_s < AT_ONCE_S


def test_the_controller_is_asked_once_for_any_number_of_runs_and_lookers(
    cluster: Cluster,
    scripted: None,
    workbench: Workbench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [make_run(tmp_path / "r", f"r{i:02}", "finish") for i in range(20)]
    (tmp_path / "r" / "studies").mkdir()
    study = {"name": "scripted", "run_ids": [run.run_id for run in runs]}
    (tmp_path / "r" / "studies" / "scripted.json").write_text(json.dumps(study))
    submit_runs(*runs, options=["--begin=now+1hour"])
    (tmp_path / "r" / "slurm" / ".queue.json").unlink(missing_ok=True)
    calls = shim(tmp_path, monkeypatch, "squeue", "")
    for _ in range(4):
        done = workbench("status", "--results", "r", "--format", "json")
        assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 20
    assert {(row["state"], row["job_state"]) for row in rows} == {("submitted", "PENDING")}
    assert len(calls.read_text().splitlines()) == 1


def shim(folder: Path, patch: pytest.MonkeyPatch, program: str, before: str) -> Path:
    """Put a script before one of Slurm's programs, which it becomes; its calls, a line each."""
    real = next(
        Path(directory) / program
        for directory in os.environ["PATH"].split(":")
        if (Path(directory) / program).exists()
    )
    bin_folder, calls = folder / "bin", folder / f"{program}.calls"
    bin_folder.mkdir(exist_ok=True)
    script = bin_folder / program
    script.write_text(f'#!/bin/bash\necho "$@" >> {calls}\n{before}\nexec {real} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    patch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    return calls
