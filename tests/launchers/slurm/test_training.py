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
from tests.launchers.slurm.cluster import Cluster
from tests.launchers.slurm.held_worker import HELD_AT
from tests.launchers.slurm.jobs import element_of, keeper_of
from tests.launchers.studies import gone, wait_until
from workbench.runs import RunFolder, list_runs

REPOSITORY = Path(__file__).parents[3]
HELD = {
    "WORKBENCH_WORKER_MODULE": "tests.launchers.slurm.held_worker",
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
    """A study of which one run was warned, one lost its node and one its step, all at step 7."""

    results: Path
    runs: dict[str, RunFolder]
    """By what befell them: warned, node, step."""
    code: int
    said: str
    undisturbed: Records


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    text = RECIPE.format(corpus=corpus)
    text = text.replace('["ar", "mdlm"]', '["ar", "mdlm", "aoar"]')
    text = text.replace("log_every = 1", "log_every = 1\ncheckpoint_every = 4")
    # A minute is the least limit that Slurm knows; the warning comes a few seconds into it.
    path.write_text(text + "\n[launcher.slurm]\ntime = 1\nwarning = 50\n")
    return path


@pytest.fixture(scope="module")
def disturbed(
    slurm: Cluster, study: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disturbed]:
    results = tmp_path_factory.mktemp("disturbed")
    quiet = tmp_path_factory.mktemp("undisturbed")
    env = {"SLURM_CONF": str(slurm.conf), "XDG_CONFIG_HOME": str(quiet)}
    following = start_workbench(
        *("run", study, "--results", results, "--launcher", "slurm", "--wait"),
        env={**env, **HELD},
    )
    try:
        wait_until(lambda: len(list_runs(results)) == 3, "the run folders are made", 60)
        found = list_runs(results)
        wait_until(lambda: all(held(run) for run in found), "every run is held at step 7", 60)
        runs = befall(slurm, found)
        done = run_workbench("run", study, "--results", quiet)
        assert done.returncode == 0, done.stderr
        _, said = following.communicate(timeout=150)
        slurm.clear()
        yield Disturbed(results, runs, following.returncode, said, stored_records(quiet))
    finally:
        following.kill()
        following.wait()
        slurm.clear()


def held(run: RunFolder) -> bool:
    return (run.path / "held").exists()


def befall(slurm: Cluster, found: list[RunFolder]) -> dict[str, RunFolder]:
    """Kill a node with all that is on it, and the step of another run; leave the third."""
    nodes = {run.run_id: node_of(slurm, run) for run in found}
    lonely = next(node for node in nodes.values() if list(nodes.values()).count(node) == 1)
    on_it = next(run for run in found if nodes[run.run_id] == lonely)
    with_step, warned = (run for run in found if run is not on_it)
    workers = [holder_pid(run) for run in (on_it, with_step)]
    slurm.kill(lonely)
    psutil.Process(keeper_of(workers[0])).kill()
    psutil.Process(keeper_of(workers[1])).kill()
    wait_until(lambda: all(gone(pid) for pid in workers), "no worker outlives its step", 10)
    return {"node": on_it, "step": with_step, "warned": warned}


def node_of(slurm: Cluster, run: RunFolder) -> str:
    return slurm.run("squeue", "-h", "-j", element_of(run).job, "-o", "%N").strip()


def holder_pid(run: RunFolder) -> int:
    holder = run.holder()
    assert holder is not None
    return holder.pid


def test_a_study_survives_a_killed_node_a_killed_step_and_the_time_limit(
    disturbed: Disturbed,
) -> None:
    assert disturbed.code == 0, disturbed.said
    assert "tiny: 3 finished" in disturbed.said
    statuses = {how: run.status() for how, run in disturbed.runs.items()}
    assert {how: (s.state, s.attempts) for how, s in statuses.items()} == {
        "node": ("finished", 2), "step": ("finished", 2), "warned": ("finished", 2),
    }  # fmt: skip


def test_the_warned_run_went_on_from_a_checkpoint_of_that_moment(disturbed: Disturbed) -> None:
    log = disturbed.runs["warned"].log_path.read_text()
    assert f"Loading the checkpoint at step {HELD_AT}" in log or f"step-{HELD_AT}" in log
    # The others lost what came after the last regular checkpoint.
    assert f"step-{HELD_AT}" not in disturbed.runs["node"].log_path.read_text()


def test_the_numbers_are_those_of_an_undisturbed_study_bit_for_bit(disturbed: Disturbed) -> None:
    assert len(disturbed.undisturbed) == 3 * (12 * 3 + 4 * 4)
    assert stored_records(disturbed.results) == disturbed.undisturbed


def test_the_crossover_of_a_disturbed_study_can_be_asked_for(disturbed: Disturbed) -> None:
    asked = ("crossover", "tiny", "--metric", "val_loss", "--format", "json")
    done = run_workbench(*asked, "--results", disturbed.results)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["baseline"], row["challenger"]) == ("ar", "mdlm")


def test_a_run_over_two_nodes_has_the_numbers_of_one_node(
    cluster: Cluster, corpus: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "wide.toml"
    text = RECIPE.format(corpus=corpus).replace("6_144", "10_240").partition("[sweep]")[0]
    recipe.write_text(
        text + "[parallelism]\nshard = 2\n[launcher.slurm]\nnodes = 2\ncpus_per_node = 1\n"
    )
    alone = start_workbench("run", recipe, "--results", tmp_path / "one", env={})
    done = run_workbench(
        *("run", recipe, "--results", tmp_path / "two", "--launcher", "slurm", "--wait")
    )
    assert done.returncode == 0, done.stderr
    assert alone.wait(timeout=120) == 0, alone.stderr
    (run,) = list_runs(tmp_path / "two")
    log = cluster.run("scontrol", "show", "job", "-o", element_of(run).job)
    assert "NumNodes=2" in log
    assert "NodeList=n[1-2]" in log
    one, two = (stored_records(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert max(key[2] for key in two) == 20
    assert two == {key: pytest.approx(value, abs=1e-4) for key, value in one.items()}
