"""The local launcher: workers start, end and die as asked, and never outlive what started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.running.studies import SCRIPTED, attempts, gone, make_run, wait_until
from workbench.errors import WorkbenchError
from workbench.running.launcher import Ended
from workbench.running.local import LocalLauncher
from workbench.runs.folder import RunFolder


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalLauncher]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    launcher = LocalLauncher()
    yield launcher
    launcher.close()


def start(launcher: LocalLauncher, run: RunFolder, threads: int = 1, ranks: int = 1) -> None:
    launcher.start(run, world_size=ranks, threads=threads, env={})


def ends(launcher: LocalLauncher, count: int, timeout: float = 20.0) -> dict[str, int]:
    """Exit codes of the next workers to end, by run."""
    ended: list[Ended] = []
    deadline = time.monotonic() + timeout
    while len(ended) < count and time.monotonic() < deadline:
        ended += launcher.wait(0.2)
    return {end.run_id: end.code for end in ended}


def server_of(worker: int) -> psutil.Process:
    parent = psutil.Process(worker).parent()
    assert parent is not None
    return parent


def test_exit_codes_and_signals_of_workers_are_distinguished(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    behaviours = {
        "good": "finish",
        "bad": "fail",
        "nan": "diverge",
        "segv": "crash",
        "shot": "kill",
    }
    for run_id, behaviour in behaviours.items():
        start(launcher, make_run(tmp_path, run_id, behaviour))
    codes = ends(launcher, len(behaviours))
    assert codes == {"good": 0, "bad": 1, "nan": 4, "segv": -11, "shot": -9}


def test_a_crash_of_one_worker_leaves_the_others_alone(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    calm = make_run(tmp_path, "calm", "train")
    start(launcher, calm)
    wait_until(calm.is_claimed, "a worker holds its run")
    start(launcher, make_run(tmp_path, "segv", "crash"))
    assert ends(launcher, 1) == {"segv": -11}
    assert calm.is_claimed()
    start(launcher, make_run(tmp_path, "next", "finish"))
    assert ends(launcher, 1) == {"next": 0}, "the warm parent still serves"


def test_each_thread_count_has_a_parent_with_that_environment(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    runs = {threads: make_run(tmp_path, f"t{threads}", "train") for threads in (1, 2)}
    twin = make_run(tmp_path, "twin", "train")
    for threads, run in runs.items():
        start(launcher, run, threads)
    start(launcher, twin, 2)
    for run in (*runs.values(), twin):
        wait_until(partial(attempts, run), "every worker works")
    servers = {threads: server_of(attempts(run)[0]) for threads, run in runs.items()}
    assert servers[1].pid != servers[2].pid
    assert server_of(attempts(twin)[0]).pid == servers[2].pid
    for threads, server in servers.items():
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            assert server.environ()[variable] == str(threads)
        assert f"{threads} threads" in runs[threads].log_path.read_text()


def test_runs_of_a_killed_parent_end_with_it_and_the_next_gets_a_new_one(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    run = make_run(tmp_path, "orphan", "train", "finish")
    start(launcher, run)
    wait_until(run.is_claimed, "a worker holds its run")
    wait_until(lambda: attempts(run), "it has written its id")
    launcher.wait(0.1)
    server_of(attempts(run)[0]).kill()
    assert ends(launcher, 1) == {"orphan": -9}
    assert gone(attempts(run)[0])
    assert not run.is_claimed(), "the claim goes with the worker, before its end is reported"
    start(launcher, run)
    wait_until(lambda: len(attempts(run)) == 2, "the second attempt")


def test_a_stop_during_the_imports_is_not_lost(
    launcher: LocalLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_IMPORT_S", "30")
    run = make_run(tmp_path, "early", "train")
    start(launcher, run)
    launcher.signal("early", signal.SIGTERM)
    assert ends(launcher, 1, timeout=5) == {"early": -9}
    assert attempts(run) == []


def test_a_stop_between_fork_and_its_report_is_not_lost(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    start(launcher, make_run(tmp_path, "first", "finish"))
    ends(launcher, 1)
    run = make_run(tmp_path, "prompt", "train")
    start(launcher, run)
    launcher.signal("prompt", signal.SIGTERM)  # its id has not been read yet
    codes = ends(launcher, 1, timeout=5)
    assert codes["prompt"] in (-signal.SIGTERM, 143)


def test_code_that_cannot_be_imported_is_one_clear_error(
    launcher: LocalLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_IMPORT_FAILS", "1")
    start(launcher, make_run(tmp_path, "never", "finish"))
    with pytest.raises(WorkbenchError, match=r"cannot be loaded[\s\S]*scripted worker cannot be"):
        ends(launcher, 1)


def test_close_ends_every_worker(launcher: LocalLauncher, tmp_path: Path) -> None:
    run = make_run(tmp_path, "stubborn", "stubborn")
    start(launcher, run)
    wait_until(lambda: run.status().state == "running", "it trains")
    launcher.close()
    wait_until(lambda: gone(attempts(run)[0]), "the worker is gone", timeout=3)
    assert run.status().state == "interrupted"


def test_a_warm_parent_whose_own_parent_is_already_gone_leaves_at_once() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    server = subprocess.run(
        [sys.executable, "-m", "workbench.running.warm", str(ended.pid)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **SCRIPTED},
        timeout=20,
    )
    assert server.returncode == 128 + signal.SIGKILL


@pytest.mark.slow
def test_ranks_stop_with_rank_zero_and_none_outlives_a_killed_agent(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    run = make_run(tmp_path, "ranks", "train", ranks=2)
    start(launcher, run, ranks=2)
    wait_until(lambda: run.status().state == "running", "rank 0 trains", timeout=60)
    holder = run.holder()
    assert holder is not None
    wait_until(lambda: len(attempts(run)) == 2, "both ranks work")
    agent = server_of(holder.pid)
    agent.kill()
    assert ends(launcher, 1) == {"ranks": -9}
    assert not run.is_claimed()
    wait_until(lambda: all(gone(pid) for pid in attempts(run)), "no rank is left", timeout=3)
    start(launcher, run, ranks=2)
    # Not "running": the killed attempt left that state behind, which a new claim makes valid again.
    wait_until(lambda: run.stored_status().attempts == 2, "rank 0 trains again", timeout=60)
    launcher.signal("ranks", signal.SIGTERM)
    assert ends(launcher, 1)["ranks"] != 0
    assert run.stored_status().state == "interrupted", "it was let finish its stop"


def go(launcher: LocalLauncher, run: RunFolder, kind: str | None, **env: str) -> int:
    """Train a run to its end and return its exit code."""
    launcher.start(run, world_size=1, threads=1, env=env, kind=kind)
    return ends(launcher, 1)[run.run_id]


def test_runs_of_a_kind_share_a_process_one_after_the_other(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    kinds = {"a1": "a", "b1": "b", "a2": "a", "plain": None, "b2": "b", "a3": "a"}
    runs = {name: make_run(tmp_path, name, "finish") for name in kinds}
    assert [go(launcher, run, kinds[name]) for name, run in runs.items()] == [0] * len(runs)
    process = {name: attempts(run)[0] for name, run in runs.items()}
    assert process["a1"] == process["a2"] == process["a3"]
    assert process["b1"] == process["b2"]
    assert len(set(process.values())) == 3
    for run in runs.values():
        assert run.log_path.read_text().count("attempt 1") == 1  # each in its own log
    other = make_run(tmp_path, "other", "finish")
    assert go(launcher, other, "a", CUDA_VISIBLE_DEVICES="1") == 0
    assert attempts(other) != attempts(runs["a1"]), "another environment is another kind"


def test_two_runs_of_a_kind_at_once_have_a_process_each(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    runs = [make_run(tmp_path, name, "finish") for name in ("one", "two")]
    for run in runs:
        launcher.start(run, world_size=1, threads=1, env={"SCRIPTED_TRAIN_S": "0.3"}, kind="a")
    assert ends(launcher, 2) == {"one": 0, "two": 0}
    assert attempts(runs[0]) != attempts(runs[1])


@pytest.mark.parametrize(("behaviour", "code"), [("fail", 1), ("diverge", 4), ("crash", -11)])
def test_a_process_whose_run_did_not_finish_is_not_used_again(
    launcher: LocalLauncher, tmp_path: Path, behaviour: str, code: int
) -> None:
    good, bad, next_ = (make_run(tmp_path, w, w) for w in ("finish", behaviour, "silent"))
    assert go(launcher, good, "a") == 0
    assert go(launcher, bad, "a") == code
    assert attempts(bad) == attempts(good)
    assert go(launcher, next_, "a") == 7
    assert attempts(next_) != attempts(bad)


def test_a_waiting_process_that_is_killed_is_replaced_and_none_outlives_its_parent(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    runs = [make_run(tmp_path, name, "finish") for name in ("one", "two")]
    assert go(launcher, runs[0], "a") == 0
    (waiting,) = attempts(runs[0])
    server = server_of(waiting)
    os.kill(waiting, signal.SIGKILL)
    wait_until(lambda: gone(waiting), "it is gone")
    assert go(launcher, runs[1], "a") == 0
    (waiting,) = attempts(runs[1])
    launcher.close()
    wait_until(lambda: gone(waiting) and gone(server.pid), "nothing is left")


def test_a_run_in_a_used_process_stops_at_sigterm(launcher: LocalLauncher, tmp_path: Path) -> None:
    first, second = make_run(tmp_path, "one", "finish"), make_run(tmp_path, "two", "train")
    assert go(launcher, first, "a") == 0
    launcher.start(second, world_size=1, threads=1, env={}, kind="a")
    wait_until(lambda: second.stored_status().state == "running", "it trains")
    launcher.signal("two", signal.SIGTERM)
    assert ends(launcher, 1) == {"two": 143}
    assert second.stored_status().state == "interrupted"


def test_only_so_many_processes_wait(launcher: LocalLauncher, tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name, "finish") for name in "abcde"]
    for run in runs:
        assert go(launcher, run, run.run_id) == 0
    alive = [run.run_id for run in runs if not gone(attempts(run)[0])]
    assert alive == ["c", "d", "e"]
