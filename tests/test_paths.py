"""Paths are taken as they are: no `[`, `*` or `?` in one reads other files than it names."""

import ast
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.made_runs import run_maker
from workbench.data.corpora import open_corpus
from workbench.errors import InputError
from workbench.importing.table import read_table
from workbench.runs.files import check_writable
from workbench.runs.items import read_items
from workbench.store import database_path, ingest, query
from workbench.store.parquet.export import export_parquet

ROOT = Path(__file__).parents[1]
ONLY = {
    "read_csv": "runs/tables.py", "read_parquet": "runs/tables.py", "read_ipc": "", "scan_csv": "",
    "read_ndjson": "", "scan_ndjson": "", "scan_parquet": "", "scan_ipc": "", "read_json": "",
    "glob.glob": "runs/paths.py", "glob.iglob": "runs/paths.py",
    "duckdb.connect": "store/connection.py", "fsspec.open": "", "fsspec.filesystem": "",
    "fsspec.core.url_to_fs": "store/parquet/filesystem.py",
}  # fmt: skip
"""Calls that take patterns, and the module that may have them for paths."""
OF_CONTENT = ("content", "lines", "file", "text.encode()", "io.BytesIO", "':memory:'")
"""How a call's first argument begins that is no path."""


def test_readers_that_take_patterns_are_called_in_one_place_only() -> None:
    found = []
    for path in [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "app").rglob("*.py")]:
        where = str(path.relative_to(ROOT)).removeprefix("workbench/")
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).removeprefix("pl.").removeprefix("polars.")
            first = ast.unparse(node.args[0]) if node.args else ""
            ours = name == ast.unparse(node.func) and "." not in name  # of runs/tables.py
            there = ours or name not in ONLY or ONLY[name] == where
            if not there and not first.startswith(OF_CONTENT):
                found.append(f"{where}:{node.lineno}: {name}({first})")
    assert found == [], "use workbench/runs/tables.py and paths.py, or read the content first"


@pytest.mark.parametrize("name", ["exp[12]*", "md:a::b"])
def test_a_folder_of_any_name_gives_its_own_numbers_everywhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path of a name that means something elsewhere, beside a folder that it matches."""
    monkeypatch.chdir(tmp_path)
    folder, other = Path(name), Path("exp1b")
    ingested = run_maker(other)("a", {1: 1.0}, items=[0.0])
    ingest(other)
    shutil.copytree(ingested.path.parent, other / "dataset1")
    (other / "text").mkdir()
    (other / "text" / "text.jsonl").write_text('{"text": "another"}\n')
    (other / "table.csv").write_text("n,loss\n1,1\n")
    run = run_maker(folder)("a", {1: 5.0}, items=[0.0])
    for _ in range(2):  # from the records, and from what they were sealed to
        ingest(folder)
        assert query(folder, "SELECT value FROM metrics").item() == 5.0
        database_path(folder).unlink()
    ingest(folder, rebuild=True)
    assert read_items(run.items_dir)["total"].to_list() == [5.0 * 64]
    out = folder / "dataset[1]"
    export_parquet(folder, str(out))
    assert export_parquet(folder, str(out)).written == 0
    for table in ("metrics", "items"):
        assert query(out, f"SELECT count(*) FROM {table}").item() == 1
    assert query(out, "SELECT value FROM metrics").item() == 5.0
    pl.DataFrame({"n": [1, 2], "loss": [2.0, 3.0]}).write_csv(folder / "table.csv")
    pl.DataFrame({"n": [1, 2], "loss": [2.0, 3.0]}).write_parquet(folder / "table.parquet")
    for suffix in ("csv", "parquet"):
        assert read_table(folder / f"table.{suffix}").frame.height == 2
    (folder / "text").mkdir()
    (folder / "text" / "text.jsonl").write_text('{"text": "its own"}\n')
    for corpus in (folder / "text", folder / "text" / "text.jsonl", folder / "*" / "*.jsonl"):
        pieces = open_corpus(str(corpus.absolute()), document="line", text_key="text").pieces()
        assert [piece.text for piece in pieces] == ["its own"]
    left = sorted(path.name for path in Path().iterdir())
    assert left == sorted([name, other.name]), "a file was written beside the folder"


def test_a_folder_that_duckdb_cannot_write_in_is_refused_before_anything_is_there(
    tmp_path: Path,
) -> None:
    results = tmp_path / "exp?1"
    with pytest.raises(InputError, match=r"with \? in its path"):
        check_writable(results)
    results.mkdir()
    with pytest.raises(InputError, match=r"with \? in its path"):
        ingest(results)
    assert [path.name for path in tmp_path.rglob("*")] == ["exp?1"]
