"""What cannot be imported is refused as a whole, and the message says where and how to mend it."""

from pathlib import Path

import polars as pl
import pytest

from tests.importing.conftest import HEADER, ROWS, WriteTable
from workbench.errors import InputError
from workbench.importing.importer import import_runs
from workbench.importing.request import Request

GOOD = ROWS[0]


def refused(source: object, results: Path, *message: str, **options: object) -> None:
    """Importing fails with all these words, and writes nothing."""
    with pytest.raises(InputError) as caught:
        import_runs(str(source), options.pop("study", "s"), results, **options)  # type: ignore[arg-type]
    for words in message:
        assert words in str(caught.value)
    assert not results.exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ar,1000,100,val_loss,100,low", ["value", "'low'", "not a number"]),
        ("ar,1000,100,val_loss,100,nan", ["value", "'nan'", "not finite"]),
        ("ar,1000,100,val_loss,100,-inf", ["value", "'-inf'", "not finite"]),
        ("ar,1000,100,val_loss,100,-0.1", ["value", "-0.1", "negative"]),
        ("ar,1000,100,cloze_nll_true,100,-0.1", ["value", "negative"]),
        ("ar,1000,100,val_bpb,100,-0.1", ["value", "negative"]),
        ("ar,0,100,val_loss,100,5", ["n_params", "'0'", "above 0"]),
        ("ar,-5,100,val_loss,100,5", ["n_params", "'-5'", "above 0"]),
        ("ar,10.5,100,val_loss,100,5", ["n_params", "'10.5'", "whole"]),
        ("ar,1e30,100,val_loss,100,5", ["n_params", "'1e30'"]),
        ("ar,many,100,val_loss,100,5", ["n_params", "'many'"]),
        ("ar,1000,0,val_loss,100,5", ["unique_tokens", "above 0"]),
        ("ar,1000,100,val_loss,-1,5", ["total_tokens", "'-1'", "0 or more"]),
        ("ar,1000,100,val_loss,inf,5", ["total_tokens", "not finite"]),
        ("ar,1000,100,val_loss,,5", ["total_tokens", "is empty"]),
        ("ar,1000,100,,100,5", ["metric", "is empty"]),
        (",1000,100,val_loss,100,5", ["objective", "is empty"]),
        ("a r?,1000,100,val_loss,100,5", ["objective", "'a r?'", "masked_diffusion"]),
    ],
)
def test_a_wrong_cell_is_named_with_its_row_and_line(
    results: Path, table: WriteTable, row: str, message: list[str]
) -> None:
    path = table("ar,1000,100,val_loss,1,9", row, name="bad.csv")
    refused(path, results, "bad.csv", "row 2 (line 3)", *message)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ar,1000,100,val_loss,50,1,2", "line 3: 7 cells, and the header has 6"),
        ('ar,1000,100,val_loss,50,"1', "quotation mark"),
    ],
)
def test_a_line_that_is_no_row_is_named(
    results: Path, table: WriteTable, row: str, message: str
) -> None:
    refused(table("ar,1000,100,val_loss,1,9", row), results, message)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("epoch", "-1"), ("step", "1.5"), ("seed", "x"), ("flops", "-1"), ("stderr", "-1"),
        ("n", "-2"), ("dropout", "1.5"), ("input_mask", "-0.1"), ("lr", "0"),
        ("weight_decay", "-1"), ("epoch", "nan"),
    ],
)  # fmt: skip
def test_a_wrong_cell_of_an_optional_column_is_named(
    results: Path, table: WriteTable, column: str, cell: str
) -> None:
    path = table(f"{GOOD},{cell}", header=f"{HEADER},{column}")
    refused(path, results, f"column {column}, row 1 (line 2)", repr(cell))


def test_lines_are_counted_past_blank_and_quoted_ones(results: Path, table: WriteTable) -> None:
    path = table(
        f'{GOOD},"two\nlines"', "", "ar,1000,100,val_loss,100,x,a", header=f"{HEADER},note"
    )
    refused(path, results, "row 2 (line 5)")


def test_other_wrong_rows_are_counted(results: Path, table: WriteTable) -> None:
    path = table(*["ar,1000,100,val_loss,100,x"] * 4)
    refused(path, results, "row 1 (line 2)", "in rows below it: 3")


