"""Commands that look at runs: status, show, log."""

import csv
import io
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from tests.made_runs import MakeRun
from workbench.cli import app, following
from workbench.cli.following import _fitting
from workbench.errors import InputError
from workbench.running.status import status_rows, summaries
from workbench.runs.folder import RunFolder
from workbench.runs.log import log_lines
from workbench.store import ingest

LR = "training.lr"


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    make_run("aa11", {10: 3.0, 20: 2.0, 30: 2.5}, overrides=[f"{LR}=0.1"])
    make_run("ab22", {10: 4.0}, overrides=[f"{LR}=0.2", "training.seed=1"], state="interrupted")
    ingest(results)
    return results


def ask(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def ask_json(*arguments: str | Path):
    return json.loads(ask(*arguments, "--format", "json"))


def test_status_has_the_keys_that_vary_the_seed_and_the_progress(study: Path) -> None:
    one, other = ask_json("status", "made", "--results", study)
    assert (one["varies"], one["seed"]) == ({LR: 0.1}, 0)
    assert (other["varies"], other["seed"]) == ({LR: 0.2}, 1)
    assert other["progress"] == 10 / other["steps"]
    assert 0 <= one["age_seconds"] < 3600
    head, *_ = ask("status", "--results", study).strip().splitlines()
    assert {"run_id", "lr", "seed", "state", "progress", "age"} <= set(head.split())
    (row, _) = csv.DictReader(io.StringIO(ask("status", "--results", study, "--format", "csv")))
    assert row[LR] == "0.1"


def test_a_run_that_trains_has_a_speed_and_the_time_that_remains(
    results: Path, make_run: MakeRun
) -> None:
    run = make_run("aa", {100: 900.0}, metric="tokens_per_second")
    now = time.time()
    with run.claim():
        run.write_status(state="running", step=100, attempts=1, started=now - 50)
        (row,) = status_rows(results)
        assert row["tokens_per_second"] == 900.0
        assert row["seconds_left"] == pytest.approx(50 / 100 * (row["steps"] - 100), rel=0.05)
        (line,) = summaries([row])
        assert "25 % of all steps, about 2 min" in line
    (row,) = status_rows(results)
    assert (row["state"], row["seconds_left"]) == ("interrupted", None)


def test_status_takes_several_studies(study: Path, make_run: MakeRun) -> None:
    make_run("cc33", {1: 1.0}, study="other")
    make_run("dd44", {1: 1.0}, study="third")
    rows = ask_json("status", "made", "third", "--results", study)
    assert [row["run_id"] for row in rows] == ["aa11", "ab22", "dd44"]
    with pytest.raises(InputError, match="no study mad, did you mean 'made'"):
        ask("status", "mad", "--results", study)


def test_watching_a_pipe_prints_what_changes_and_ends_with_the_runs(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([lambda: None, lambda: finish()])

    def finish() -> None:
        RunFolder(study / "runs" / "ab22").write_status(state="finished", step=400)

    clock = SimpleNamespace(sleep=lambda seconds: next(waits)())
    monkeypatch.setattr(following, "time", clock)
    out = ask("status", "made", "--watch", "--results", study)
    first, last = out.splitlines()
    assert first.startswith("made: 1 finished, 1 interrupted;")
    assert last == "2 runs have ended."


def test_a_run_is_shown_with_its_keys_values_and_files(study: Path) -> None:
    shown = ask_json("show", "aa", "--results", study)
    assert shown["run_id"] == "aa11"
    assert shown["studies"] == ["made"]
    assert shown["keys"][LR] == 0.1
    (value,) = shown["values"]
    assert (value["metric"], value["last"], value["step"]) == ("val_loss", 2.5, 30)
    assert (value["best"], value["best_step"]) == (2.0, 20)
    assert Path(shown["files"]["records"]).exists()
    text = ask("show", "aa", "--results", study)
    assert str(study / "runs" / "aa11" / "config.json") in text


def test_two_runs_are_shown_by_what_differs(study: Path) -> None:
    answer = ask_json("show", "aa", "ab", "--results", study)
    differing = {row["what"]: (row["aa11"], row["ab22"]) for row in answer["differences"]}
    assert differing == {
        "state": ("finished", "interrupted"),
        LR: (0.1, 0.2),
        "training.seed": (0, 1),
        "last val_loss": (2.5, 4.0),
    }


def test_a_run_of_a_dataset_is_shown_without_files() -> None:
    (study, run_id) = next(
        csv.reader(
            io.StringIO(
                ask("sql", "SELECT study, run_id FROM study_runs ORDER BY ALL LIMIT 1",
                    "--from", "shipped", "--format", "csv").partition("\n")[2]
            )
        )
    )  # fmt: skip
    shown = ask_json("show", run_id[:11], "--from", "shipped")
    assert (shown["run_id"], shown["files"]) == (run_id, {})
    assert study in shown["studies"]
    assert shown["values"]


@pytest.mark.parametrize("command", ["show", "log", "retry", "cancel"])
def test_a_beginning_that_several_runs_share_is_asked_about(study: Path, command: str) -> None:
    with pytest.raises(InputError, match="aa11, ab22 begin so"):
        ask(command, "a", "--results", study)


def test_cancel_takes_beginnings_of_ids_and_several_at_once(study: Path, make_run: MakeRun) -> None:
    make_run("cc33", {1: 1.0}, study="other", state="interrupted")
    done = CliRunner().invoke(app, ["cancel", "ab", "other", "--results", str(study)])
    assert done.stderr.splitlines() == ["ab22: cancelled.", "cc33: cancelled."]


def test_the_end_of_a_log_is_shown_and_all_of_it_if_asked(study: Path) -> None:
    path = study / "runs" / "aa11" / "log.txt"
    path.write_text("".join(f"line {i}\n" for i in range(30)) + "no end")
    assert ask("log", "aa", "--results", study).splitlines()[:2] == ["line 10", "line 11"]
    assert ask("log", "aa", "-n", "0", "--results", study).splitlines()[-1] == "no end"
    with pytest.raises(InputError, match="run ab22 has no log: it has not been started"):
        ask("log", "ab", "--results", study)


def test_a_log_is_followed_until_nobody_trains_the_run(study: Path) -> None:
    run = RunFolder(study / "runs" / "aa11")
    run.log_path.write_text("first\n")
    seen: list[str] = []
    with run.claim():
        lines = log_lines(run, 20, follow=True)
        seen.append(next(lines))
        with open(run.log_path, "a") as file:
            file.write("second\nthi")
            file.flush()
            seen.append(next(lines))
            file.write("rd\nlast")
    assert [*seen, *lines] == ["first", "second", "third", "last"]


def test_a_narrow_terminal_is_watched_with_fewer_columns() -> None:
    row = {
        "run_id": "a" * 12,
        "objective": "ar",
        "lr": 0.1,
        "seed": 0,
        "state": "interrupted",
        "progress": "2 %",
        "step": 10,
        "tokens/s": 900.0,
        "to go": "1 min 10 s",
        "age": "9 s",
    }
    for width in (30, 60, 200):
        (fitting,) = _fitting([row], width)
        assert sum(3 + max(len(n), len(str(v))) for n, v in fitting.items()) < width
    assert list(_fitting([row], 60)[0]) == ["run_id", "state", "progress", "to go"]
    assert _fitting([row], 200) == [row]
    assert _fitting([], 60) == []


def test_the_best_run_comes_first(study: Path, make_run: MakeRun) -> None:
    make_run("ac33", {10: 1.0, 20: 5.0}, overrides=[f"{LR}=0.3"])
    make_run("ad44", {10: 0.5}, metric="cloze_acc")
    make_run("ae55", {10: 0.7}, metric="cloze_acc")
    ingest(study)
    rows = ask_json("status", "made", "--metric", "val_loss", "--results", study)
    assert [row["run_id"] for row in rows] == ["ac33", "aa11", "ab22", "ad44", "ae55"]
    assert (rows[0]["best"], rows[0]["best_step"], rows[0]["last"]) == (1.0, 10, 5.0)
    higher = ask_json("status", "made", "--metric", "cloze_acc", "--results", study)
    assert [row["run_id"] for row in higher][:2] == ["ae55", "ad44"]
    assert "best" in ask("status", "--metric", "val_loss", "--results", study).split()
    with pytest.raises(InputError, match="did you mean 'val_loss'"):
        ask("status", "--metric", "val_los", "--results", study)
