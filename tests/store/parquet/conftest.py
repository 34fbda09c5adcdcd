"""A store of several runs, and the dataset made of it."""

from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.store import ingest


@pytest.fixture
def store(results: Path, make_run: MakeRun) -> Path:
    """Four runs of two objectives, two metrics, in two studies that share a run."""
    fill_store(results, make_run)
    return results


def fill_store(results: Path, make_run: MakeRun) -> None:
    """The same in any folder."""
    for number, name in enumerate("abcd"):
        objective = "mdlm" if number % 2 else "ar"
        overrides = [f"training.objective='{objective}'", f"training.seed={number}"]
        make_run(name, {1: 5.0 + number, 2: 3.0, 3: 4.0}, overrides=overrides)
        make_run(name, {2: 0.5, 3: 0.3}, metric="cloze_acc", overrides=overrides)
    make_run("a", {}, study="other")
    ingest(results)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every Parquet file of a dataset, and what changes when it is written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*.parquet")
    }