@pytest.mark.parametrize("missing", HEADER.split(","))
def test_a_missing_column_is_named_with_a_near_miss(
    results: Path, table: WriteTable, missing: str
) -> None:
    path = table(GOOD, header=HEADER.replace(missing, f"{missing}_"))
    refused(path, results, f"the column {missing} is missing", f"did you mean '{missing}_'?",
            f"--column {missing}=")  # fmt: skip


def test_different_values_of_one_point_are_refused(results: Path, table: WriteTable) -> None:
    refused(table(*ROWS, "ar,1000,100,val_loss,100,5.5"), results,
            "row 1 (line 2) and row 5 (line 6)", "different values", "seed")  # fmt: skip


def test_a_row_that_is_there_twice_counts_once(results: Path, table: WriteTable) -> None:
    report = import_runs(table(*ROWS, GOOD), "s", results)
    assert report.records == 4
    assert report.notes == ["rows that repeat another are left out: 1."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"\n \n", "empty"),
        ("a.csv", HEADER.encode() + b"\n", "no rows"),
        ("a.csv", f"{HEADER}\n{GOOD}\nar,1,1,\xff".encode("latin-1"), "line 3: not UTF-8"),
        ("a.csv", f"{HEADER},value\n{GOOD},1\n".encode(), "two columns are called value"),
        ("a.csv", HEADER.replace(",", ";").encode() + b"\nar;1\n", "unique_tokens, row 1"),
        ("a.csv", f"{HEADER}\nar,1,1,val_loss,1,\n".encode(), "no row has a value"),
        ("a.parquet", b"", "empty"),
        ("a.parquet", b"not parquet", "not a Parquet file"),
        ("a.parquet", b"PAR1 broken PAR1", "damaged Parquet"),
        ("a.txt", b"x", "expected a .csv, .tsv, .jsonl or .parquet"),
        ("a.csv", None, "no such file"),
        ("a.parquet", None, "no such file"),
        ("nowhere", None, "no such file or folder"),
    ],
)
def test_a_file_that_is_no_table_is_named(
    tmp_path: Path, results: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    refused(path, results, name, message)


def test_a_folder_without_event_files_is_named(tmp_path: Path, results: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", results, "TensorBoard event files")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"valeu": "loss"}, "unknown column valeu, did you mean 'value'?"),
        ({"value": "metrik"}, "has no column metrik, did you mean 'metric'?"),
        ({"value": "3.0"}, "has no column 3.0"),
        ({"n_params": "-1"}, "above 0"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(
    results: Path, table: WriteTable, columns: dict[str, str], message: str
) -> None:
    refused(table(), results, message, columns=columns)


@pytest.mark.parametrize("study", [None, "", ".hidden", "a/b", "a b", "x" * 101])
def test_a_study_needs_a_name_that_it_can_have(
    results: Path, table: WriteTable, study: str | None
) -> None:
    refused(table(), results, "--study", study=study)


def test_a_parquet_column_of_lists_or_dates_is_no_number(tmp_path: Path, results: Path) -> None:
    columns = {"objective": ["ar"], "n_params": [1], "unique_tokens": [1], "metric": ["val_loss"]}
    path = tmp_path / "a.parquet"
    pl.DataFrame({**columns, "total_tokens": [1], "value": [[1.0]]}).write_parquet(path)
    refused(path, results, "the column value holds List")
    pl.DataFrame({**columns, "total_tokens": [True], "value": [1.0]}).write_parquet(path)
    refused(path, results, "column total_tokens, row 1: True")


def test_more_runs_than_a_study_can_have_are_refused(results: Path, table: WriteTable) -> None:
    rows = [f"ar,1000,100,val_loss,{i},5.0,{i}" for i in range(10_001)]
    path = table(*rows, header=f"{HEADER},time")
    request = Request(labels=("time",))
    refused(path, results, "10,001 runs", "time has 10,001 values", request=request)


def test_a_damaged_study_is_left_alone(results: Path, table: WriteTable) -> None:
    (results / "studies").mkdir(parents=True)
    (results / "studies" / "s.json").write_text("{broken")
    with pytest.raises(InputError, match="not a study"):
        import_runs(table(), "s", results)
    assert not (results / "runs").exists()
