"""Stores of before: opened, answered from, and given the columns that came later."""

from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.made_runs import MakeRun
from workbench.runs.files import read_json, write_json
from workbench.runs.folder import RunFolder
from workbench.store import database_path, ingest, query

LATER = (
    ("metrics", "draws"), ("metrics", "noise_stderr"), ("metrics", "documents"),
    ("runs", "protocol"),
)  # fmt: skip


def made_before(results: Path) -> None:
    """Make the store one of a workbench that had none of the later columns."""
    with duckdb.connect(str(database_path(results))) as store:
        views = store.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        for (view,) in views:
            store.execute(f"DROP VIEW {view}")
        for table, column in LATER:
            store.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        store.execute("CREATE VIEW curves AS SELECT * FROM metrics JOIN runs USING (run_id)")
        store.execute("COMMENT ON VIEW curves IS 'as it was'")


@pytest.fixture
def old(results: Path, make_run: MakeRun) -> Path:
    make_run("a", {1: 5.0, 2: 4.0}, protocol=1)
    make_run("b", {1: 6.0}, protocol=1)
    config = RunFolder(results / "runs" / "b").config_path
    write_json(config, read_json(config) | {"imported": True})
    ingest(results)
    made_before(results)
    return results


def test_a_question_to_an_old_store_is_answered(old: Path) -> None:
    answer = query(old, "SELECT run_id, value, draws FROM final ORDER BY run_id")
    assert answer.rows() == [("a", 4.0, None), ("b", 6.0, None)]


def test_what_was_stored_of_nan_and_infinity_is_null(old: Path) -> None:
    with duckdb.connect(str(database_path(old))) as store:
        store.execute("UPDATE metrics SET value = 'nan', stderr = '-inf' WHERE run_id = 'b'")
        store.execute("UPDATE runs SET lr = 'inf' WHERE run_id = 'b'")
    answer = query(old, "SELECT value, stderr, lr FROM metrics JOIN runs USING (run_id)")
    assert answer.filter(pl.all_horizontal(pl.all().is_null())).height == 1
    assert answer["value"].drop_nulls().to_list() == [5.0, 4.0]


def test_old_runs_are_of_protocol_1_and_imported_ones_of_none(old: Path) -> None:
    answer = query(old, "SELECT run_id, protocol FROM runs ORDER BY run_id")
    assert answer.rows() == [("a", 1), ("b", None)]


def test_a_rebuilt_store_says_the_same(old: Path) -> None:
    asked = "SELECT run_id, protocol, step, value, draws FROM curves ORDER BY ALL"
    upgraded = query(old, asked).rows()
    ingest(old, rebuild=True)
    assert query(old, asked).rows() == upgraded


def test_new_numbers_go_into_an_old_store(old: Path, make_run: MakeRun) -> None:
    make_run("c", {1: 3.0})
    assert ingest(old).runs == 1
    assert query(old, "SELECT value FROM final WHERE run_id = 'c'").item() == 3.0


def test_columns_have_their_comments_and_none_is_added_twice(old: Path) -> None:
    query(old, "SELECT 1")
    query(old, "SELECT 1")
    for table, column in LATER:
        asked = "SELECT comment FROM duckdb_columns() WHERE (table_name, column_name) = "
        ((comment,),) = query(old, f"{asked}('{table}', '{column}')").rows()
        assert comment


def test_records_without_the_later_fields_are_read(results: Path, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0})
    line = '{"step":2,"tokens":4096,"epoch":1.0,"flops":1e9,"metric":"val_loss","value":4.0,'
    with open(run.records_path, "a", encoding="utf-8") as file:
        file.write(line + '"stderr":null,"n":3,"estimator":"nll"}\n')
    assert ingest(results).problems == []
    answer = query(results, "SELECT value, draws, noise_stderr, documents FROM final")
    assert answer.rows() == [(4.0, None, None, None)]
