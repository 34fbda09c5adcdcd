"""When something else breaks: a clear error, and nothing lost."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Records, run_workbench, stored_records
from tests.end_to_end.killed_worker import killing


def test_a_run_that_diverges_is_marked_so_and_others_go_on(
    tiny_recipe: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    sets = ["--set", "training.lr=1e30", "--set", "training.grad_clip=1e30"]
    done = run_workbench("run", tiny_recipe, "--results", results, *sets, "--jobs", "1")
    assert done.returncode == 1
    assert "not finite" in done.stderr
    assert "log:" in done.stderr
    assert "Traceback" not in done.stderr
    status = run_workbench("status", "--results", results, "--format", "json")
    assert [row["state"] for row in json.loads(status.stdout)] == ["diverged"] * 2
    query = "SELECT count(*) n FROM metrics WHERE metric = 'train_loss' AND value IS NULL"
    sql = run_workbench("sql", query, "--results", results, "--format", "json")
    assert json.loads(sql.stdout) == [{"n": 2}], "the last loss is NULL, and is there"
    again = run_workbench("run", tiny_recipe, "--results", results, *sets)
    assert again.returncode == 1
    assert "workbench retry" in again.stderr, "it is not tried again by itself"


def test_a_truncated_checkpoint_is_named_and_the_one_before_serves(
    tiny_recipe: Path, undisturbed: Records, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    moment = "between an evaluation and its checkpoint"
    (tmp_path / "killed").mkdir()
    options = ["--set", "training.objective=ar", "--results", results]
    # Killed at step 8 with a checkpoint of step 4; then that checkpoint is cut short.
    study = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "run", str(tiny_recipe), *map(str, options)],
        env={**os.environ, **killing(tmp_path / "killed", ar=[moment])},
        stderr=subprocess.DEVNULL,
    )
    while study.poll() is None and not (tmp_path / "killed" / moment).exists():
        pass
    study.kill()
    study.wait()
    (checkpoint,) = results.glob("runs/*/checkpoint/step-4")
    if not (results / "runs").exists() or len(list(checkpoint.parent.glob("step-*"))) > 1:
        pytest.fail("the restarted worker was faster than the kill")
    for shard in checkpoint.glob("*.distcp"):
        os.truncate(shard, shard.stat().st_size // 2)
    broken = run_workbench("run", tiny_recipe, *map(str, options))
    assert broken.returncode == 1
    assert "checkpoint" in broken.stderr
    assert "cannot be read" in broken.stderr
    records = next(results.glob("runs/*/records.jsonl")).read_bytes()
    assert records, "its records stay"
    shutil.rmtree(checkpoint)
    mended = run_workbench("retry", "tiny", "--results", results)
    assert mended.returncode == 0, mended.stderr
    stored = stored_records(results)
    assert stored == {key: undisturbed[key] for key in stored}
    assert len(stored) == len(undisturbed) // 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 24 MiB large."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mount)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("stage", [pytest.param("preparing", marks=pytest.mark.long), "training"])
def test_a_full_disk_is_named_and_what_was_written_serves_once_there_is_room(
    stage: str, small_disk: Path, tiny_recipe: Path, undisturbed: Records
) -> None:
    results = small_disk / "results"
    if stage == "training":
        assert run_workbench("plan", tiny_recipe, "--results", results).returncode == 0
        prepared = run_workbench(
            *("run", tiny_recipe, "--results", results),
            *("--set", "training.seed=9", "--set", "training.objective=ar"),
        )
        assert prepared.returncode == 0, prepared.stderr
        shutil.rmtree(results / "runs")
        shutil.rmtree(results / "studies")
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    if stage == "training":  # room for the folders, not for a checkpoint
        os.truncate(filler, filler.stat().st_size - 100 * 1024)
    full = run_workbench("run", tiny_recipe, "--results", results, "--jobs", "1")
    assert full.returncode in (1, 2), full.stderr
    assert "space left" in full.stderr or "No space" in full.stderr
    assert "Traceback" not in full.stderr
    filler.unlink()
    mended = run_workbench("run", tiny_recipe, "--results", results, "--retry-failed")
    assert mended.returncode == 0, mended.stderr
    stored = stored_records(results)
    assert {key: stored[key] for key in undisturbed} == undisturbed
