"""`workbench eval`: numbers of a checkpoint, saved beside what training recorded."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from tests.evaluation.conftest import Study
from tests.evaluation.test_question_files import HELLASWAG, MMLU, written
from workbench.analysis.curves import load_curves
from workbench.cli import app
from workbench.errors import InputError
from workbench.runs.folder import RunFolder
from workbench.store import database_path, ingest, query
from workbench.store.read_records import read_records


@pytest.fixture
def results(study: Study, tmp_path: Path) -> Path:
    """A copy of the trained runs, ingested: finished runs are sealed."""
    source = study["ar"].results
    target = tmp_path / "results"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.duckdb"))
    ingest(target)
    return target


def run_of(results: Path, objective: str) -> RunFolder:
    for path in (results / "runs").iterdir():
        run = RunFolder(path)
        training = run.config_json()["config"]["training"]
        if training["objective"] == objective and run.records_path.exists():
            return run
    raise AssertionError(objective)


def evaluate(results: Path, *arguments: str | Path, fmt: str = "json") -> Result:
    given = [*map(str, arguments), "--results", str(results), "--format", fmt]
    return CliRunner().invoke(app, ["eval", *given, "--device", "cpu"], catch_exceptions=False)


def rows_of(result: Result) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return {row["metric"]: row for row in json.loads(result.stdout)}


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_the_last_checkpoint_has_the_numbers_that_training_recorded(
    results: Path, objective: str
) -> None:
    run = run_of(results, objective)
    asked = ["--tasks", "cloze", "--questions", "16"]
    asked += [] if objective == "ar" else ["--draws", "4"]
    rows = rows_of(evaluate(results, run.run_id[:6], *asked))
    trained = read_records(run.records_path).frame.filter(step=12)
    for metric in ("cloze_acc", "cloze_nll_true", "cloze_nll_other"):
        (row,) = trained.filter(metric=metric).to_dicts()
        assert rows[metric]["value"] == pytest.approx(row["value"], rel=1e-5)
        assert rows[metric]["stderr"] == pytest.approx(row["stderr"], rel=1e-4)
        assert (rows[metric]["n"], rows[metric]["step"]) == (16, 12)
    draws, kind = (None, "nll") if objective == "ar" else (4, "nelbo")
    assert rows["cloze_acc"]["estimator"] == f"{kind}/seed=0/questions=16"
    assert rows["cloze_acc"]["draws"] == draws


def test_draws_stop_early_unless_they_are_not_to(results: Path) -> None:
    run = run_of(results, "mdlm")
    asked = [run.run_id, "--tasks", "cloze", "--questions", "16", "--draws", "16"]
    rows = [
        rows_of(evaluate(results, *asked, *more))["cloze_acc"]
        for more in ([], ["--early", "3"], ["--early", "0"])
    ]
    assert [row["estimator"] for row in rows] == [
        "nelbo/early=2/seed=0/questions=16",
        "nelbo/early=3/seed=0/questions=16",
        "nelbo/seed=0/questions=16",
    ]
    assert {row["draws"] for row in rows} == {16}
    exact = rows_of(evaluate(results, run_of(results, "ar").run_id, *asked[1:5]))
    assert exact["cloze_acc"]["estimator"] == "nll/seed=0/questions=16"


def test_numbers_are_saved_once_beside_the_records_of_training(results: Path) -> None:
    run = run_of(results, "mdlm")
    sealed, trained = run.sealed_path.read_bytes(), run.records_path.read_bytes()
    asked = [run.run_id, "--tasks", "cloze", "--questions", "16", "--draws", "2", "--seed", "7"]
    for _ in range(2):
        rows_of(evaluate(results, *asked))
    assert (run.sealed_path.read_bytes(), run.records_path.read_bytes()) == (sealed, trained)
    line = json.loads(run.evaluations_path.read_text().splitlines()[0])
    assert (line["task"], line["draws"], line["seed"], line["n"]) == ("cloze", 2, 7, 16)
    assert (line["step"], line["tokens"], line["epoch"]) == (12, 6144, 3.0)
    assert (line["details"]["device"], line["details"]["dtype"]) == ("cpu", "float32")
    sql = "SELECT metric, step, tokens, flops, value, stderr, n FROM metrics WHERE estimator = "
    sql += "'nelbo/seed=7/questions=16' AND draws = 2 ORDER BY metric"
    saved = query(results, sql).rows()
    assert [row[0] for row in saved] == ["cloze_acc", "cloze_nll_other", "cloze_nll_true"]
    assert all(None not in row for row in saved)
    count = "SELECT count(*) FROM metrics"
    before = query(results, count).item()
    assert ingest(results).records == 0, "nothing is new"
    ingest(results, rebuild=True)
    assert query(results, count).item() == before
    assert query(results, sql).rows() == saved


def test_a_number_of_another_precision_than_training_s_is_none_of_the_curve(
    results: Path,
) -> None:
    run = run_of(results, "ar")
    asked = [run.run_id, "--tasks", "val_loss", "--device", "cpu"]
    assert rows_of(evaluate(results, *asked))["val_loss"]["estimator"] == "nll"
    rounded = rows_of(evaluate(results, *asked, "--dtype", "bfloat16"))["val_loss"]
    assert rounded["estimator"] == "nll/bfloat16"
    sql = "SELECT count(DISTINCT value) FROM metrics WHERE metric = 'val_loss' AND step = 12 AND "
    assert query(results, f"{sql} run_id = '{run.run_id}'").item() == 2
    with pytest.raises(InputError, match=r"--dtype half\. Known: auto, float32, bfloat16"):
        evaluate(results, *asked, "--dtype", "half")


def test_a_store_that_cannot_be_written_costs_no_number(results: Path) -> None:
    run = run_of(results, "ar")
    database_path(results).unlink()
    with duckdb.connect(str(database_path(results))) as connection:
        connection.execute("CREATE TABLE somebody_elses (a INTEGER)")
    asked = [run.run_id, "--tasks", "cloze", "--questions", "16"]
    done = evaluate(results, *asked)
    assert {row["metric"] for row in json.loads(done.stdout)} >= {"cloze_acc"}
    assert "not in the store yet" in done.stderr
    assert "cloze_acc" in run.evaluations_path.read_text()


def test_curves_of_training_are_not_mixed_with_later_numbers(results: Path) -> None:
    before = {c.run_id: c for c in load_curves(results, "tiny", "cloze_acc").curves}
    run = run_of(results, "ar")
    rows_of(evaluate(results, run.run_id, "--tasks", "cloze", "--questions", "64"))
    for curve in load_curves(results, "tiny", "cloze_acc").curves:
        assert curve.y.tolist() == before[curve.run_id].y.tolist()
        assert curve.estimator == before[curve.run_id].estimator
    final = "SELECT n FROM final WHERE metric = 'cloze_acc' AND run_id = "
    assert query(results, f"{final}'{run.run_id}'").item() == 64, "the surer of the two"


def test_runs_that_were_never_trained_to_the_end_can_be_asked_too(results: Path) -> None:
    run = run_of(results, "ar")
    steps = sorted(int(path.name[5:]) for path in run.checkpoint_dir.glob("step-*"))
    asked = [run.run_id, "--tasks", "cloze", "--questions", "16", "--checkpoint", str(steps[0])]
    rows = rows_of(evaluate(results, *asked, "--no-record"))
    assert rows["cloze_acc"]["step"] == steps[0] < 12
    assert not run.evaluations_path.exists()


def test_files_of_questions_are_asked_of_both_objectives(results: Path, tmp_path: Path) -> None:
    rows = [{**MMLU, "subject": subject} for subject in ("law", "art")]
    files = [
        f"--task-file=hellaswag={written(tmp_path / 'h.jsonl', *[HELLASWAG] * 3)}",
        f"--task-file=mmlu={written(tmp_path / 'm.jsonl', *rows)}",
        f"--task-file=mmlu_dev={written(tmp_path / 'd.jsonl', *rows)}",
    ]
    runs = [run_of(results, objective).run_id for objective in ("ar", "mdlm")]
    asked = ["--tasks", "hellaswag,mmlu,mmlu_continuation,cloze_shots", "--shots", "0,1"]
    done = evaluate(results, *runs, *asked, *files, "--questions", "2", "--draws", "2", fmt="csv")
    assert done.exit_code == 0, done.output
    lines = [line.split(",") for line in done.stdout.splitlines()]
    metrics = [line[lines[0].index("metric")] for line in lines[1:]]
    assert set(metrics) == {
        "hellaswag_acc", "hellaswag_acc_norm", "hellaswag_nll_true", "hellaswag_nll_other",
        "mmlu_acc", "mmlu_1shot_acc",
        "mmlu_0shot_acc_norm", "mmlu_1shot_acc_norm", "mmlu_acc_norm",
        *(f"cloze_{k}shot_{m}" for k in (0, 1) for m in ("acc", "nll_true", "nll_other")),
    }  # fmt: skip
    assert len(metrics) == 2 * len(set(metrics))
    assert "mmlu: 2 of 2 questions are longer than the model's context of 32" in done.stderr


def test_draws_for_runs_without_noise_alone_are_refused(results: Path) -> None:
    exact, noisy = run_of(results, "ar"), run_of(results, "mdlm")
    asked = ["--tasks", "cloze", "--questions", "16", "--draws", "2", "--no-record"]
    message = rf"--draws 2: nothing is drawn for run {exact.run_id}.*exact \(ar\)\. Leave --draws"
    with pytest.raises(InputError, match=message):
        evaluate(results, exact.run_id, *asked)
    done = evaluate(results, exact.run_id, noisy.run_id, *asked)
    assert done.exit_code == 0, done.output
    draws = {(row["objective"], row["draws"]) for row in json.loads(done.stdout)}
    assert draws == {("ar", None), ("mdlm", 2)}


def test_the_last_checkpoint_has_the_loss_that_training_recorded(results: Path) -> None:
    """The same windows and, with as many draws, the same noise; items beside either number."""
    run = run_of(results, "mdlm")
    (trained,) = read_records(run.records_path).frame.filter(step=12, metric="val_loss").to_dicts()
    asked = [run.run_id, "--tasks", "val_loss", "--draws", "8"]
    row = rows_of(evaluate(results, *asked))["val_loss"]
    for name in ("value", "stderr", "noise_stderr"):
        assert row[name] == pytest.approx(trained[name], rel=1e-4)
    assert (row["n"], row["documents"]) == (trained["n"], trained["documents"])
    files = set(run.items_dir.iterdir())
    rows_of(evaluate(results, *asked))
    assert set(run.items_dir.iterdir()) == files, "the same number again replaces its items"
    seeded = rows_of(evaluate(results, *asked, "--seed", "3"))["val_loss"]
    assert seeded["value"] != row["value"]
    assert len(set(run.items_dir.iterdir())) == len(files) + 1
    twice = "SELECT count(*) FROM metrics GROUP BY run_id, metric, step, estimator, draws"
    assert query(results, f"SELECT max(n) FROM ({twice}) AS counted(n)").item() == 1
    (curve,) = [
        c for c in load_curves(results, "tiny", "val_loss").curves if c.run_id == run.run_id
    ]
    assert curve.steps.tolist() == [1, 4, 8, 12]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "clooze"], "--tasks clooze: no such task, did you mean 'cloze'"),
        ([], "--tasks: name one or more of val_loss, cloze"),
        (["--tasks", "hellaswag"], "Give --task-file hellaswag=PATH"),
        (["--tasks", "humaneval"], "Give --task-file humaneval=PATH"),
        (["--tasks", "cloze", "--task-file", "mnlu=x"], "did you mean 'mmlu'"),
        (["--tasks", "cloze", "--task-file", "x"], "expected name=value"),
        (["--tasks", "cloze", "--checkpoint", "first"], "expected a step, or last"),
        (["--tasks", "cloze", "--checkpoint", "5"], "no checkpoint of step 5: it keeps"),
        (["--tasks", "cloze_shots", "--shots", "1,1"], "expected different whole numbers"),
        (["--tasks", "cloze_shots", "--shots", "9"], "9 shots leave"),
        (["--tasks", "cloze", "--seed", "32768"], "--seed 32768: expected less than"),
        (["--tasks", "humaneval", "--pass-at", "5"], "--pass-at 5: expected 1 to --attempts 1"),
        (
            ["--tasks", "humaneval", "--attempts", "5", "--temperature", "0"],
            "are all the same: give --temperature",
        ),
    ],
)
def test_wrong_requests_are_refused(results: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        evaluate(results, run_of(results, "ar").run_id, *arguments)
    assert message in str(refused.value)


def test_a_run_that_is_not_there_is_named(results: Path) -> None:
    with pytest.raises(InputError, match="there is no run zzz"):
        evaluate(results, "zzz", "--tasks", "cloze")


def test_a_torn_line_costs_that_line_alone(results: Path) -> None:
    run = run_of(results, "ar")
    run.evaluations_path.write_text('{"step": 12, "metr')
    asked = [run.run_id, "--tasks", "cloze", "--questions", "16"]
    done = evaluate(results, *asked)
    assert done.exit_code == 0
    report = ingest(results, rebuild=True)
    assert len(report.problems) == 1
    assert "evaluations.jsonl, line 1: not a record" in report.problems[0]
    sql = "SELECT count(*) FROM metrics WHERE estimator LIKE '%questions=16'"
    assert query(results, sql).item() == 3
