"""What W&B exports as CSV: charts, histories, and its table of runs."""

from pathlib import Path

import polars as pl
import pytest

from tests.importing.conftest import WriteTable
from workbench.errors import InputError
from workbench.importing.importer import import_runs, preview, read_source
from workbench.importing.request import Request
from workbench.store import query

FILES = Path(__file__).parent / "tables"
FACTS = {"objective": "ar", "n_params": "1e6", "unique_tokens": "1e5"}


def curve(path: Path, metric: str, **request: object) -> list[tuple[object, ...]]:
    frame = read_source(path, Request(**request)).frame.filter(pl.col("metric") == metric)  # type: ignore[arg-type]
    return frame.select("objective", "step", "total_tokens", "value").rows()


def test_a_chart_gives_its_runs_by_a_table_of_runs(results: Path) -> None:
    request = Request(runs=FILES / "runs.csv")
    report = import_runs(FILES / "wandb-chart.csv", "a", results, request=request)
    assert (report.runs, report.records, report.notes) == (2, 10, [])
    sql = "SELECT objective, step, tokens, value FROM curves WHERE metric = 'val_loss' ORDER BY ALL"
    assert query(results, sql).rows() == [
        *(("ar", s, s * 1000, round(3 + s / 1000, 3)) for s in range(10, 60, 10)),
        *(("mdlm", s, s * 1000, round(3.4 - s / 1000, 3)) for s in range(10, 60, 10)),
    ]


def test_a_chart_says_what_it_does_not_tell_and_how_to_tell_it() -> None:
    with pytest.raises(InputError) as caught:
        read_source(FILES / "wandb-chart.csv")
    for words in ("objective of ar-small, mdlm-small", "--column objective=ar", "--runs FILE"):
        assert words in str(caught.value)
    assert "Step" not in str(caught.value)


def test_what_all_runs_of_a_chart_share_is_given_once(table: WriteTable) -> None:
    columns = {**FACTS, "tokens_per_step": "1000"}
    rows = curve(FILES / "wandb-chart.csv", "val_loss", columns=columns, labels=("run",))
    assert len(rows) == 10
    with pytest.raises(InputError, match="ar-small and mdlm-small describe the same run"):
        read_source(FILES / "wandb-chart.csv", Request(columns=columns))


def test_a_chart_over_tokens_of_names_with_hyphens_and_a_group() -> None:
    points = read_source(
        FILES / "wandb-chart-tokens.csv",
        Request(columns={**FACTS, "n_params": "1000"}, labels=("run",)),
    )
    assert points.frame.select("run", "step", "total_tokens", "value").rows() == [
        *(("size - 1M", None, 1000 * i, round(4 - i / 10, 2)) for i in range(1, 5)),
        ("2M", None, 2000, 3.7),
        ("2M", None, 4000, 3.5),
    ]
    assert any("size - 1M - val_loss is a mean" in note for note in points.notes)
    assert not any("2M - val_loss is a mean" in note for note in points.notes)


def test_a_chart_over_time_is_refused_with_the_way_out(table: WriteTable) -> None:
    path = table('"1.5","3.0"', header='"Relative Time (Process)","ar - val_loss"')
    with pytest.raises(InputError, match=r"over Relative Time.*steps or tokens"):
        read_source(path)


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_a_history_gives_its_metrics_over_its_own_tokens(tmp_path: Path, end: str) -> None:
    path = FILES / "wandb-history.csv"
    frame = pl.read_csv(path)
    if end == ".parquet":
        path = tmp_path / "history.parquet"
        frame.write_parquet(path)
    elif end == ".jsonl":
        path = tmp_path / "history.jsonl"
        frame.write_ndjson(path)
    train = curve(path, "train_loss", columns=FACTS)
    assert train == [("ar", i, 2048 * i, round(4 - i / 50, 3)) for i in range(0, 100, 10)]
    val = curve(path, "val_loss", columns=FACTS)
    assert val == [("ar", i, 2048 * i, round(4.1 - i / 60, 4)) for i in range(0, 100, 20)]
    notes = read_source(path, Request(columns=FACTS)).notes
    assert any("_runtime, _timestamp, state" in note for note in notes)


