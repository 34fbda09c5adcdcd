"""`workbench fit`: the JSON that programs rely on, and wrong input that ends with status 2."""

import json
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl
import pytest

from tests.laws.fitting.conftest import made_table
from tests.made_runs import MakeRun
from workbench.cli.root import main
from workbench.store import ingest, query

KEYS = {
    "law", "objective_name", "n", "loss", "huber_delta", "r2", "params", "ci95", "identified",
    "starts", "held_out",
}  # fmt: skip
QUICK = ("--law", "chinchilla", "--starts", "8", "--resamples", "20")


@dataclass
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """The command as a shell has it, without the start of a process. Warnings count as output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["workbench", "fit", *map(str, arguments)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = capfd.readouterr()
        assert [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)] == []
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out, err)

    return run


def strict(text: str) -> Any:
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} in JSON")

    return json.loads(text, parse_constant=refuse)


def frame(law: str = "chinchilla", sizes: int = 3, **changes: Any) -> pl.DataFrame:
    table = made_table(law, noise=0.004, sizes=sizes)
    columns = {
        name: [repr(float(x)) for x in getattr(table, name)]
        for name in ("n_params", "total_tokens", "unique_tokens", "loss")
    }
    return pl.DataFrame({**columns, **changes})


def with_cell(column: str, row: int, text: str | None) -> pl.DataFrame:
    good = frame()
    values: list[str | None] = good[column].to_list()
    values[row] = text
    return good.with_columns(pl.Series(column, values, dtype=pl.String))


def test_json_has_what_programs_rely_on(fit: Any, tmp_path: Path) -> None:
    frame().write_csv(tmp_path / "t.csv")
    done = fit("--table", "t.csv", *QUICK, "--format", "json")
    assert done.status == 0
    (result,) = strict(done.out)
    assert set(result) >= KEYS
    assert result["law"] == "chinchilla"
    assert result["objective_name"] is None
    assert result["n"] == 72
    assert result["huber_delta"] == 1e-3
    names = {"E", "A", "B", "alpha", "beta"}
    assert set(result["params"]) == set(result["ci95"]) == set(result["identified"]) == names
    assert all(isinstance(v, bool) for v in result["identified"].values())
    assert result["held_out"]["n"] > 0
    for name, (low, high) in result["ci95"].items():
        assert low <= result["params"][name] * (1 + 1e-2)
        assert high >= result["params"][name] * (1 - 1e-2)


def test_unbounded_is_null_and_nothing_is_infinite(fit: Any, tmp_path: Path) -> None:
    good = frame("data_constrained", sizes=6)
    once = good.with_columns(total_tokens=pl.col("unique_tokens"))
    once.write_csv(tmp_path / "t.csv")
    done = fit(
        "--table", "t.csv", "--law", "data_constrained", "--starts", "8", "--resamples", "20",
        "--fixed", "E=1.87,A=521,B=1488,alpha=0.353,beta=0.353", "--format", "json",
    )  # fmt: skip
    assert done.status == 0
    (result,) = strict(done.out)
    assert result["identified"]["R_D"] is False
    assert result["ci95"]["E"] is None
    assert sorted(result["fixed"]) == ["A", "B", "E", "alpha", "beta"]


@pytest.mark.parametrize("column", ["n_params", "loss"])
@pytest.mark.parametrize("value", ["1e-300", "1e300", "5e-324"])
def test_numbers_beyond_all_measure_are_refused(
    fit: Any, tmp_path: Path, column: str, value: str
) -> None:
    with_cell(column, 3, value).write_csv(tmp_path / "t.csv")
    done = fit("--table", "t.csv", *QUICK, "--format", "json")
    assert done.status == 2
    assert done.out == ""
    for word in ("t.csv", "row 4", column):
        assert word in done.err


NONSENSE = {
    "random losses": lambda t: np.random.default_rng(0).uniform(2, 4, len(t)),
    "losses that rise with size": lambda t: 1 / t,
    "losses of 1e29": lambda t: t * 1e29,
    "losses of 1e-9": lambda t: t * 1e-9,
    "one loss but for one row": lambda t: np.r_[np.full(len(t) - 1, 3.0), 3.1],
}


@pytest.mark.parametrize("case", NONSENSE)
def test_what_the_law_cannot_describe_is_not_called_identified(
    fit: Any, tmp_path: Path, case: str
) -> None:
    loss = NONSENSE[case](made_table("chinchilla", noise=0.004, sizes=2).loss)
    frame(sizes=2, loss=[repr(float(x)) for x in loss]).write_csv(tmp_path / "t.csv")
    done = fit("--table", "t.csv", *QUICK, "--format", "json")
    assert done.status == 0
    (result,) = strict(done.out)
    assert not all(result["identified"].values())
    assert "Not identified" in done.err


BAD_TABLES: dict[str, tuple[Any, list[str]]] = {
    "missing column": (lambda: frame().drop("loss"), ["no column loss"]),
    "missing columns": (lambda: frame().drop("loss", "n_params"), ["n_params", "loss"]),
    "text": (lambda: with_cell("n_params", 4, "7B"), ["row 5", "n_params", '"7B"']),
    "negative loss": (lambda: with_cell("loss", 0, "-1.5"), ["row 1", "loss", "-1.5"]),
    "zero": (lambda: with_cell("total_tokens", 71, "0"), ["row 72", "total_tokens"]),
    "nan": (lambda: with_cell("loss", 9, "NaN"), ["row 10", "loss", "NaN"]),
    "infinite": (lambda: with_cell("n_params", 9, "inf"), ["row 10", "n_params", "inf"]),
    "empty cell": (lambda: with_cell("loss", 9, None), ["row 10", "loss", "nothing"]),
    "one row": (lambda: frame().head(1), ["1 row", "5 free parameters"]),
    "five rows": (lambda: frame().head(5), ["5 rows"]),
    "rows all alike": (lambda: pl.concat([frame().head(1)] * 30), ["1 distinct configuration"]),
    "one loss": (lambda: frame(loss=["3.25"] * 72), ["every loss is 3.25"]),
    "one run of an objective": (
        lambda: frame(objective=["ar"] * 71 + ["mdlm"]),
        ["mdlm", "1 row"],
    ),
    "header only": (lambda: frame().head(0), ["no rows"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_end_with_status_2(fit: Any, tmp_path: Path, case: str) -> None:
    make, words = BAD_TABLES[case]
    make().write_csv(tmp_path / "t.csv")
    refused(fit("--table", "t.csv", *QUICK), ["t.csv", *words])


def refused(done: Done, words: list[str]) -> None:
    assert done.status == 2, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "Internal error" not in done.err
    for word in words:
        assert word in done.err, done.err


FILES = {
    "empty.csv": b"",
    "noise.csv": bytes(range(256)) * 40,
    "noise.parquet": bytes(range(256)) * 40,
    "empty.parquet": b"",
    "table.txt": b"n_params,total_tokens,loss\n1,2,3\n",
    "table": b"n_params,total_tokens,loss\n1,2,3\n",
    "semicolons.csv": b"n_params;total_tokens;loss\n1;2;3\n",
    "ragged.csv": b"n_params,total_tokens,loss\n1,2,3,4\n1,2\n",
    "utf16.csv": "n_params,total_tokens,loss\n1,2,3\n".encode("utf-16"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_tables_end_with_status_2(fit: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    refused(fit("--table", name, *QUICK), [name])


def test_missing_files_and_folders_end_with_status_2(fit: Any, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("gone.csv", "folder.csv", "."):
        refused(fit("--table", name, *QUICK), [name])


BAD_OPTIONS = {
    "unknown parameter": (["--fixed", "Alpha=0.3"], ["Alpha", "'alpha'"]),
    "value out of range": (["--fixed", "alpha=9"], ["--fixed alpha=9", "0.005 to 3"]),
    "value not a number": (["--fixed", "E=two"], ["--fixed E=two", "number"]),
    "value nan": (["--fixed", "E=nan"], ["--fixed E=nan"]),
    "value infinite": (["--fixed", "A=inf"], ["--fixed A=inf"]),
    "no value": (["--fixed", "E"], ["--fixed E", "name=value"]),
    "tie of a scale and an exponent": (["--tie", "A=alpha"], ["--tie A=alpha"]),
    "tie with itself": (["--tie", "alpha=alpha"], ["--tie alpha=alpha"]),
    "tie of nothing": (["--tie", "alpha"], ["--tie alpha"]),
    "tie of an unknown": (["--tie", "alpha=gamma"], ["gamma", "chinchilla"]),
    "tie of different values": (
        ["--tie", "alpha=beta", "--fixed", "alpha=.3,beta=.4"],
        ["--tie alpha=beta", "different"],
    ),
    "share of an unknown": (["--share", "gamma"], ["gamma"]),
    "share and joint": (["--share", "alpha", "--joint"], ["--joint", "--share"]),
    "two stages of one": (["--two-stage"], ["--two-stage", "one stage"]),
    "unknown law": (["--law", "chinchila"], ["--law chinchila", "'chinchilla'"]),
    "fixed of a procedure": (["--law", "isoflop", "--fixed", "a=1"], ["--fixed", "isoflop"]),
    "no such column": (["--column", "loss=nll"], ["nll", "Columns here"]),
    "no such column of ours": (["--column", "los=loss"], ["los", "'loss'"]),
    "column without a name": (["--column", "loss"], ["--column loss"]),
    "table and study": (["--study", "tiny"], ["--table", "STUDY"]),
    "no such column to choose by": (["--where", "n_parms > 1e8"], ["n_parms", "'n_params'"]),
    "a choice of no row": (["--where", "n_params > 1e99"], ["t.csv", "no row with", "n_params is"]),
    "no condition": (["--where", "n_params"], ["--where n_params", "COLUMN OP VALUE"]),
    "no such cluster": (["--cluster", "los"], ["--cluster los", "'loss'"]),
    "one cluster": (
        ["--where", "n_params < 2e7", "--cluster", "size", "--fixed", "A=400,alpha=0.3"],
        ["--cluster size", "one cluster"],
    ),
    "clusters of a law without resamples": (
        ["--law", "critical_compute", "--cluster", "size"],
        ["--cluster", "critical_compute"],
    ),
    "no delta": (["--huber-delta", "0"], ["--huber-delta"]),
    "no starts": (["--starts", "0"], ["--starts"]),
    "negative resamples": (["--resamples", "-1"], ["--resamples"]),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_end_with_status_2(fit: Any, tmp_path: Path, case: str) -> None:
    frame().write_csv(tmp_path / "t.csv")
    arguments, words = BAD_OPTIONS[case]
    refused(fit("--table", "t.csv", *QUICK, *arguments), words)


def test_conditions_clusters_and_delta_reach_the_fit(fit: Any, tmp_path: Path) -> None:
    frame(sizes=8).write_csv(tmp_path / "t.csv")
    chosen = ("--where", "n_params >= 1e8 and unique_tokens in (4e8, 2e9, 1e10)")
    arguments = (*QUICK, "--cluster", "size", "--huber-delta", "0.1", "--format", "json")
    done = fit("--table", "t.csv", *chosen, *arguments)
    assert done.status == 0, done.err
    (row,) = strict(done.out)
    sizes = sum(n >= 1e8 for n in np.unique(made_table("chinchilla", sizes=8).n_params))
    assert row["n"] == sizes * 3 * 6
    assert row["huber_delta"] == 0.1
    assert row["ci_method"].startswith(f"bootstrap over {sizes} clusters (size), 20 resamples")
    assert f"Intervals: {row['ci_method']}." in done.err
    assert "Note: only rows with n_params >= 100000000 and unique_tokens in (" in done.err


def test_neither_table_nor_study_ends_with_status_2(fit: Any) -> None:
    refused(fit(*QUICK), ["--table", "STUDY"])


@pytest.mark.parametrize("law", ["data_constrained", "data_constrained_geometric", "quokka"])
def test_laws_of_repeats_need_unique_tokens(fit: Any, tmp_path: Path, law: str) -> None:
    frame().drop("unique_tokens").write_csv(tmp_path / "t.csv")
    refused(fit("--table", "t.csv", "--law", law), ["unique_tokens", law])


def test_studies_are_fitted_together_and_kept_under_their_names(
    fit: Any, results: Path, make_run: MakeRun
) -> None:
    for study, lift in (("one", 0.0), ("two", 0.25)):
        for unique in (12_800, 32_000):
            values = {10: 3.0 + lift, 20: 2.0 + lift + unique / 1e5}
            keys = [f"data.unique_tokens={unique}"]
            make_run(f"{study}-{unique}", values, study=study, overrides=keys)
    ingest(results)
    done = fit(
        "--study", "one", "--study", "two", "--law", "chinchilla", "--cluster", "study",
        "--fixed", "A=1e-6,alpha=0.3,B=1e-6,beta=0.3", "--starts", "2", "--resamples", "20",
        "--results", results, "--format", "json",
    )  # fmt: skip
    assert done.status == 0
    (result,) = strict(done.out)
    assert result["n"] == 4
    assert "2 clusters (study)" in result["ci_method"]
    kept = query(results, "SELECT study, law FROM fits").to_dicts()
    assert kept == [{"study": "one, two", "law": "chinchilla"}]
