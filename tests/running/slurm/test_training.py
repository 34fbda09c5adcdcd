"""Real training on a real Slurm: from submit to crossover, with what can go wrong on the way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import RECIPE
from tests.end_to_end.conftest import Records, run_workbench, stored_records
from tests.running.slurm.cluster import Cluster
from tests.running.slurm.held_worker import PAUSED_AT
from tests.running.slurm.jobs import (
    element_of,
    keeper_of,
    submit_runs,
    wait_for_attempt,
    wait_for_state,
)
from tests.running.studies import SCRIPTED, attempts, gone, make_run, wait_until
from workbench.runs.folder import RunFolder, list_runs

REPOSITORY = Path(__file__).parents[3]
PAUSED = {
    "WORKBENCH_WORKER_MODULE": "tests.running.slurm.held_worker",
    "PYTHONPATH": str(REPOSITORY),
}


def start_workbench(*arguments: str | Path, env: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


@dataclass
class Disturbed:
    """What became of a study whose runs were disturbed at step 7, and of two scripted runs."""

    results: Path
    runs: dict[str, RunFolder]
    """By what befell them: warned or node, and of the scripted ones limit or step."""
    code: int
    stderr: str
    undisturbed: Records


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    text = RECIPE.format(corpus=corpus)
    path.write_text(text.replace("log_every = 1", "log_every = 1\ncheckpoint_every = 4"))
    return path


@pytest.fixture(scope="module")
def disturbed(
    slurm: Cluster, study: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disturbed]:
    results, quiet = (tmp_path_factory.mktemp(name) for name in ("disturbed", "undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm.conf))
        patch.setenv("XDG_CONFIG_HOME", str(quiet))
        following = start_workbench(
            *("run", study, "--results", results, "--launcher", "slurm", "--wait"), env=PAUSED
        )
        try:
            wait_until(lambda: len(list_runs(results)) == 2, "the run folders are made", 60)
            both = list_runs(results)
            wait_until(lambda: all(is_paused(run) for run in both), "both runs are at step 7", 90)
            runs = befall(slurm, both, tmp_path_factory.mktemp("scripted"))
            done = run_workbench("run", study, "--results", quiet)
            assert done.returncode == 0, done.stderr
            _, stderr = following.communicate(timeout=120)
            for how in ("limit", "step"):
                wait_for_state(runs[how], "finished", 60)
            slurm.clear()
            yield Disturbed(results, runs, following.returncode, stderr, stored_records(quiet))
        finally:
            following.kill()
            following.wait()
            slurm.clear()


def is_paused(run: RunFolder) -> bool:
    return (run.path / "paused").exists()


def befall(slurm: Cluster, runs: list[RunFolder], scripted: Path) -> dict[str, RunFolder]:
    """Warn one run and kill the other's node with all that is on it. On the node that lives, a
    scripted run reaches its time limit, and another loses its step."""
    warned, lost = runs
    alive, dead = (node_of(slurm, run) for run in (warned, lost))
    assert alive != dead
    limit, step = (make_run(scripted, name, "train", "finish") for name in ("limit", "step"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SCRIPTED.items():
            patch.setenv(name, value)
        # A minute is the least limit that Slurm knows; its warning comes a few seconds into it.
        submit_runs(limit, time="1", warning=57, options=[f"--nodelist={alive}"])
        submit_runs(step, options=[f"--nodelist={alive}"])
    worker = holder_pid(lost)
    slurm.kill(dead)
    psutil.Process(keeper_of(worker)).kill()
    wait_until(lambda: gone(worker), "no worker outlives its node", 10)
    slurm.run("scancel", "--batch", "--signal=USR1", element_of(warned).job)
    wait_for_attempt(step)
    (worker,) = attempts(step)
    psutil.Process(keeper_of(worker)).kill()
    wait_until(lambda: gone(worker), "no worker outlives its step", 10)
    return {"warned": warned, "node": lost, "limit": limit, "step": step}


def node_of(slurm: Cluster, run: RunFolder) -> str:
    return slurm.run("squeue", "-h", "-j", element_of(run).job, "-o", "%N").strip()


def holder_pid(run: RunFolder) -> int:
    holder = run.holder()
    assert holder is not None
    return holder.pid


def test_a_study_is_followed_to_its_end_over_a_warning_and_a_killed_node(
    disturbed: Disturbed,
) -> None:
    assert disturbed.code == 0, disturbed.stderr
    assert "tiny: 2 finished" in disturbed.stderr


@pytest.mark.parametrize("how", ["warned", "node", "limit", "step"])
def test_a_disturbed_run_is_started_once_more_and_finishes(how: str, disturbed: Disturbed) -> None:
    status = disturbed.runs[how].status()
    assert (status.state, status.attempts) == ("finished", 2)


def test_the_warned_run_went_on_from_a_checkpoint_of_that_moment(disturbed: Disturbed) -> None:
    log = disturbed.runs["warned"].log_path.read_text()
    assert f"Loading the checkpoint at step {PAUSED_AT}" in log or f"step-{PAUSED_AT}" in log
    # The others lost what came after the last regular checkpoint.
    assert f"step-{PAUSED_AT}" not in disturbed.runs["node"].log_path.read_text()


def test_the_numbers_are_those_of_an_undisturbed_study_bit_for_bit(disturbed: Disturbed) -> None:
    assert len(disturbed.undisturbed) == 2 * (12 * 3 + 4 * 4)
    assert stored_records(disturbed.results) == disturbed.undisturbed


def test_the_crossover_of_a_disturbed_study_can_be_asked_for(disturbed: Disturbed) -> None:
    asked = ("crossover", "tiny", "--metric", "val_loss", "--format", "json")
    done = run_workbench(*asked, "--results", disturbed.results)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["baseline"], row["challenger"]) == ("ar", "mdlm")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A run of 20 steps on two ranks, each on a node of its own under Slurm."""
    recipe = tmp_path_factory.mktemp("recipe") / "wide.toml"
    text = RECIPE.format(corpus=corpus).replace("6_144", "10_240").partition("[sweep]")[0]
    nodes = "[parallelism]\nshard = 2\n[launcher.slurm]\nnodes = 2\ncpus_per_node = 1\n"
    recipe.write_text(text + nodes)
    return recipe


