"""Killed at any moment and run again, a study gives the numbers of an undisturbed one."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.conftest import Records, run_workbench, stored_records
from tests.end_to_end.killed_worker import MOMENTS, killing


@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
def test_workers_killed_at_exact_moments_lose_and_change_nothing(
    early: bool, tiny_recipe: Path, undisturbed: Records, tmp_path: Path
) -> None:
    """A worker that was killed is started again twice, so each run has two moments."""
    moments = MOMENTS[:4] if early else MOMENTS[4:]
    results, killed = tmp_path / "results", tmp_path / "killed"
    killed.mkdir()
    done = run_workbench(
        *("run", tiny_recipe, "--results", results, "--jobs", "1"),
        env=killing(killed, ar=moments[:2], mdlm=moments[2:]),
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in killed.iterdir()) == sorted(moments)
    assert done.stderr.count("by signal 9") == 4
    assert stored_records(results) == undisturbed


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.long
def test_random_kills_of_processes_lose_and_change_nothing(
    tiny_recipe: Path, undisturbed: Records, tmp_path: Path
) -> None:
    """A hundred of them: benchmarks/random_kills.py."""
    rng = random.Random(0)
    results = tmp_path / "results"
    command = [sys.executable, "-m", "workbench.cli", "run", str(tiny_recipe)]
    for victim in ("orchestrator", "workers", "everything"):
        study = subprocess.Popen(
            [*command, "--results", str(results)], stderr=subprocess.PIPE, text=True
        )
        wait_for_training(study, results)
        time.sleep(rng.random() * 0.8)
        family = descendants(study.pid)
        victims = {
            "orchestrator": [psutil.Process(study.pid)],
            "workers": family,
            "everything": [psutil.Process(study.pid), *family],
        }[victim]
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):  # it may have been faster
                process.kill()
        study.wait(timeout=120)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, "a worker outlived its orchestrator"
        assert study.stderr is not None
        study.stderr.close()
    done = run_workbench("run", tiny_recipe, "--results", results, "--retry-failed")
    assert done.returncode == 0, done.stderr
    assert stored_records(results) == undisturbed


def wait_for_training(study: "subprocess.Popen[str]", results: Path) -> None:
    """Until a run has written a record, or all is over."""
    deadline = time.monotonic() + 90
    while study.poll() is None and time.monotonic() < deadline:
        if any(path.stat().st_size for path in results.glob("runs/*/records.jsonl")):
            return
        time.sleep(0.02)


def test_ctrl_c_stops_at_a_checkpoint_and_the_next_run_goes_on(
    tiny_recipe: Path, undisturbed: Records, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    study = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "run", str(tiny_recipe), "--results", str(results)],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_training(study, results)
    study.send_signal(signal.SIGINT)
    _, stderr = study.communicate(timeout=60)
    if study.returncode == 130:
        assert "Run the same command to go on" in stderr
        states = run_workbench("status", "--results", results, "--format", "csv").stdout
        assert "running" not in states
    else:
        assert study.returncode == 0, stderr  # it had finished
    done = run_workbench("run", tiny_recipe, "--results", results)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in stderr + done.stderr
    assert stored_records(results) == undisturbed


def test_two_orchestrators_on_one_folder_train_each_run_once(
    tiny_recipe: Path, undisturbed: Records, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    command = [sys.executable, "-m", "workbench.cli", "run", str(tiny_recipe)]
    both = [
        subprocess.Popen([*command, "--results", str(results)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    stderr = [study.communicate(timeout=200)[1] for study in both]
    assert [study.returncode for study in both] == [0, 0], stderr
    assert stored_records(results) == undisturbed
    status = run_workbench("status", "--results", results, "--format", "csv").stdout.splitlines()
    column = status[0].split(",").index("attempts")
    assert {line.split(",")[column] for line in status[1:]} == {"1"}


def test_deleting_the_store_loses_nothing(
    undisturbed_results: Path, undisturbed: Records, tmp_path: Path
) -> None:
    results = shutil.copytree(undisturbed_results, tmp_path / "results")
    os.remove(results / "workbench.duckdb")
    assert run_workbench("ingest", "--rebuild", "--results", results).returncode == 0
    assert stored_records(results) == undisturbed
