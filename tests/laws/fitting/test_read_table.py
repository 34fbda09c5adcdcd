"""Tables of losses from files of all kinds, by the reader that `import` has."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from workbench.errors import InputError
from workbench.laws.fitting.read_table import read_table

FILES = Path(__file__).parents[2] / "importing" / "tables"
COMPUTE = {"n_params": "Model Size", "compute": "Training FLOP"}


def plain() -> pl.DataFrame:
    return pl.read_csv(FILES / "losses.tsv", separator="\t")


@pytest.mark.parametrize("kind", ["blank-lines", "utf16", "german", "savetxt"])
def test_every_spelling_gives_the_numbers_of_the_plain_one(kind: str) -> None:
    table = read_table(FILES / f"losses-{kind}.csv")
    for name in ("n_params", "total_tokens", "loss"):
        assert np.array_equal(getattr(table, name), plain()[name].to_numpy())


@pytest.mark.parametrize("end", [".parquet", ".jsonl", ".csv.gz"])
def test_other_formats_give_the_numbers_of_the_plain_one(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"losses{end}"
    if end == ".parquet":
        plain().write_parquet(path)
    elif end == ".jsonl":
        plain().write_ndjson(path)
    else:
        path.write_bytes(gzip.compress(plain().write_csv().encode()))
    assert np.array_equal(read_table(path).loss, plain()["loss"].to_numpy())


def test_lines_that_end_in_cr_alone_are_lines() -> None:
    table = read_table(FILES / "cr-only-losses.csv")
    assert len(table) == 36
    assert table.loss[:2].tolist() == [3.0, 2.99]


def test_tokens_follow_from_compute_and_parameters_with_a_note() -> None:
    table = read_table(FILES / "losses-compute.csv", COMPUTE)
    np.testing.assert_allclose(table.total_tokens, plain()["total_tokens"].to_numpy(), rtol=1e-5)
    assert any("total_tokens is compute / (6 n_params)" in note for note in table.notes)
    assert np.array_equal(table.compute, table.columns["Training FLOP"].astype(float))


def test_parameters_follow_from_compute_and_tokens_with_a_note(tmp_path: Path) -> None:
    frame = plain().with_columns(compute=6.0 * pl.col("n_params") * pl.col("total_tokens"))
    frame.drop("n_params").write_csv(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_allclose(table.n_params, plain()["n_params"].to_numpy())
    assert any("n_params is compute / (6 total_tokens)" in note for note in table.notes)


def test_a_missing_count_names_compute_as_a_way_out() -> None:
    with pytest.raises(InputError, match=r"no column total_tokens.*--column compute=theirs"):
        read_table(FILES / "losses-compute.csv", {"n_params": "Model Size"})


def test_what_stands_for_every_row_is_taken(tmp_path: Path) -> None:
    plain().drop("n_params").write_csv(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv", {"n_params": "2e8", "objective": "ar"})
    assert set(table.n_params) == {2e8}
    assert table.objectives == ["ar"]
    with pytest.raises(InputError, match="no column los, did you mean 'loss'"):
        read_table(tmp_path / "t.csv", {"n_params": "2e8", "loss": "los"})


@pytest.mark.parametrize(
    ("column", "factor"), [("n_params", 1e9), ("total_tokens", 1e9), ("compute", 8.64e19)]
)
def test_another_unit_is_asked_about_and_the_answer_is_taken(
    tmp_path: Path, column: str, factor: float
) -> None:
    frame = plain().with_columns(compute=6.0 * pl.col("n_params") * pl.col("total_tokens"))
    path = tmp_path / "t.csv"
    frame.with_columns(pl.col(column).cast(float) / factor).write_csv(path)
    with pytest.raises(InputError, match=f"{column} seems to be in another unit.*--unit {column}="):
        read_table(path)
    table = read_table(path, units={column: factor})
    np.testing.assert_allclose(getattr(table, column), frame[column].to_numpy(), rtol=1e-12)
    assert any(f"one of {column} is" in note for note in table.notes)


def test_a_wrong_cell_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("# a comment\nn_params\ttotal_tokens\tloss\n\n1e6\t1e8\tthree\n")
    with pytest.raises(InputError, match=r'row 1 \(line 4\), column loss: "three"'):
        read_table(path)
