"""Tables as spreadsheets, databases and programs write them: the same cells, or a clear refusal."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from workbench.errors import InputError
from workbench.importing.table import ROW, read_table

FILES = Path(__file__).parent / "tables"
ROWS = [["run", "D", "loss"], ["a", "1000", "3.25"], ["b", "2000", "3.01"]]


def text(separator: str = ",", end: str = "\n", decimal: str = ".") -> str:
    return "".join(separator.join(cell.replace(".", decimal) for cell in row) + end for row in ROWS)


def cells(path: Path) -> list[list[str]]:
    table = read_table(path)
    return [table.columns, *([str(c) for c in row] for row in table.frame.drop(ROW).rows())]


OBJECTS = [dict(zip(ROWS[0], row, strict=True)) for row in ROWS[1:]]
SPELLINGS = {
    "commas": ("t.csv", text().encode()),
    "a byte order mark": ("t.csv", b"\xef\xbb\xbf" + text().encode()),
    "lines that end in CR LF": ("t.csv", text(end="\r\n").encode()),
    "lines that end in CR": ("t.csv", text(end="\r").encode()),
    "UTF-16": ("t.csv", text().encode("utf-16")),
    "UTF-16, the other byte first": ("t.csv", b"\xfe\xff" + text().encode("utf-16-be")),
    "UTF-16 without a mark": ("t.csv", text().encode("utf-16-le")),
    "tabs": ("t.tsv", text("\t").encode()),
    "tabs in a .csv": ("t.csv", text("\t").encode()),
    "Excel's Unicode text": ("t.tsv", text("\t", "\r\n", ",").encode("utf-16")),
    "semicolons": ("t.csv", text(";").encode()),
    "semicolons and decimal commas": ("t.csv", text(";", decimal=",").encode()),
    "Excel's sep=": ("t.csv", b"\xef\xbb\xbfsep=;\r\n" + text(";", "\r\n", ",").encode()),
    "bars": ("t.csv", text("|").encode()),
    "a comment first": ("t.csv", b"# by plot.py\n# twice\n" + text().encode()),
    "blank lines": ("t.csv", text().replace("\n", "\n\n").encode() + b"\n,,\n"),
    "blank lines first": ("t.csv", b"\n\n" + text().encode()),
    "gzip": ("t.csv.gz", gzip.compress(text().encode())),
    "gzip without its ending": ("t.csv", gzip.compress(text().encode())),
    "a capital ending": ("T.CSV", text().encode()),
    "JSON lines": ("t.jsonl", "\n".join(map(json.dumps, OBJECTS)).encode()),
    "JSON lines, compressed": (
        "t.jsonl.gz", gzip.compress("\n\n".join(map(json.dumps, OBJECTS)).encode())
    ),
    "a list of objects": ("t.json", json.dumps(OBJECTS, indent=1).encode()),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_table_gives_its_cells(tmp_path: Path, spelling: str) -> None:
    name, content = SPELLINGS[spelling]
    (tmp_path / name).write_bytes(content)
    assert cells(tmp_path / name) == ROWS


def test_parquet_gives_its_cells(tmp_path: Path) -> None:
    pl.DataFrame(OBJECTS).write_parquet(tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet") == ROWS


def test_names_in_a_comment_above_numbers_are_the_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# 2026-01-01\n#D,loss\n1.0e3,3.25\n2.0e3,3.01\n")
    assert cells(tmp_path / "t.csv") == [["D", "loss"], ["1.0e3", "3.25"], ["2.0e3", "3.01"]]


def test_lines_are_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# a comment\nsep=;\nrun;D\r\na;1\r\n\r\nb;2\r\n")
    table = read_table(tmp_path / "t.csv")
    assert table.where(table.frame[ROW][1]) == "row 2 (line 6)"


REFUSED = {
    "a comma that may part thousands": (
        "t.csv", "run;D;loss\na;1000;3,125\n", ["line 2: 3,125 may be 3.125 or 3125"]
    ),
    "decimal commas and points": (
        "t.csv", "run;D;loss\na;1.000;3,25\n", ["line 2 has 3,25 and line 2 1.000"]
    ),
    "no header": ("t.csv", "1000,3.25\n2000,3.01\n", ["line 1", "names of the columns"]),
    "a line with more cells": ("t.csv", "a;b\n1;2\n\n1;2;3\n", ["line 4: 3 cells", "header has 2"]),
    "NUL characters": ("t.csv", "a,b\n1,\0\n", ["line 2", "NUL"]),
    "a spreadsheet": ("t.xlsx", "PK", [".csv", "Save it as CSV"]),
    "a broken line of JSON": ("t.jsonl", '{"a": 1}\n{"a": \n', ["line 2", "JSON"]),
    "lines of JSON that are no objects": ("t.jsonl", "[1]\n[2]\n", ["JSON"]),
    "a list that is no list of rows": ("t.json", "[1, 2]", ["row 1", "object"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_wrong_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    name, content, words = REFUSED[case]
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / name)
    for word in (name, *words):
        assert word in str(caught.value)


def test_thousands_that_are_certain_are_no_decimals(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("run;D\na;1,000,000\nb;2,000\n")
    assert read_table(tmp_path / "t.csv").frame["D"].to_list() == ["1,000,000", "2,000"]


@pytest.mark.parametrize("cut", [10, -4])
def test_a_compressed_file_that_is_cut_off_is_named(tmp_path: Path, cut: int) -> None:
    whole = gzip.compress(text().encode() * 100)
    (tmp_path / "t.csv.gz").write_bytes(whole[:cut])
    with pytest.raises(InputError, match=r"t\.csv\.gz.*cut off"):
        read_table(tmp_path / "t.csv.gz")


def test_a_compressed_file_that_expands_without_end_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.importing.table._MOST_BYTES", 1 << 20)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"0" * (2 << 20)))
    with pytest.raises(InputError, match="expands"):
        read_table(tmp_path / "t.csv.gz")


def test_objects_within_objects_are_columns_and_lists_are_left_out(tmp_path: Path) -> None:
    rows = '{"step": 1, "m": {"loss": 2.5, "hist": [1, 2]}}\n{"step": 2, "m": {"loss": NaN}}\n'
    (tmp_path / "t.jsonl").write_text(rows)
    table = read_table(tmp_path / "t.jsonl")
    assert table.columns == ["step", "m/loss"]
    assert table.frame["m/loss"].to_list()[0] == 2.5
    assert "m/hist holds lists" in table.notes[0]


def test_files_that_were_handed_in_are_read(tmp_path: Path) -> None:
    assert read_table(FILES / "cr-only-curve.csv").frame["value"].to_list() == ["3.5", "3.25"]
    assert read_table(FILES / "cr-only-losses.csv").frame.height == 36
