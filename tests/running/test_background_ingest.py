"""The store follows the training; where it cannot, the user is told who keeps it out."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.running import background_ingest
from workbench.running.background_ingest import BackgroundIngest
from workbench.store import database_path, ingest, query

READ_FOR_EVER = """
import sys, time, duckdb
reader = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
time.sleep(60)
"""


def until(ingesting: BackgroundIngest, wanted: Callable[[list[str]], object]) -> list[str]:
    """What is said until `wanted()` or for 30 s."""
    said: list[str] = []
    end = time.monotonic() + 30
    while time.monotonic() < end and not wanted(said):
        if note := ingesting.now_and_then(["b"]):
            said.append(note)
        time.sleep(0.05)
    return said


def test_a_notebook_that_keeps_the_store_open_is_named_once_and_nothing_is_lost(
    results: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_EVERY_S", 0.1), ("_SAY_AFTER_S", 0.3), ("_LOCKED_S", 0.1)):
        monkeypatch.setattr(background_ingest, name, seconds)
    monkeypatch.setattr(background_ingest, "_LOCKED_AT_END_S", 0.2)
    make_run("a", {1: 5.0})
    ingest(results)
    ingesting = BackgroundIngest(results)
    make_run("b", {1: 6.0})
    command = [sys.executable, "-c", READ_FOR_EVER, str(database_path(results))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as notebook:
        assert notebook.stdout is not None
        assert notebook.stdout.readline() == "open\n"
        said = until(ingesting, lambda said: said)
        end = time.monotonic() + 1
        said += until(ingesting, lambda _: time.monotonic() > end)
        assert len(said) == 1
        assert f"by process {notebook.pid} (" in said[0]
        (problem,) = ingesting.everything()
        assert "the store lacks the last results" in problem
        assert f"by process {notebook.pid} (" in problem
        notebook.kill()
    before = database_path(results).stat().st_mtime_ns
    until(ingesting, lambda _: database_path(results).stat().st_mtime_ns > before)
    ingesting.stop()
    assert query(results, "SELECT count(*) FROM metrics").item() == 2
    assert ingesting.everything() == []
