"""Run folders: whole or absent, one holder at a time, a state that is true after any crash."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from workbench.errors import InputError, WorkbenchError
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder, list_runs
from workbench.runs.lock import AlreadyClaimed


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, "0123456789ab", {"schema": 1}, {"host": "here"})


def in_process(run: RunFolder, code: str) -> "subprocess.Popen[str]":
    """A process that runs `code` on `run`; it says a line, and then waits for us."""
    program = f"""
import sys, time
from pathlib import Path
from workbench.runs.folder import RunFolder
run = RunFolder(Path({str(run.path)!r}))
{code}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


HOLD = """
with run.claim():
    run.write_status(state="running")
    print("here", flush=True)
    sys.stdin.read()
"""


def finish(process: "subprocess.Popen[str]", *, kill: bool = False) -> None:
    if kill:
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)


def test_create_makes_the_folder_whole_and_leaves_an_existing_one(
    run: RunFolder, tmp_path: Path
) -> None:
    assert run.config_json() == {"schema": 1}
    assert json.loads(run.provenance_path.read_text()) == {"host": "here"}
    assert run.status().state == "planned"
    run.write_status(state="finished")
    again = RunFolder.create(tmp_path, run.run_id, {"schema": 1, "other": True}, {})
    assert again.config_json() == {"schema": 1}
    assert again.status().state == "finished"


def test_many_who_create_one_run_at_once_get_one_folder(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    errors: list[Exception] = []

    def create() -> None:
        barrier.wait()
        try:
            RunFolder.create(tmp_path, "ab", {"schema": 1}, {})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["ab"]


def test_a_folder_that_was_being_made_is_no_run(run: RunFolder, tmp_path: Path) -> None:
    (run.path.parent / ".cdef-x1").mkdir()
    (run.path.parent / ".cdef-x1" / "config.json").write_text("{}")
    (run.path.parent / "empty").mkdir()
    assert [listed.run_id for listed in list_runs(tmp_path)] == [run.run_id]
    assert list_runs(tmp_path / "absent") == []


def test_only_one_process_holds_a_claim_and_the_holder_is_known(run: RunFolder) -> None:
    assert not run.is_claimed()
    assert run.holder() is None
    process = in_process(run, HOLD)
    assert run.is_claimed()
    holder = run.holder()
    assert holder is not None
    assert (holder.pid, holder.host) == (process.pid, os.uname().nodename)
    with pytest.raises(AlreadyClaimed, match=run.run_id), run.claim():
        pass
    finish(process)
    with run.claim():
        holder = run.holder()
        assert holder is not None
        assert holder.pid == os.getpid()


def test_a_killed_holder_lets_go_and_its_run_is_interrupted(run: RunFolder) -> None:
    process = in_process(run, HOLD)
    assert run.status().state == "running"
    finish(process, kill=True)
    assert run.stored_status().state == "running", "it had no chance to say otherwise"
    assert run.status().state == "interrupted"
    assert run.holder() is None
    with run.claim():
        pass


def test_an_id_that_was_given_to_another_process_is_not_the_holder(run: RunFolder) -> None:
    with run.claim():
        signed = json.loads(run.lock_path.read_text())
        run.lock_path.write_text(json.dumps(signed | {"started": signed["started"] - 1}))
        assert run.is_claimed()
        assert run.holder() is None


def test_looking_does_not_disturb_a_claim(run: RunFolder) -> None:
    process = in_process(run, "print('here', flush=True)\nfor _ in range(20_000): run.is_claimed()")
    for _ in range(200):
        with run.claim():
            assert run.is_claimed()
    finish(process, kill=True)


def test_a_run_asked_to_stop_for_good_is_cancelled_once_nobody_holds_it(run: RunFolder) -> None:
    process = in_process(run, HOLD)
    run.request_cancel()
    assert run.status().state == "running"
    finish(process, kill=True)
    assert run.status().state == "cancelled"
    run.plan_again()
    assert run.status().state == "planned"


@pytest.mark.parametrize("state", ["finished", "failed", "diverged"])
def test_a_run_that_has_come_to_its_end_keeps_it_whatever_is_asked_of_it(
    state: str, run: RunFolder
) -> None:
    run.write_status(state=state, error="its own")
    run.request_cancel()
    assert run.settle("cancelled").state == state
    assert run.stored_status().error == "its own"
    assert not run.cancel_path.exists()


def test_only_who_has_the_lock_brings_a_run_to_an_end(run: RunFolder) -> None:
    process = in_process(run, HOLD)
    with pytest.raises(AlreadyClaimed):
        run.settle("failed", "killed")
    finish(process, kill=True)
    assert run.settle("failed", "killed").error == "killed"
    run.plan_again()
    run.request_cancel()
    assert run.settle("failed", "killed").state == "cancelled"


def test_a_run_that_is_cancelled_while_it_is_submitted_stays_cancelled(run: RunFolder) -> None:
    run.request_cancel()
    asked = run.cancel_request()
    assert run.plan_again("submitted", answered=asked), "this request is what is answered"
    run.request_cancel()
    assert not run.plan_again("submitted", answered=0)
    assert run.status().state == "cancelled"


def test_plan_again_leaves_a_finished_run_and_a_claimed_one(run: RunFolder) -> None:
    run.write_status(state="finished", finished=1.0)
    run.plan_again()
    assert run.status().state == "finished"
    run.write_status(state="failed")
    process = in_process(run, HOLD)
    with pytest.raises(AlreadyClaimed):
        run.plan_again()
    finish(process)


def test_status_is_whole_whenever_its_writer_is_killed(run: RunFolder) -> None:
    code = "print('here', flush=True)\nn = 0\nwhile True:\n    n += 1; run.write_status(step=n)"
    steps = []
    for _ in range(5):
        process = in_process(run, code)
        for _ in range(50):
            run.stored_status()
        while run.stored_status().step == 0:  # on a busy machine
            assert process.poll() is None
        finish(process, kill=True)
        steps.append(run.stored_status().step)
    assert min(steps) > 0


def test_a_status_of_a_newer_workbench_can_be_read(run: RunFolder) -> None:
    write_json(run.status_path, {"state": "finished", "colour": "green"})
    assert run.status().state == "finished"


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "is missing"), ("{", "cannot be read"), ("[]", "expected a JSON object")],
)
def test_a_damaged_file_is_named(run: RunFolder, text: str | None, message: str) -> None:
    run.status_path.unlink()
    if text is not None:
        run.status_path.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        run.status()
    assert str(run.status_path) in str(refused.value)


