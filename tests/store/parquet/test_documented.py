"""The queries of docs/results.md, as they stand there: they run, and answer as the store does."""

import re
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.store.test_items import windows, write_items
from workbench.runs.folder import RunFolder
from workbench.store import query
from workbench.store.parquet.export import export_parquet

DOCUMENT = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
BEST = """SELECT r.objective, r.unique_tokens, r.seed, b.value AS best, b.epoch
          FROM best b JOIN runs r USING (run_id) WHERE metric = 'val_loss' ORDER BY ALL"""


def blocks(language: str, holding: str) -> list[str]:
    all_blocks = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [block for block in all_blocks if holding in block]


@pytest.fixture
def beside(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store; its dataset is `dataset` in the current folder, as the document has it."""
    export_parquet(store, str(tmp_path / "dataset"))
    monkeypatch.chdir(tmp_path)
    return store


def test_duckdb_alone_answers_as_the_store(beside: Path) -> None:
    best, of_run, _, key = blocks("sql", "dataset/")
    assert duckdb.sql(best).pl().rows() == query(beside, BEST).rows()
    expected = query(
        beside,
        "SELECT step, value FROM metrics WHERE run_id = 'c' AND metric = 'val_loss' ORDER BY step",
    )
    assert expected.height == 3
    assert duckdb.sql(of_run.replace("RUN_ID", "c")).pl().rows() == expected.rows()
    assert duckdb.sql(key).pl().rows() == [("made", "32", 4), ("other", "32", 1)]


def test_duckdb_alone_has_the_standard_error_over_documents(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate("abcd"):
        draws = 2 if number % 2 else None
        write_items(RunFolder(store / "runs" / name), float(number), draws=draws)
    export_parquet(store, str(tmp_path / "dataset"))
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("sql", "dataset/items")
    rows = duckdb.sql(block).pl().rows()
    expected = [windows(float(number)) for number in range(4)]
    assert rows == [
        (name, pytest.approx(items.value), 2, pytest.approx(items.stderr))
        for name, items in zip("abcd", expected, strict=True)
    ]


def test_polars_alone_answers_as_the_store(beside: Path) -> None:
    (block,) = blocks("python", "pl.scan_parquet")
    names: dict[str, pl.DataFrame] = {}
    exec(block, names)
    assert names["answer"].drop("run_id").rows() == query(beside, BEST).rows()


def test_every_table_and_column_that_the_document_names_is_there(beside: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", DOCUMENT, re.MULTILINE)
    assert {name for name, _ in rows} == {
        "metrics", "items", "runs", "studies", "study_runs", "fits", "crossovers",
    }  # fmt: skip
    for table, description in rows:
        described = query(Path("dataset"), f"DESCRIBE {table}")
        there = set(described["column_name"]) | {"objective", "bucket"}
        named = {
            word for part in re.findall(r"`([^`]*)`", description) for word in part.split(", ")
        }
        assert named - {"...", "run_id"} <= there, table
