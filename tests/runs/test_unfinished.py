"""What is written appears whole and on disk; what a killed writer left goes, and only that."""

import ast
import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.made_runs import MakeRun
from workbench.data.preparation import prepare
from workbench.recipe import DataConfig
from workbench.runs.files import check_writable, write_json
from workbench.runs.unfinished import UNFINISHED, replacing, sweep, unfinished
from workbench.store import ingest
from workbench.store.parquet.export import export_parquet

ROOT = Path(__file__).parents[2]

HOLD = """
import sys, time
from pathlib import Path
from workbench.runs.unfinished import unfinished
with unfinished(Path(sys.argv[1], "a.json")), unfinished(Path(sys.argv[1], "b"), folder=True) as b:
    (b / "inner").write_text("half")
    print("there", flush=True)
    time.sleep(60)
"""


def left_in(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{UNFINISHED}*"))


def test_what_a_writer_holds_stays_and_what_it_left_when_killed_goes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "there\n"
        (tmp_path / f"{UNFINISHED}link").symlink_to(ROOT)
        sweep(tmp_path)
        assert len(left_in(tmp_path)) == 3
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    write_json(tmp_path / "c.json", {})  # whoever writes there next sweeps
    assert [path.name for path in left_in(tmp_path)] == [f"{UNFINISHED}link"], "no link is followed"
    assert ROOT.exists()


def test_a_writer_that_was_swept_before_its_lock_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    swept: list[Path] = []

    def after_a_sweep(descriptor: int, how: int) -> None:
        if not swept:
            swept.extend(left_in(tmp_path))
            swept[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", after_a_sweep)
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("whole")
    assert swept
    assert (tmp_path / "a").read_text() == "whole"


def test_after_an_error_the_old_file_is_there_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with suppress(ZeroDivisionError), replacing(tmp_path / "a") as temporary:
        temporary.write_text(str(1 / 0))
    with unfinished(tmp_path / ("n" * 255), folder=True) as folder:
        (folder / "inner").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_everything_is_on_disk_before_its_name_and_the_name_before_the_end(
    results: Path, make_run: MakeRun, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of run folders, sealed records, items, shards, manifests, stores and datasets."""
    done: list[tuple[str, Any]] = []
    fsync, replace = os.fsync, os.replace

    def syncing(descriptor: int) -> None:
        done.append(("sync", os.stat(descriptor).st_ino))
        fsync(descriptor)

    def replacing_now(source: Path, target: Path) -> None:
        inner = [source, *Path(source).rglob("*")]
        whole = {p.stat().st_ino for p in inner if p.is_dir() or p.stat().st_size}
        replace(source, target)
        done.append(("replace", (target, whole, Path(target).parent.stat().st_ino)))

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing_now)
    make_run("a", {1: 5.0}, items=[0.1, -0.1])
    data = DataConfig(
        corpus=str(corpus), document="blank-line", unique_tokens=512, seq_len=32,
        validation_tokens=512,
    )  # fmt: skip
    prepared = prepare(data, results)
    ingest(results)
    ingest(results, rebuild=True)
    export_parquet(results, str(results / "dataset"))
    names = set()
    for place, (what, replaced) in enumerate(done):
        if what == "replace":
            target, whole, parent = replaced
            synced = [inode for kind, inode in done[:place] if kind == "sync"]
            assert whole <= set(synced), f"{target} was renamed before it was on disk"
            if Path(target).name != "status.json" and UNFINISHED not in str(target):
                after = [inode for kind, inode in done[place + 1 :] if kind == "sync"]
                assert parent in after, f"the name {target} was not synced"
            names.add(Path(target).name)
    assert names >= {
        "a", "records.parquet", "training.parquet", prepared.folder.name, "workbench.duckdb",
        "_workbench.json", "part-0.parquet",
    }  # fmt: skip


def test_a_results_folder_is_swept_when_it_is_checked(tmp_path: Path) -> None:
    places = [tmp_path, tmp_path / "data", tmp_path / "runs"]
    for place in places:
        (place / f"{UNFINISHED}12345678.x").mkdir(parents=True)
    check_writable(tmp_path)
    assert left_in(tmp_path) == []


ELSEWHERE = {
    "os.rename", "os.replace", "os.renames", "shutil.move", "tempfile.mkdtemp", "tempfile.mkstemp",
}  # fmt: skip
"""Calls that only `runs/unfinished.py` may have."""


def test_files_are_replaced_in_one_place_only() -> None:
    found = []
    for path in [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "app").rglob("*.py")]:
        if path.name == "unfinished.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ELSEWHERE:
                found.append(f"{path}:{node.lineno}")
    assert found == [], "use `replacing` or `unfinished` of workbench/runs/unfinished.py"
