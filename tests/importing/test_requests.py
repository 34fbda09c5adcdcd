"""What a user asks of an import: facts, choices of metrics, a look beforehand."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.importing.conftest import HEADER, ROWS, WriteTable
from workbench.cli import main
from workbench.errors import InputError
from workbench.importing.importer import preview, read_source
from workbench.importing.logs import read_logs
from workbench.importing.request import Request
from workbench.importing.run_log import RunLog

FILES = Path(__file__).parent / "tables"
FACTS = {"objective": "ar", "n_params": "1e5", "unique_tokens": "1e4", "tokens_per_step": "100"}


def logs(tmp_path: Path, request: Request, **runs: object) -> list[tuple[object, ...]]:
    """(objective, seed, metric, points) of logs that `runs` gives, or raises."""

    def loader(log: object):
        def load() -> RunLog:
            if isinstance(log, str):
                raise InputError(log)
            return RunLog({tag: dict(enumerate(v, 1)) for tag, v in log.items()})  # type: ignore[attr-defined]

        return load

    points = read_logs(tmp_path, {name: loader(log) for name, log in runs.items()}, request)
    logs.notes = points.notes  # type: ignore[attr-defined]
    counts = points.frame.group_by("objective", "seed", "metric", maintain_order=True).len()
    return counts.rows()


def test_a_text_stands_for_every_row(table: WriteTable) -> None:
    path = table("1000,100,100,5.0", header="n_params,unique_tokens,total_tokens,value")
    frame = read_source(path, Request(columns={"objective": "GPT", "metric": "val_loss"})).frame
    assert frame.select("objective", "metric").rows() == [("ar", "val_loss")]


def test_a_misspelt_column_does_not_become_a_text(table: WriteTable) -> None:
    path = table(ROWS[0], header=HEADER.replace("objective", "family"))
    with pytest.raises(InputError, match="has no column famly, did you mean 'family'"):
        read_source(path, Request(columns={"objective": "famly"}))


def test_a_table_of_runs_tells_what_points_do_not(table: WriteTable, tmp_path: Path) -> None:
    path = table("a,val_loss,100,5.0", "b,val_loss,100,4.0", "c,val_loss,100,3.0",
                 header="run,metric,total_tokens,value")  # fmt: skip
    runs = table("a,ar,1000,50,1", "b,mdlm,1000,50,2", name="runs.csv",
                 header="name,objective,n_params,unique_tokens,seed")  # fmt: skip
    points = read_source(path, Request(runs=runs))
    keys = points.frame.select("objective", "n_params", "unique_tokens", "seed", "run", "value")
    assert keys.rows() == [("ar", 1000, 50, 1, "a", 5.0), ("mdlm", 1000, 50, 2, "b", 4.0)]
    assert any("1 run" in note and "runs.csv" in note for note in points.notes)


def test_a_table_of_runs_is_checked(table: WriteTable, tmp_path: Path) -> None:
    for rows, header, words in (
        (["ar-small,ar", "ar-small,mdlm"], "run,objective", "ar-small has two rows"),
        (["1,ar"], "seed,objective", "the column run is missing"),
        ([",ar"], "run,objective", "names no run"),
        (["other,ar"], "run,objective", "names none of the runs"),
    ):
        runs = table(*rows, header=header, name="runs.csv")
        with pytest.raises(InputError, match=words):
            read_source(FILES / "wandb-chart.csv", Request(runs=runs))


def test_facts_of_a_run_come_from_options_then_the_table_then_the_log_then_its_name(
    tmp_path: Path, table: WriteTable
) -> None:
    runs = table("1m_2e_ar_1m,,5", header="run,objective,seed", name="runs.csv")
    run = {"1m_2e_ar_1m": {"val_loss": [5.0]}}
    assert logs(tmp_path, Request(runs=runs), **run) == [("ar", 5, "val_loss", 1)]
    request = Request(runs=runs, columns={"objective": "mdlm", "seed": "7"})
    assert logs(tmp_path, request, **run) == [("mdlm", 7, "val_loss", 1)]


def test_runs_that_end_at_other_tokens_stay_runs(tmp_path: Path, table: WriteTable) -> None:
    runs = table("a,1e-3,10", "b,2e-3,20", header="run,lr,planned", name="runs.csv")
    request = Request({**FACTS}, runs=runs)
    loaders = {
        name: partial(RunLog, {"val_loss": {at: 3.0}}) for name, at in (("a", 10), ("b", 20))
    }
    frame = read_logs(tmp_path, loaders, request).frame
    assert frame.select("lr", "planned", "step").rows() == [(1e-3, "10", 10), (2e-3, "20", 20)]


def test_metrics_are_chosen_by_their_names_or_the_sources(tmp_path: Path) -> None:
    tags = {"val/loss": [3.0], "train/loss": [3.0], "train/grad": [1.0]}
    for request, left in (
        (Request(only=("val_loss",)), {"val_loss"}),
        (Request(only=("val/*",)), {"val_loss"}),
        (Request(without=("train/*",)), {"val_loss"}),
        (Request(only=("*loss",), without=("train_loss",)), {"val_loss"}),
    ):
        rows = logs(tmp_path, Request(FACTS, only=request.only, without=request.without), run=tags)
        assert {row[2] for row in rows} == left
    with pytest.raises(InputError, match=r"--without trian/.*nothing is called so"):
        logs(tmp_path, Request(FACTS, without=("trian/*",)), run=tags)


def test_metrics_of_a_table_are_chosen_too(table: WriteTable) -> None:
    path = table(*ROWS, "ar,1000,100,loss-change,100,-0.5")
    assert {row["metric"] for row in preview(path)[0]} == {"val_loss", "loss-change"}
    rows, _ = preview(path, Request(without=("loss-*",)))
    assert {row["metric"] for row in rows} == {"val_loss"}


def test_a_run_that_cannot_be_read_costs_itself_and_is_named(tmp_path: Path) -> None:
    runs = {"bad": "it is damaged.", "empty": {}, "good": {"val_loss": [3.0, 2.0]}}
    assert logs(tmp_path, Request(FACTS), **runs) == [("ar", None, "val_loss", 2)]
    notes = logs.notes  # type: ignore[attr-defined]
    assert "bad is left out: it is damaged." in notes
    assert any("empty" in note for note in notes)
    with pytest.raises(InputError, match="bad: it is damaged"):
        logs(tmp_path, Request(FACTS), bad="it is damaged.")


def test_a_negative_loss_costs_its_tag_in_that_run(tmp_path: Path) -> None:
    rows = logs(
        tmp_path, Request(FACTS, labels=("run",)),
        one={"val_loss": [3.0, -1.0], "train_loss": [3.0], "loss-change": [-0.5]},
        two={"val_loss": [3.0]},
    )  # fmt: skip
    assert [row[2:] for row in rows] == [("loss-change", 1), ("train_loss", 1), ("val_loss", 1)]
    assert any("one: val_loss at step 2 is -1" in n for n in logs.notes)  # type: ignore[attr-defined]


def test_a_look_beforehand_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--runs", str(FILES / "runs.csv"), "--dry-run", "--format", "json"]
    given = ["workbench", "import", str(FILES / "wandb-chart.csv"), *options]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {
        "objective": "ar", "n_params": 1_000_000, "unique_tokens": 25_000, "metric": "val_loss",
        "points": 5, "first_tokens": 10_000, "first": 3.01, "last_tokens": 50_000, "last": 3.05,
    }  # fmt: skip
    assert len(rows) == 2
    assert list(tmp_path.iterdir()) == []
