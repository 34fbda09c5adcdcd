"""Tables to fit: what is wrong is named by file, row and column."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.conftest import Workbench
from tests.laws.fitting.conftest import law, made_table
from workbench.errors import InputError
from workbench.laws.fitting.check_table import check_table, poor_fit
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.read_table import read_table

GOOD = {
    "n_params": [1e7, 1e8, 1e9, 1e7, 1e8, 1e9, 3e7],
    "total_tokens": [1e9, 1e9, 1e9, 1e10, 1e10, 1e10, 3e9],
    "unique_tokens": [1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 3e9],
    "loss": [3.9, 3.4, 3.2, 3.6, 3.0, 2.8, 3.5],
}


def written(path: Path, **changes: list) -> Path:
    pl.DataFrame({**GOOD, **changes}, strict=False).write_csv(path)
    return path


def changed(column: str, row: int, value: object) -> list:
    values: list = [str(v) for v in GOOD[column]]
    values[row] = value
    return values


BAD = {
    "text in a number": ({"loss": changed("loss", 2, "three")}, ["row 3", "loss", '"three"']),
    "negative loss": ({"loss": changed("loss", 1, "-3.4")}, ["row 2", "loss", "-3.4"]),
    "zero loss": ({"loss": changed("loss", 1, "0")}, ["row 2", "loss"]),
    "not a number": ({"loss": changed("loss", 4, "nan")}, ["row 5", "loss"]),
    "infinite": ({"n_params": changed("n_params", 0, "inf")}, ["row 1", "n_params"]),
    "empty cell": ({"total_tokens": changed("total_tokens", 6, None)}, ["row 7", "nothing"]),
    "negative tokens": ({"unique_tokens": changed("unique_tokens", 3, "-1")}, ["row 4"]),
    "all alike": ({"loss": [3.0] * 7}, ["every loss is 3"]),
    "one configuration": (
        {k: [v[0]] * 7 for k, v in GOOD.items() if k != "loss"},
        ["1 distinct configuration"],
    ),
    "an empty objective": ({"objective": ["ar"] * 6 + [""]}, ["row 7", "objective"]),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_cell_is_named(case: str, tmp_path: Path) -> None:
    changes, words = BAD[case]
    path = written(tmp_path / "t.csv", **changes)
    with pytest.raises(InputError) as error:
        check_table(read_table(path), needs=5, law=law("chinchilla"))
    for word in [str(path), *words]:
        assert word in str(error.value)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pl.DataFrame(GOOD).rename({"n_params": "nparams"}).write_csv(path)
    with pytest.raises(InputError, match=r"no column n_params, did you mean 'nparams'\?.*--column"):
        read_table(path)
    assert read_table(path, {"n_params": "nparams"}).n_params[0] == 1e7


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00garbage\n\xfe", b"a,b\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        read_table(path)


def test_missing_files_folders_and_suffixes_are_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    for name in ("gone.csv", "d.csv", "t.xlsx"):
        with pytest.raises(InputError, match=name):
            read_table(tmp_path / name)


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv")
    pl.DataFrame(GOOD).write_parquet(tmp_path / "t.parquet")
    from_csv, from_parquet = read_table(path), read_table(tmp_path / "t.parquet")
    for name in ("n_params", "total_tokens", "unique_tokens", "loss", "compute"):
        assert np.array_equal(getattr(from_csv, name), getattr(from_parquet, name))


def findings(reads_unique: Any = False, /, **changes: list) -> list[str]:
    given = {**GOOD, **changes}
    arrays: dict[str, Any] = {k: np.array(given[k], dtype=float) for k in GOOD}
    columns = {k: np.array(v, dtype=object) for k, v in given.items()}
    table = LossTable(
        source="t", name=np.array([f"row {i + 1}" for i in range(7)]),
        compute=6 * arrays["n_params"] * arrays["total_tokens"], columns=columns, **arrays,
    )  # fmt: skip
    read = replace(law("chinchilla"), needs_unique=reads_unique)
    return check_table(table, needs=5, law=read)


def test_good_tables_have_no_findings() -> None:
    assert findings() == []


def test_copied_losses_are_named() -> None:
    (finding,) = findings(loss=[3.9, 3.4, 3.2, 3.6, 3.4, 2.8, 3.5])
    assert "3.4" in finding
    assert "row 2, row 5" in finding


def test_more_unique_than_total_tokens_are_named() -> None:
    (finding,) = findings(unique_tokens=[1e9, 1e9, 2e9, 1e9, 1e9, 1e9, 3e9])
    assert "row 3" in finding


def test_rows_of_equal_inputs_and_other_losses_are_named_but_for_seeds() -> None:
    n = [*GOOD["n_params"][:6], 1e7]
    d = [*GOOD["total_tokens"][:6], 1e9]
    columns: dict[str, list] = {"n_params": n, "total_tokens": d, "unique_tokens": [1e9] * 7}
    (finding,) = findings(**columns)
    assert finding.startswith("2 rows share parameters and tokens with another row of another loss")
    assert "(row 1, row 7: 3.5 to 3.9): repeats, or several conditions?" in finding
    (finding,) = findings(**columns, dropout=[0.0] * 6 + [0.1], seed=[0] * 6 + [1])
    assert "they differ in dropout" in finding
    assert findings(**columns, dropout=[0.0] * 7, seed=[0] * 6 + [1]) == []
    assert "repeats" in findings(**columns, dropout=[0.0] * 7, seed=[0] * 7)[0]
    # Other unique tokens are another input of a law that reads them, and to others a condition.
    columns["unique_tokens"] = [1e9] * 6 + [5e8]
    assert findings(True, **columns) == []
    assert "they differ in unique_tokens" in findings(**columns)[0]


def test_a_law_that_explains_little_says_so() -> None:
    assert poor_fit(0.26, "Of the losses,")[0].startswith("Of the losses, R2 0.26: most of")
    assert poor_fit(0.77, "Of the losses,") == []
    table = made_table("chinchilla", noise=1.0)
    (fit,) = fit_law(law("chinchilla"), table, FitOptions(resamples=0, diagnostics=False))
    assert any("Of the losses, R2" in finding for finding in fit.checks)


def test_other_units_are_suspected() -> None:
    assert any("perplexities" in f for f in findings(loss=[39.0, 34.1, 32, 36, 30, 28, 35]))
    assert any("in millions" in f for f in findings(n_params=[10, 11, 12, 13, 14, 15, 16]))


@pytest.mark.slow
def test_the_command_ends_with_status_2_and_no_traceback(
    tmp_path: Path, workbench: Workbench
) -> None:
    path = written(tmp_path / "t.csv", loss=changed("loss", 2, "three"))
    done: subprocess.CompletedProcess[str] = workbench(
        "fit", "--table", path, "--law", "chinchilla"
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "row 3" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_law_that_needs_unique_tokens_says_so(tmp_path: Path, workbench: Workbench) -> None:
    path = tmp_path / "t.csv"
    pl.DataFrame(GOOD).drop("unique_tokens").write_csv(path)
    done = workbench("fit", "--table", path, "--law", "data_constrained")
    assert done.returncode == 2
    assert "unique_tokens" in done.stderr
