"""The items of runs, read from run folders and from a dataset alike."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.made_runs import MakeRun
from tests.store.parquet.conftest import files
from workbench.errors import InputError
from workbench.runs.folder import RunFolder
from workbench.runs.items import SCHEMA, Items, ItemsFile, items_of, write_evaluated
from workbench.store import ingest, query
from workbench.store.items import read_items_of
from workbench.store.parquet.export import export_parquet
from workbench.store.parquet.layout import bucket_of, part_path


def windows(shift: float, noise: bool = False) -> Items:
    """Four windows of two documents."""
    total_N = np.array([1.0, 2.0, 3.0, 4.0]) + shift
    variance_N = np.full(4, 0.25) if noise else None
    return Items(np.array([0, 0, 1, 1]), total_N, np.full(4, 8.0), np.ones(4), variance_N)


def write_items(run: RunFolder, shift: float, *, draws: int | None = None) -> None:
    """Items of val_loss at two steps and of cloze_acc at one, and of a later evaluation."""
    estimator = "nll" if draws is None else "nelbo"
    file = ItemsFile(run.items_dir)
    run.items_dir.mkdir(exist_ok=True)
    for step in (1, 2):
        items = windows(shift + step, noise=draws is not None)
        file.add(items.frame(step, "val_loss", estimator, draws))
    file.add(windows(shift).frame(2, "cloze_acc", estimator, draws))
    file.write()
    later = windows(shift, noise=draws is not None)
    write_evaluated(run.items_dir, later.frame(3, "val_loss", estimator, draws))


def test_items_of_a_metric_are_those_of_all_files_of_each_run(
    results: Path, make_run: MakeRun
) -> None:
    write_items(make_run("a", {1: 1.0}), 0.0)
    write_items(make_run("b", {1: 1.0}), 5.0, draws=2)
    make_run("old", {1: 1.0})
    read = read_items_of(results, ["a", "b", "old", "gone"], "val_loss")
    assert set(read) == {"a", "b"}
    assert all(frame.schema == SCHEMA for frame in read.values())
    assert read["a"]["step"].unique().sort().to_list() == [1, 2, 3]
    second = items_of(read["b"].filter(pl.col("step") == 2))
    assert second.total_N.tolist() == [8.0, 9.0, 10.0, 11.0]
    assert second.noise_variance_N is not None
    bits = read_items_of(results, ["a"], "val_bpb")
    assert bits["a"].equals(read["a"]), "bits a byte are made of the loss"


def test_a_question_for_items_to_the_store_says_where_they_are(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", {1: 1.0})
    ingest(results)
    with pytest.raises(InputError, match="export parquet DATASET"):
        query(results, "FROM items")


def test_only_files_of_runs_whose_items_changed_are_written(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    runs = {name: make_run(name, {1: 1.0}) for name in "abc"}
    for run in runs.values():
        write_items(run, 0.0)
    ingest(results)
    export_parquet(results, str(out))
    assert export_parquet(results, str(out)).written == 0
    before = files(out)
    write_evaluated(runs["b"].items_dir, windows(9.0).frame(9, "val_loss", "nll", None))
    assert export_parquet(results, str(out)).written == 1
    assert {path for path in before if files(out)[path] != before[path]} == {
        part_path("items", "ar", bucket_of("b"))
    }
    shutil.rmtree(runs["c"].path)
    ingest(results, rebuild=True)
    assert export_parquet(results, str(out)).removed == 2, "its numbers and its items"
    assert set(read_items_of(out, "abc", "val_loss")) == {"a", "b"}
    (out / part_path("items", "ar", bucket_of("a"))).unlink()
    with pytest.raises(InputError, match=r"items.*is missing.*Export the store again"):
        query(out, "SELECT 1")
    export_parquet(results, str(out))
    assert set(read_items_of(out, "abc", "val_loss")) == {"a", "b"}


def test_a_dataset_has_the_items_of_its_runs(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    for number, name in enumerate("abcdef"):
        objective = "mdlm" if number % 2 else "ar"
        run = make_run(name, {1: 1.0}, overrides=[f"training.objective='{objective}'"])
        if name != "f":
            write_items(run, float(number), draws=2 if number % 2 else None)
    ingest(results)
    export_parquet(results, str(tmp_path / "out"))
    for metric in ("val_loss", "cloze_acc", "val_bpb"):
        here = read_items_of(results, list("abcdef"), metric)
        there = read_items_of(tmp_path / "out", list("abcdef"), metric)
        assert set(here) == set(there) == set("abcde")
        for run_id, rows in here.items():
            order = ["step", "item"]
            assert there[run_id].sort(order).equals(rows.sort(order)), (metric, run_id)
    assert query(tmp_path / "out", "SELECT count(*) FROM items").item() == 5 * 16
    assert query(tmp_path / "out", "SELECT count(*) FROM runs").item() == 6
