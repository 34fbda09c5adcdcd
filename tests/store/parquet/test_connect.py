"""Questions to a dataset: the store's own safety, though there are files to read."""

import os
import resource
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from tests.made_runs import run_maker
from tests.store.hostile import checksum
from tests.store.parquet.conftest import fill_store
from tests.store.test_query import HOSTILE
from workbench.cli import app
from workbench.errors import InputError
from workbench.store import keep_crossovers, keep_fits, query
from workbench.store.parquet.export import export_parquet
from workbench.store.parquet.layout import MARKER, PARTS
from workbench.store.parquet.mirror import mirrored
from workbench.store.query_process import query_in_subprocess


@pytest.fixture
def dataset(store: Path, tmp_path: Path) -> Path:
    export_parquet(store, str(tmp_path / "dataset"))
    return tmp_path / "dataset"


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, for those who must not change it."""
    folder = tmp_path_factory.mktemp("refusing")
    fill_store(folder / "results", run_maker(folder / "results"))
    export_parquet(folder / "results", str(folder / "dataset"))
    return folder / "dataset"


# D is the dataset's folder, F one of its files.
INTO_THE_DATASET = [
    "COPY (SELECT 1) TO 'D/new.parquet'",
    "COPY (SELECT 1) TO 'F'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'F'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'F'",
    "explain analyze/**/copy (SELECT 1) TO 'F'",
    "EXPLAIN/**/ANALYZE COPY (SELECT 1) TO 'F'",
    "-- a remark\nEXPLAIN ANALYZE COPY (SELECT 1) TO 'F'",
    "EXPLAIN ANALYZE EXPORT DATABASE 'D'",
    "EXPLAIN ANALYZE ATTACH 'F'",
    "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
    "EXPLAIN ANALYZE SELECT 1; COPY (SELECT 1) TO 'F'",
    "ATTACH ':memory:' AS scratch",
    "ATTACH 'D/new.duckdb' AS scratch",
    "CREATE TABLE mine AS SELECT 1",
    "DROP VIEW metrics",
    "SELECT * FROM read_text('D/_workbench.json')",
    "SELECT * FROM glob('D/**')",
    "SELECT * FROM read_text('D/../results/workbench.duckdb')",
]


@pytest.mark.parametrize("sql", HOSTILE + INTO_THE_DATASET)
def test_anything_but_one_question_is_refused(sql: str, refusing: Path) -> None:
    before = checksum(refusing)
    part = next(refusing.rglob("part-0.parquet"))
    with pytest.raises(InputError, match=r"^SQL: "):
        query(refusing, sql.replace("D/", f"{refusing}/").replace("F'", f"{part}'"))
    assert checksum(refusing) == before
    assert not list(Path("/tmp").glob("stolen*"))


def test_explanations_of_questions_are_given(dataset: Path) -> None:
    assert query(dataset, "EXPLAIN SELECT * FROM best").height > 0
    assert query(dataset, "EXPLAIN ANALYZE SELECT count(*) FROM curves").height > 0


def test_the_app_asks_a_dataset_in_a_process_of_its_own(store: Path, dataset: Path) -> None:
    sql = "SELECT * FROM curves ORDER BY ALL"
    assert query_in_subprocess(dataset, sql).equals(query(store, sql))


def test_a_dataset_is_found_through_a_link_and_in_a_folder_of_any_name(
    store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "it's a data set"
    export_parquet(store, str(out))
    (tmp_path / "link").symlink_to(out)
    patterned = tmp_path / "a[1]*?"
    export_parquet(store, str(patterned))
    for folder in (out, tmp_path / "link", patterned):
        assert query(folder, "SELECT count(*) FROM metrics").item() == 20


def test_asking_leaves_no_file_open(dataset: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        query(dataset, "SELECT count(*) FROM metrics")
        with pytest.raises(InputError):
            query(dataset, "SELECT nothing FROM metrics")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_dataset_of_more_files_than_may_be_open_names_the_limit(dataset: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)  # the lowest: what is open above it stays
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        with pytest.raises(InputError, match="ulimit -n"):
            query(dataset, "SELECT count(*) FROM metrics")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_commands_that_keep_answers_leave_a_dataset_as_it_is(dataset: Path) -> None:
    before = checksum(dataset)
    row = {"study": "made", "metric": "val_loss", "axis": "tokens"}
    keep_crossovers(dataset, [row])
    keep_fits(dataset, "made", [{"law": "chinchilla"}])
    assert checksum(dataset) == before


@pytest.mark.slow
def test_reading_commands_take_a_dataset(
    store: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"memory://{tmp_path}/team"
    done = CliRunner().invoke(app, ["export", "parquet", url, "--results", str(store)])
    assert done.exit_code == 0, done.output
    before = checksum(dataset)
    for arguments in (
        ["sql", "SELECT study, count(*) FROM study_runs GROUP BY ALL ORDER BY ALL"],
        ["crossover", "made"],
        ["outcomes", "made"],
        ["overfitting", "made"],
        ["flops", "--study", "made"],
    ):
        results = [
            CliRunner().invoke(app, [*arguments, "--format", "json", option, place])
            for option, place in (
                ("--results", str(store)), ("--from", str(dataset)), ("--from", url),
            )
        ]  # fmt: skip
        assert [result.exit_code for result in results] == [0, 0, 0], (arguments, results[1].output)
        assert results[0].stdout == results[1].stdout == results[2].stdout
    page = tmp_path / "made.html"
    done = CliRunner().invoke(app, ["report", "made", "--from", str(dataset), "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert page.exists()
    assert checksum(dataset) == before


@pytest.mark.parametrize(
    "marker",
    [
        "[]", "null", "{", "[" * 100_000, "{}", '{"format": "1", "schema": 1}',
        '{"format": 1, "schema": NaN}', '{"format": 1e999, "schema": 1}',
        '{"format": 1' + "0" * 400 + ', "schema": 1}', '{"format": true, "schema": 1}',
        '{"format": 1, "schema": 1, "columns": 5}', '{"format": 1, "schema": 1, "columns": [[1]]}',
    ],
)  # fmt: skip
def test_metadata_that_no_export_writes_is_refused_by_name(marker: str, tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text(marker)
    for act in (lambda: query(tmp_path, "FROM runs"), lambda: mirrored(f"file://{tmp_path}")):
        with pytest.raises(InputError, match=MARKER):
            act()


def test_a_list_of_files_that_no_export_writes_is_refused_by_name(dataset: Path) -> None:
    runs = dataset / "runs" / "part-0.parquet"
    for parts in ("{", "5", "[5]", '["../../runs/part-0.parquet"]', '["/etc/passwd"]'):
        pl.read_parquet(runs).write_parquet(runs, metadata={PARTS: parts})
        with pytest.raises(InputError, match=r"runs/part-0.parquet.*no list of files"):
            query(dataset, "FROM runs")


def test_a_file_that_never_ends_is_no_file_of_a_dataset(dataset: Path) -> None:
    runs = dataset / "runs" / "part-0.parquet"
    runs.unlink()
    os.mkfifo(runs)
    with pytest.raises(InputError, match=r"runs/part-0.parquet: cannot be read: not a file"):
        query(dataset, "FROM runs")


def test_numbers_that_are_not_finite_are_null_whoever_wrote_the_dataset(dataset: Path) -> None:
    for file in dataset.glob("metrics/*/*/*.parquet"):
        frame = pl.read_parquet(file).with_columns(value=float("nan"), flops=float("inf"))
        frame.write_parquet(file)
    answer = query(dataset, "SELECT value, flops FROM curves")
    assert answer.null_count().row(0) == (answer.height, answer.height)