def test_a_table_of_runs_gives_the_last_value_of_what_is_known_as_a_metric() -> None:
    rows, notes = preview(FILES / "wandb-runs.csv", Request(without=("eval*",)))
    assert [(row["objective"], row["seed"], row["last"]) for row in rows] == [
        ("ar", 0, 3.1), ("ar", 1, 3.2), ("mdlm", 0, 3.3), ("mdlm", 1, 3.4),
    ]  # fmt: skip
    assert {(row["metric"], row["last_tokens"]) for row in rows} == {("val_loss", 2_000_000)}
    assert {row["lr"] for row in rows} == {1e-3}
    assert any("Runtime, batch_size" in note for note in notes)
    rows, _ = preview(FILES / "wandb-runs.csv", Request(labels=("batch_size",)))
    assert {row["batch_size"] for row in rows} == {"32"}


def test_metrics_in_columns_are_read_with_the_runs_that_columns_distinguish(
    table: WriteTable,
) -> None:
    path = table(
        "ar,1000,100,0,100,5.0,0.5", "ar,1000,100,0,200,4.0,", "ar,1000,100,1,100,5.1,0.4",
        header="objective,n_params,unique_tokens,seed,total_tokens,val_loss,cloze_acc",
    )  # fmt: skip
    rows, _ = preview(path)
    assert [(r["seed"], r["metric"], r["points"], r["last"]) for r in rows] == [
        (0, "cloze_acc", 1, 0.5), (0, "val_loss", 2, 4.0),
        (1, "cloze_acc", 1, 0.4), (1, "val_loss", 1, 5.1),
    ]  # fmt: skip


def test_rows_of_several_runs_in_one_are_asked_about(table: WriteTable) -> None:
    rows = [f"{step},{k + 3}.{step},{k}" for k in (1, 2) for step in range(1, 4)]
    path = table(*rows, header="step,val_loss,batch")
    request = Request(columns={**FACTS, "tokens_per_step": "1000"})
    with pytest.raises(InputError, match=r"row 4 \(line 5\): steps begin again at 1.*--label"):
        read_source(path, request)
    rows, _ = preview(path, Request(columns=request.columns, labels=("batch",)))
    assert [(row["batch"], row["points"]) for row in rows] == [("1", 3), ("2", 3)]


def test_a_history_that_goes_on_from_a_checkpoint_has_no_points_of_the_old_attempt(
    table: WriteTable,
) -> None:
    steps = [*range(10, 160, 10), *range(110, 140, 10)]
    rows = [f"{step},{i},{9 - i / 10 if step % 50 == 0 else ''}" for i, step in enumerate(steps)]
    path = table(*rows, header="step,train_loss,val_loss")
    request = {"columns": {**FACTS, "tokens_per_step": "1000"}}
    train = curve(path, "train_loss", **request)
    assert [row[1] for row in train] == list(range(10, 140, 10))
    assert train[-1][3] == 17.0
    assert [row[1] for row in curve(path, "val_loss", **request)] == [50, 100]


def test_a_folder_of_tables_has_a_run_in_each(tmp_path: Path) -> None:
    for name in ("ar/version_0", "mdlm/version_0"):
        (tmp_path / name).mkdir(parents=True)
        text = "epoch,step,train_loss,val_loss\n0,9,3.5,\n0,9,,3.4\n1,19,3.1,3.0\n"
        (tmp_path / name / "metrics.csv").write_text(text)
    (tmp_path / "runs.csv.txt").write_text("")
    given = tmp_path.parent / "given.csv"
    given.write_text("run,objective\nar/version_0,ar\nmdlm/version_0,mdlm\n")
    columns = {"n_params": "1e5", "unique_tokens": "1e4", "tokens_per_step": "1000"}
    rows, _ = preview(tmp_path, Request(columns=columns, runs=given))
    assert [(r["objective"], r["metric"], r["points"], r["last"]) for r in rows] == [
        ("ar", "train_loss", 2, 3.1), ("ar", "val_loss", 2, 3.0),
        ("mdlm", "train_loss", 2, 3.1), ("mdlm", "val_loss", 2, 3.0),
    ]  # fmt: skip
