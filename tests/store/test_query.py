"""SQL: questions are answered, everything else is refused and changes nothing."""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from tests.made_runs import MakeRun, run_maker
from tests.store.hostile import checksum, statements
from workbench.cli.output import emit
from workbench.errors import InputError
from workbench.store import database_path, ingest, query, schema_rows
from workbench.store.connection import connect
from workbench.store.parquet.export import export_parquet

HOSTILE = [
    "COPY metrics TO '/tmp/stolen.csv'",
    "COPY (SELECT 1) TO '/tmp/stolen.parquet' (FORMAT parquet)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "ATTACH '/tmp/other.duckdb'",
    "ATTACH ':memory:' AS scratch",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/hostname')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "SELECT * FROM glob('/etc/*')",
    "PRAGMA database_list",
    "PRAGMA enable_external_access",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "DROP TABLE metrics",
    "DELETE FROM runs",
    "UPDATE runs SET objective = 'x'",
    "INSERT INTO runs (run_id) VALUES ('x')",
    "CREATE TABLE mine (x INT)",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "CREATE MACRO f(x) AS x",
    "ALTER TABLE runs ADD COLUMN x INT",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE metrics",
    "CHECKPOINT",
    "VACUUM",
    "EXPORT DATABASE '/tmp/stolen'",
    "BEGIN",
    "USE memory",
    "",
    "-- nothing",
    "SELEC 1",
    "SELECT * FROM nowhere",
    "SELECT no_column FROM runs",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For those who must not change it."""
    results = tmp_path_factory.mktemp("asked") / "results"
    make_run = run_maker(results)
    make_run("a", {1: 5.0, 2: 3.0, 3: 4.0})
    make_run("a", {3: 0.3, 2: 0.5}, metric="cloze_acc")
    ingest(results)
    return results


@pytest.mark.parametrize("sql", HOSTILE)
def test_anything_but_one_question_is_refused(sql: str, store: Path) -> None:
    before = hashlib.sha256(database_path(store).read_bytes()).hexdigest()
    with pytest.raises(InputError, match=r"^SQL: "):
        query(store, sql)
    assert hashlib.sha256(database_path(store).read_bytes()).hexdigest() == before
    assert not Path("/tmp/stolen.csv").exists()


def test_questions_are_answered(store: Path) -> None:
    assert query(store, "SELECT count(*) FROM metrics").item() == 5
    assert query(store, "WITH x AS (FROM runs) SELECT run_id FROM x").item() == "a"
    assert query(store, "DESCRIBE runs").height > 20
    assert query(store, "EXPLAIN SELECT 1").height > 0


def test_best_goes_by_the_metrics_direction_and_final_by_the_last_step(store: Path) -> None:
    best = query(store, "SELECT metric, value, step FROM best ORDER BY metric").rows()
    assert best == [("cloze_acc", 0.5, 2), ("val_loss", 3.0, 2)]
    final = query(store, "SELECT metric, value, step FROM final ORDER BY metric").rows()
    assert final == [("cloze_acc", 0.3, 3), ("val_loss", 4.0, 3)]


def test_a_runaway_question_is_stopped(store: Path) -> None:
    with pytest.raises(InputError, match="stopped after"):
        query(
            store,
            "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range > b.range",
            time_limit=0.5,
        )


def test_every_column_has_a_comment_in_the_database_too(store: Path) -> None:
    assert all(row["comment"] for row in schema_rows())
    bare = query(
        store,
        """SELECT table_name, column_name FROM duckdb_columns()
           WHERE schema_name = 'main' AND NOT internal AND comment IS NULL
           AND table_name IN ('runs', 'metrics', 'studies', 'fits', 'crossovers')""",
    )
    assert bare.is_empty()


@pytest.mark.slow
def test_no_statement_of_any_kind_is_let_through_or_ends_in_anything_but_a_refusal(
    store: Path, tmp_path: Path
) -> None:
    assert len(statements()) >= 200
    dataset = tmp_path / "dataset"
    export_parquet(store, str(dataset))
    folders = (store, tmp_path)
    before = [checksum(folder) for folder in folders]
    for number, sql in enumerate(statements()):
        # All of them, by the app's way too: benchmarks/hostile_sql.py.
        for where in (store, dataset) if number % 3 == 0 else (store,):
            with pytest.raises(InputError, match=r"^SQL: "):
                query(where, sql.replace("T/", f"{tmp_path}/"))
    assert [checksum(folder) for folder in folders] == before


@pytest.mark.slow
def test_a_long_question_puts_nothing_but_its_answer_on_the_output(store: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from workbench.store import query;"
        "query(Path(sys.argv[1]), 'SELECT count(*) FROM range(3000000) a, range(30000) b "
        "WHERE a.range * b.range % 7 = 8', time_limit=4)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True)
    assert "stopped after" in done.stderr, "it was no long question"
    assert "▕" not in done.stdout + done.stderr


def test_threads_that_ask_at_once_share_a_locked_configuration(store: Path) -> None:
    """As the app's sessions do: one process, one instance of DuckDB for as long as any asks."""
    path = database_path(store)
    first, second = connect(path, read_only=True), connect(path, read_only=True)
    for reader in (first, second):
        with pytest.raises(duckdb.Error, match="locked"):
            reader.execute("SET memory_limit = '1GB'")
        assert reader.execute("SELECT count(*) FROM runs").fetchone()
        reader.close()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: query(store, f"SELECT {n} AS n")["n"][0], range(64)))
    assert answers == list(range(64))


def test_values_of_every_type_print_in_every_format_and_json_is_json(
    results: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of DuckDB's types with their smallest and largest values, and what is not finite."""
    make_run("a", {1: 5.0})
    ingest(results)
    skipped = "EXCLUDE (small_enum, medium_enum, large_enum)"  # 70,000 names: slow, and text
    questions = [
        f"SELECT * {skipped} FROM test_all_types()",
        "SELECT DATE '290000-01-01' AS a, [DATE '5877642-06-25 (BC)'] AS b, {'a': TIMESTAMP "
        "'290000-01-01 00:00:00'} AS c, 'nan'::DOUBLE AS d, ['inf'::FLOAT] AS e, 1 AS a",
    ]
    for question in questions:
        frame = query(results, question)
        for fmt in ("table", "csv", "json"):
            emit(frame.to_dicts(), fmt, columns=frame.columns)
            printed = capsys.readouterr().out
            assert "290000-01-01" in printed or question is questions[0]
        rows = json.loads(printed, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert rows == [
        {"a": "290000-01-01", "b": "['5877642-06-25 (BC)']", "c": "{'a': '290000-01-01 00:00:00'}",
         "d": None, "e": [None], "a_1": 1}
    ]  # fmt: skip