@pytest.mark.parametrize("schema", [2, None, "1"])
def test_a_config_of_another_schema_is_refused(run: RunFolder, schema: object) -> None:
    write_json(run.config_path, {"schema": schema})
    with pytest.raises(InputError, match="Upgrade the workbench"):
        run.config_json()


def test_last_value_skips_torn_lines_and_other_metrics(run: RunFolder) -> None:
    assert run.last_value("val_loss") is None
    lines = [json.dumps({"metric": m, "value": v}) for m, v in (("val_loss", 3.0), ("lr", 0.1))]
    run.records_path.write_text("\n".join(lines) + '\n{"metric": "val_loss", "va')
    assert run.last_value("val_loss") == 3.0


def test_the_end_of_a_large_log_is_read_without_the_rest(run: RunFolder) -> None:
    assert run.last_log_lines() == []
    run.log_path.write_text("".join(f"line {n}\n" for n in range(50_000)))
    assert run.last_log_lines(2) == ["line 49998", "line 49999"]


def test_a_full_disk_leaves_the_old_status_and_says_so(run: RunFolder) -> None:
    run.write_status(step=7)
    # The kernel refuses to let any file grow past this, as it does on a full disk.
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limit[1]))
    try:
        with pytest.raises(WorkbenchError, match=os.strerror(errno.EFBIG)) as refused:
            run.write_status(step=8)
        with pytest.raises(WorkbenchError, match="cannot be"):
            RunFolder.create(run.results, "ff", {"schema": 1, "x": "y" * 99}, {})
        with run.claim():
            assert run.is_claimed(), "a claim needs no room"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert "status.json" in str(refused.value)
    assert run.status().step == 7
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.json", "lock", "provenance.json", "status.json",
    ]  # fmt: skip
    assert [path.name for path in run.path.parent.iterdir()] == [run.run_id]
