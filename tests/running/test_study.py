"""The orchestrator with scripted workers: real processes, real signals, no torch."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.running.studies import SCRIPTED, attempts, gone, make_run, wait_until
from workbench.errors import InputError, WorkbenchError
from workbench.recipe import load_recipe
from workbench.running.control import cancel, retry
from workbench.running.run_report import RunReport
from workbench.running.status import status_rows
from workbench.running.study import run_study, train_folders
from workbench.runs.files import check_writable, write_json
from workbench.runs.folder import RunFolder
from workbench.store import query


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)


def train(
    *runs: RunFolder, jobs: int = 2, keep_going: bool = True, retry_failed: bool = False
) -> RunReport:
    return train_folders(
        "scripted",
        {run.run_id: run for run in runs},
        runs[0].results,
        jobs=jobs,
        keep_going=keep_going,
        retry_failed=retry_failed,
    )


def orchestrator(results: Path, jobs: int = 1) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.running.studies", str(results), str(jobs)],
        stderr=subprocess.PIPE,
        text=True,
    )


def write_study(results: Path, *runs: RunFolder) -> None:
    (results / "studies").mkdir(exist_ok=True)
    study = {"name": "scripted", "question": "?", "source": None, "compare": {}, "recipe": ""}
    ids = [run.run_id for run in runs]
    write_json(results / "studies" / "scripted.json", study | {"run_ids": ids})


def test_every_kind_of_end_is_recorded_and_lands_in_the_store(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behaviours = ("finish", "fail", "diverge", "silent")
    runs = {behaviour: make_run(results, behaviour, behaviour) for behaviour in behaviours}
    report = train(*runs.values())
    assert report.finished == ["finish"]
    assert sorted(report.failed) == ["fail", "silent"]
    assert report.diverged == ["diverge"]
    assert not report.ok
    stderr = capsys.readouterr().err
    assert "finished   finish ar 0.2M U=12,800 seed 0, val_loss 2.5000" in stderr
    assert "    ValueError: scripted to fail" in stderr
    assert str(runs["fail"].log_path) in stderr
    assert "diverged   diverge" in stderr
    assert runs["silent"].status().error == "the worker ended with status 7"
    states = dict(query(results, "SELECT run_id, state FROM runs").iter_rows())
    assert states == {
        "finish": "finished", "fail": "failed", "diverge": "diverged", "silent": "failed",
    }  # fmt: skip
    assert query(results, "SELECT value FROM metrics WHERE run_id = 'finish'").item() == 2.5


def test_finished_runs_are_skipped_and_failed_ones_only_tried_on_request(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = make_run(results, "good", "finish"), make_run(results, "bad", "fail", "finish")
    train(good, bad)
    report = train(good, bad)
    assert (report.skipped, report.failed) == (["good"], ["bad"])
    assert "workbench retry scripted" in capsys.readouterr().err
    report = train(good, bad, retry_failed=True)
    assert (report.skipped, report.finished, report.ok) == (["good"], ["bad"], True)
    assert len(attempts(good)) == 1
    assert bad.status().attempts == 2
    assert bad.status().error is None


def test_retry_and_status_work_from_the_folders_alone(results: Path) -> None:
    good, bad = make_run(results, "good", "finish"), make_run(results, "bad", "fail", "finish")
    write_study(results, good, bad)
    train(good, bad)
    states = {row["run_id"]: row["state"] for row in status_rows(results, "scripted")}
    assert states == {"good": "finished", "bad": "failed"}
    again = retry(results, "bad", jobs=1)
    assert isinstance(again, RunReport)
    assert again.finished == ["bad"]
    with pytest.raises(InputError, match="scripted"):
        retry(results, "scripte")


def test_a_killed_worker_is_started_again_but_not_for_ever(results: Path) -> None:
    unlucky = make_run(results, "unlucky", "kill", "crash", "finish")
    doomed = make_run(results, "doomed", "kill")
    report = train(unlucky, doomed)
    assert (report.finished, report.failed) == (["unlucky"], ["doomed"])
    assert len(attempts(doomed)) == 3
    assert (doomed.status().error or "").startswith("the worker ended by signal 9, as the kernel")


def test_fail_fast_starts_nothing_more(results: Path) -> None:
    bad, later = make_run(results, "bad", "fail"), make_run(results, "later", "finish")
    report = train(bad, later, jobs=1, keep_going=False)
    assert (report.failed, report.waiting) == (["bad"], ["later"])
    assert later.status().state == "planned"


def test_jobs_is_how_many_train_at_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTED_TRAIN_S", "0.3")
    runs = [make_run(results, f"r{n}", "finish") for n in range(4)]
    most = 0
    finished = threading.Event()

    def watch() -> None:
        nonlocal most
        while not finished.wait(0.02):
            most = max(most, sum(run.is_claimed() for run in runs))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert train(*runs, jobs=2).ok
    finished.set()
    watcher.join()
    assert most == 2


def test_the_next_run_starts_within_tenths_of_a_second(results: Path) -> None:
    runs = [make_run(results, f"r{n:02}", "finish") for n in range(20)]
    assert train(*runs, jobs=1).ok
    spans = sorted((run.stored_status().updated or 0.0) for run in runs)
    assert (spans[-1] - spans[0]) / (len(runs) - 1) < 0.2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_stop_lets_workers_finish_their_step_and_says_how_to_go_on(
    results: Path, number: signal.Signals
) -> None:
    runs = [make_run(results, name, "train", "finish") for name in ("one", "two", "wait")]
    study = orchestrator(results, jobs=2)
    wait_until(lambda: runs[0].is_claimed() and runs[1].is_claimed(), "both train")
    wait_until(lambda: all(r.status().state == "running" for r in runs[:2]), "both say so")
    study.send_signal(number)
    _, stderr = study.communicate(timeout=10)
    assert study.returncode == 130
    assert "Run the same command to go on" in stderr
    assert [run.stored_status().state for run in runs] == ["interrupted", "interrupted", "planned"]
    assert all(gone(pid) for run in runs for pid in attempts(run))
    (runs[2].path / "behaviour").write_text("finish")
    assert train(*runs).ok


def test_a_second_stop_kills(results: Path) -> None:
    run = make_run(results, "stubborn", "stubborn")
    study = orchestrator(results)
    wait_until(lambda: run.status().state == "running", "it trains")
    study.send_signal(signal.SIGINT)
    time.sleep(0.6)
    assert study.poll() is None
    study.send_signal(signal.SIGINT)
    study.communicate(timeout=10)
    assert study.returncode == 130
    assert gone(attempts(run)[0])
    assert run.status().state == "interrupted"


@pytest.mark.parametrize(
    ("names", "processes"),
    [(("one", "two"), 2), (("one", "three", "two"), 3)],
    ids=["workers alone", "a warm parent and its workers"],
)
def test_no_process_outlives_an_orchestrator_that_was_killed(
    results: Path, names: tuple[str, ...], processes: int
) -> None:
    runs = [make_run(results, name, "train", "finish") for name in names[:2]]
    runs += [make_run(results, name, "finish") for name in names[2:]]  # waits for a slot
    study = orchestrator(results, jobs=2)
    wait_until(lambda: sum(bool(r.stored_status().attempts) for r in runs) == 2, "two train")
    family = psutil.Process(study.pid).children(recursive=True)
    assert len(family) == processes
    study.kill()
    study.communicate()
    wait_until(lambda: all(gone(process.pid) for process in family), "all are gone", timeout=3)
    assert train(*runs).ok


@pytest.mark.slow
def test_an_orchestrator_killed_during_the_imports_leaves_nothing_either(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_IMPORT_S", "30")
    run = make_run(results, "one", "train", ranks=2)
    study = orchestrator(results, jobs=2)
    wait_until(lambda: len(_family(study.pid)) == 3, "torchrun and its ranks", timeout=60)
    family = _family(study.pid)
    study.kill()
    study.communicate()
    wait_until(lambda: all(gone(process.pid) for process in family), "all are gone", timeout=5)
    assert attempts(run) == []


def _family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_two_orchestrators_share_the_work_and_train_nothing_twice(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_TRAIN_S", "0.05")
    runs = [make_run(results, f"r{n:02}", "finish") for n in range(12)]
    both = [orchestrator(results, jobs=2) for _ in range(2)]
    stderr = [study.communicate(timeout=30)[1] for study in both]
    assert [study.returncode for study in both] == [0, 0], stderr
    assert [len(attempts(run)) for run in runs] == [1] * 12


def test_a_run_that_fails_in_another_process_is_not_tried_again_here(results: Path) -> None:
    run = make_run(results, "claimed", "fail")
    study = None
    with run.claim():
        study = orchestrator(results)
        time.sleep(0.8)
        assert study.poll() is None, "it waits for the other"
        run.write_status(state="failed", error="failed in the other")
    _, stderr = study.communicate(timeout=10)
    assert study.returncode == 1
    assert "failed in the other" in stderr
    assert attempts(run) == []


def test_a_run_that_another_orchestrator_leaves_unfinished_is_taken_over(results: Path) -> None:
    run = make_run(results, "claimed", "finish")
    with run.claim():
        run.write_status(state="running")
        study = orchestrator(results)
        time.sleep(0.8)
        assert attempts(run) == []
    _, stderr = study.communicate(timeout=10)
    assert study.returncode == 0, stderr
    assert len(attempts(run)) == 1


def test_cancel_stops_a_run_for_good_and_a_waiting_one_never_starts(results: Path) -> None:
    first, second = make_run(results, "first", "train"), make_run(results, "second", "finish")
    write_study(results, first, second)
    study = orchestrator(results)
    wait_until(lambda: first.status().state == "running", "the first trains")
    cancel(results, "second")
    cancel(results, "first")
    _, stderr = study.communicate(timeout=10)
    assert study.returncode == 1
    assert "2 cancelled" in stderr
    assert [first.status().state, second.status().state] == ["cancelled", "cancelled"]
    assert attempts(second) == []
    assert train(first, second).cancelled == ["first", "second"]


def test_a_cancel_while_workers_are_imported_is_obeyed_and_disturbs_no_other(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_IMPORT_S", "1")
    runs = [make_run(results, name, "finish") for name in ("first", "second", "third")]
    write_study(results, *runs)
    study = orchestrator(results)
    assert study.stderr is not None
    assert "started" in study.stderr.readline()
    assert cancel(results, "first") == ["first: cancelled."]
    _, stderr = study.communicate(timeout=30)
    assert "2 finished, 1 cancelled" in stderr
    assert [run.status().state for run in runs] == ["cancelled", "finished", "finished"]
    assert [len(attempts(run)) for run in runs] == [0, 1, 1]
    assert cancel(results, "scripted") == ["scripted: nothing to cancel."]


def test_training_code_that_cannot_be_imported_is_reported_once_and_fails_no_run(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_IMPORT_FAILS", "1")
    runs = [make_run(results, name, "finish") for name in ("one", "two")]
    with pytest.raises(WorkbenchError, match="cannot be loaded"):
        train(*runs, jobs=1)
    assert [run.status().state for run in runs] == ["planned", "planned"]


def test_a_wrong_request_is_refused_before_anything_is_written(recipe: Path, results: Path) -> None:
    with pytest.raises(InputError, match="--jobs 1"):
        run_study(load_recipe(recipe, ["parallelism.shard=2"]), results, jobs=1)
    with pytest.raises(InputError, match="no such file"):
        run_study(load_recipe(recipe, ['data.corpus="/nowhere/x.txt"']), results)
    assert not results.exists()


def test_a_results_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "results", Path("/proc/results")):
        with pytest.raises(InputError, match="cannot be written"):
            check_writable(folder)


def test_a_study_is_prepared_and_described_in_its_files(recipe: Path, results: Path) -> None:
    # The scripted workers find no `behaviour` here, and fail: only the files matter.
    report = run_study(load_recipe(recipe), results, jobs=2)
    study = json.loads((results / "studies" / "tiny.json").read_text())
    assert sorted(study["run_ids"]) == sorted(report.failed)
    assert study["recipe"] == recipe.read_text()
    for run_id in study["run_ids"]:
        document = RunFolder(results / "runs" / run_id).config_json()
        assert document["run_id"] == run_id
        assert (results / document["data"]["folder"] / "manifest.json").exists()
        assert document["derived"]["steps"] == 12
    assert os.listdir(results / "runs") != []
