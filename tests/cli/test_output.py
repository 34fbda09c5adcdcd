"""Rows on stdout: nothing invented, nothing cut."""

import csv
import io
import json
import os
import pty
import subprocess
import sys

import polars as pl
import pytest

from workbench.cli.output import emit
from workbench.figures.theme import csv_frame
from workbench.messages import csv_cell, pretty

ROWS = [
    {"name": "a" * 60, "value": 0.5, "none": None},
    {"name": "[b]", "value": 2e12, "none": None},
]


def test_csv_and_json_give_back_what_went_in(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, "json")
    assert json.loads(capsys.readouterr().out) == ROWS
    emit(ROWS, "csv")
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["value"]) for row in read] == [0.5, 2e12]
    assert [row["none"] for row in read] == ["", ""], "a missing value is empty, not 0"


def test_what_a_spreadsheet_would_compute_is_text_in_csv_and_numbers_stay_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cells = {"=cmd|' /C calc'!A0": "'=", "+1+1": "'+", "-2+3": "'-", "@SUM(1)": "'@", "\tx": "'\t"}
    cells |= {"-0.5": "-0", "+3": "+3", "-1e-5": "-1", "a=1": "a=", "": ""}
    emit([{"=1": text, "value": -0.5} for text in cells], "csv")
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [row["'=1"][:2] for row in read] == list(cells.values())
    assert {row["value"] for row in read} == {"-0.5"}
    assert csv_cell("\r=1") == "'\r=1"
    frame = csv_frame(pl.DataFrame({"=1": [*cells, None], "value": [-0.5] * (len(cells) + 1)}))
    assert [text[:2] for text in frame["'=1"][:-1]] == list(cells.values())
    assert frame["'=1"][-1] is None
    assert frame["value"].dtype == pl.Float64


def test_a_pipe_gets_whole_lines_and_names_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, "table")
    out = capsys.readouterr().out
    assert "a" * 60 in out
    assert "[b]" in out


def test_no_rows_are_printed_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    emit([], "table")
    assert capsys.readouterr().out == "(no rows)\n"
    emit([], "json")
    assert json.loads(capsys.readouterr().out) == []


def test_a_narrow_terminal_gets_rows_below_each_other() -> None:
    code = f"from workbench.cli.output import emit; emit({ROWS!r}, 'table')"
    main, side = pty.openpty()
    env = {**os.environ, "COLUMNS": "40", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], stdout=side, env=env, check=True)
    os.close(side)
    out = os.read(main, 65_536).decode()
    assert "a" * 60 in out
    assert "value  0.5" in out


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (12_800, "12,800"),
        (0.123456789, "0.12346"),
        (25.6, "25.6"),
        (True, "yes"),
    ],
)
def test_numbers_are_shown_with_what_matters(value: object, text: str) -> None:
    assert pretty(value) == text


def test_csv_has_each_number_in_a_column_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    document = [
        {"group": {"unique_tokens": 5}, "crossover": 1.5, "ci95": [1.0, None], "runs": {"a": ["x"]},
         "varies": {"training.lr": 0.1}, "params": {"E": 2.0}, "range": (3, 4)},
        {"group": {"unique_tokens": 6}, "crossover": None, "ci95": None, "lower_bound": 9.0},
    ]  # fmt: skip
    for shape in (document, {"rows": document, "notes": ["no"]}):
        emit([{"crossover": "> 9"}], "csv", document=shape)
        one, other = csv.DictReader(io.StringIO(capsys.readouterr().out))
        assert one == {
            "unique_tokens": "5", "crossover": "1.5", "ci95_low": "1.0", "ci95_high": "",
            "runs.a": '["x"]', "training.lr": "0.1", "params.E": "2.0", "range_low": "3",
            "range_high": "4", "lower_bound": "",
        }  # fmt: skip
        assert (other["crossover"], other["lower_bound"]) == ("", "9.0")


@pytest.mark.parametrize("form", ["csv", "table", "json"])
def test_a_reader_that_leaves_is_no_error(form: str) -> None:
    code = "import sys; from workbench.cli import main; main()"
    asked = "SELECT repeat('x', 200) || range AS text FROM range(600)"
    words = [sys.executable, "-c", code, "sql", asked, "--from", "shipped", "--format", form]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=120) == 0
        assert b"Traceback" not in process.stderr.read()
