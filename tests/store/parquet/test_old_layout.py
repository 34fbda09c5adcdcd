"""Datasets and stores that earlier versions wrote: they answer, and an export brings them up."""

import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.made_runs import MakeRun
from tests.store.parquet.conftest import files, fill_store
from tests.store.parquet.test_export import everything
from tests.store.test_items import write_items
from workbench.runs.folder import RunFolder
from workbench.store import database_path, ingest, query
from workbench.store.items import read_items_of
from workbench.store.parquet.export import export_parquet
from workbench.store.parquet.layout import DIGEST, MARKER, PARTS

ADDED = {"metrics": ["draws", "noise_stderr", "documents"], "runs": ["protocol"]}

NEW_TABLES = ("backtests/part-0.parquet", "forecasts/part-0.parquet")


@pytest.fixture
def measured(results: Path, make_run: MakeRun) -> Path:
    """A store of four runs of the first protocol with items, and an imported one."""
    fill_store(results, make_run)
    for name in "abcd":
        write_items(RunFolder(results / "runs" / name), 1.0)
    make_run("imported", {1: 4.0}, overrides=["training.seed=9"], imported=True)
    for path in results.glob("runs/*/config.json"):
        document = json.loads(path.read_text())
        document.pop("protocol", None)  # the first protocol had no number
        path.write_text(json.dumps(document))
    ingest(results)
    return results


def made_old(path: Path) -> None:
    """Write a file of a dataset as it was before columns were added."""
    frame = pl.read_parquet(path)
    old = [name for names in ADDED.values() for name in names if name in frame.columns]
    if not old:
        return
    metadata = {DIGEST: "as it was"}
    if path.parent.name == "runs":
        parts = sorted(path.parents[1].glob("metrics/*/*/part-0.parquet"))
        metadata[PARTS] = json.dumps([str(p.relative_to(path.parents[1])) for p in parts])
    frame.drop(old).write_parquet(path, metadata=metadata)


@pytest.fixture
def old(measured: Path, tmp_path: Path) -> Path:
    """The dataset of that store as the version before wrote it."""
    folder = tmp_path / "old"
    export_parquet(measured, str(folder))
    for path in [*folder.rglob("items/**/*.parquet"), *map(folder.joinpath, NEW_TABLES)]:
        path.unlink()
    for path in folder.rglob("*.parquet"):
        made_old(path)
    marker = json.loads((folder / MARKER).read_text())
    added = {(table, name) for table, names in ADDED.items() for name in names}
    columns = [row for row in marker["columns"] if (row["table"], row["column"]) not in added]
    marker["columns"] = [row for row in columns if row["table"] != "items"]
    (folder / MARKER).write_text(json.dumps(marker))
    return folder


def test_an_old_dataset_answers_as_its_store(measured: Path, old: Path) -> None:
    assert "protocol" not in pl.read_parquet(old / "runs" / "part-0.parquet").columns
    assert everything(old) == everything(measured)
    protocols = query(old, "SELECT run_id, protocol FROM runs ORDER BY run_id").rows()
    assert protocols == [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("imported", None)]
    assert query(old, "SELECT count(*) FROM items").item() == 0
    assert read_items_of(old, ["a"], "val_loss") == {}


def test_an_export_over_an_old_dataset_makes_it_a_new_one(
    measured: Path, old: Path, tmp_path: Path
) -> None:
    report = export_parquet(measured, str(old))
    assert (report.unchanged, report.removed) == (4, 0), "the tables that are as they were"
    export_parquet(measured, str(tmp_path / "new"))
    assert set(files(old)) == set(files(tmp_path / "new"))
    for name in files(old):
        assert pl.read_parquet_schema(old / name) == pl.read_parquet_schema(
            tmp_path / "new" / name
        ), name
    assert (old / MARKER).read_text() == (tmp_path / "new" / MARKER).read_text()
    assert set(read_items_of(old, list("abcd"), "val_loss")) == set("abcd")


@pytest.mark.parametrize("upgraded", [1, 3])
def test_a_dataset_of_files_of_two_versions_answers(
    measured: Path, old: Path, upgraded: int, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    export_parquet(measured, str(new))
    for path in sorted(new.glob("metrics/*/*/part-0.parquet"))[:upgraded]:
        (old / path.relative_to(new)).write_bytes(path.read_bytes())
    assert everything(old) == everything(measured)


def make_store_old(results: Path) -> None:
    """Leave a store as the version before made it: without the columns, with its own views."""
    with duckdb.connect(str(database_path(results))) as store:
        for view in ("best", "final", "curves"):
            store.execute(f"DROP VIEW {view}")
        for table, names in ADDED.items():
            for name in names:
                store.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        for name in NEW_TABLES:
            store.execute(f"DROP TABLE {Path(name).parent}")
        store.execute("CREATE VIEW curves AS SELECT m.*, r.objective FROM metrics m JOIN runs r "
                      "USING (run_id)")  # fmt: skip
        store.execute("CREATE VIEW best AS SELECT * FROM curves")
        store.execute("COMMENT ON VIEW best IS 'as it was'")


@pytest.mark.parametrize("first", ["query", "export", "ingest", "rebuild"])
def test_an_old_store_is_brought_up_by_whatever_comes_first(
    measured: Path, first: str, tmp_path: Path
) -> None:
    expected = everything(measured)
    make_store_old(measured)
    if first == "export":
        export_parquet(measured, str(tmp_path / "out"))
        assert everything(tmp_path / "out") == expected
    elif first != "query":
        ingest(measured, rebuild=first == "rebuild")
    assert everything(measured) == expected


def test_sealed_records_of_before_are_read_without_the_new_columns(
    measured: Path, tmp_path: Path
) -> None:
    expected = everything(measured)
    for path in measured.glob("runs/*/records.parquet"):
        pl.read_parquet(path).drop(ADDED["metrics"]).write_parquet(path)
    ingest(measured)
    assert everything(measured) == expected
    ingest(measured, rebuild=True)
    assert everything(measured) == expected
    export_parquet(measured, str(tmp_path / "out"))
    assert everything(tmp_path / "out") == expected