@pytest.fixture(scope="module", autouse=True)
def started_on_one_node(
    wide: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """The wide run on this machine alone, begun first: the other tests wait much for Slurm."""
    results = tmp_path_factory.mktemp("one")
    process = start_workbench("run", wide, "--results", results, env={})
    yield process, results
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def on_one_node(started_on_one_node: tuple["subprocess.Popen[str]", Path]) -> Records:
    process, results = started_on_one_node
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return stored_records(results)


def agree(expected: Records, records: Records) -> bool:
    return expected.keys() == records.keys() and records == {
        key: pytest.approx(value, abs=1e-4) for key, value in expected.items()
    }


def test_a_run_over_two_nodes_has_the_numbers_of_one_node(
    cluster: Cluster, wide: Path, on_one_node: Records, tmp_path: Path
) -> None:
    results = ("--results", tmp_path)
    done = run_workbench("run", wide, *results, "--launcher", "slurm", "--wait")
    assert done.returncode == 0, done.stderr
    (run,) = list_runs(tmp_path)
    job = cluster.run("scontrol", "show", "job", "-o", element_of(run).job)
    assert "NumNodes=2" in job
    assert "NodeList=n[1-2]" in job
    records = stored_records(tmp_path)
    assert max(key[2] for key in records) == 20
    assert agree(on_one_node, records)


def test_a_warning_reaches_the_ranks_of_all_nodes_and_the_run_goes_on_on_one(
    cluster: Cluster, wide: Path, on_one_node: Records, tmp_path: Path
) -> None:
    results = ("--results", tmp_path)
    submitted = start_workbench("run", wide, *results, "--launcher", "slurm", env=PAUSED)
    assert submitted.wait(timeout=60) == 0
    (run,) = list_runs(tmp_path)
    wait_until(lambda: is_paused(run), "the run is at step 7", 90)
    cluster.run("scancel", "--batch", "--signal=USR1", element_of(run).job)
    wait_for_state(run, "interrupted", 30)
    assert run.status().step in (PAUSED_AT, PAUSED_AT + 1)
    cluster.run("scancel", element_of(run).job)
    done = run_workbench("run", wide, *results)
    assert done.returncode == 0, done.stderr
    assert run.status().attempts == 2
    assert agree(on_one_node, stored_records(tmp_path))
