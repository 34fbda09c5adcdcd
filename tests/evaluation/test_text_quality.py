"""Generated texts, measured by steps and length: what a number is, where it is stored, what it
costs."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import workbench as wb
from tests.evaluation.conftest import Study
from workbench.cli import app
from workbench.data.streams import training_stream
from workbench.errors import InputError
from workbench.evaluation.evaluate import Loading, evaluate_runs
from workbench.evaluation.opened import EvalOptions, TextOptions, open_run
from workbench.evaluation.text_quality import _of_itself, find_judge
from workbench.planning.flops import (
    ar_generation_flops,
    diffusion_generation_flops,
    sampling_flops,
)
from workbench.recipe.sizes import SIZES
from workbench.report.evaluated import chosen_metrics, evaluated_metrics
from workbench.store import ingest, query

CONTEXT, PROMPT = 32, 8
CPU = Loading(device="cpu")


@pytest.fixture(scope="module")
def results(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of trained runs with numbers of their texts, by the command."""
    target = tmp_path_factory.mktemp("texts") / "results"
    shutil.copytree(study["ar"].results, target, ignore=shutil.ignore_patterns("*.duckdb"))
    ingest(target)
    asked = [study[name].run_id for name in ("ar", "mdlm")]
    asked += ["--tasks", "text", "--lengths", "16", "--per-step", "1,4", "--questions", "12"]
    done = ask(target, "eval", *asked)
    assert done.exit_code == 0, done.output
    assert "judges its own texts" in done.stderr
    return target


def ask(results: Path, *arguments: str) -> Result:
    command = [*arguments, "--results", str(results), "--format", "json"]
    if arguments[0] == "eval":
        command += ["--device", "cpu"]
    return CliRunner().invoke(app, command)


def test_each_number_is_stored_with_what_it_takes_to_trace_it(results: Path, study: Study) -> None:
    rows = query(
        results,
        f"""SELECT metric, value, stderr, n, documents, estimator FROM final
            WHERE run_id = '{study["mdlm"].run_id}' AND metric LIKE 'text_nll@%' ORDER BY metric""",
    ).to_dicts()
    assert [row["metric"].partition("@")[2] for row in rows] == [
        "ancestral-16-in-16", "ancestral-16-in-4", "held-out-16",
    ]  # fmt: skip
    for row in rows:
        assert (row["n"], row["documents"]) == (12, 10), "a window of each document, then others"
        assert 0 < row["stderr"] < row["value"]
        assert f"judge={study['ar'].run_id}" in row["estimator"]
    for part in ("sampler=ancestral", "temperature=1", "seed=0", "prompt=8", "prompts=12"):
        assert part in rows[0]["estimator"]
    assert "sampler" not in rows[2]["estimator"]


def test_the_judge_is_asked_for_what_follows_the_prompt(results: Path, study: Study) -> None:
    """On held-out windows its NLL is that of its own model, token by token."""
    opened = open_run(study["ar"], device="cpu", dtype="float32")
    judge = find_judge(results, [study["ar"]], None, device="cpu", dtype="float32")
    tokens_KL = torch.randint(0, 100, (3, 20), generator=torch.Generator().manual_seed(1))
    found = judge.nll(tokens_KL, PROMPT)
    vocab = opened.model.vocab
    for text_L, nll in zip(tokens_KL, found, strict=True):
        inputs = torch.cat([torch.tensor([vocab.bos_id]), text_L[:-1]])
        with torch.no_grad():
            logits = opened.model.model(inputs[None])[0, :, : vocab.n_tokens].double()
        own = -logits.log_softmax(-1)[torch.arange(20), text_L]
        assert nll == pytest.approx(float(own[PROMPT:].sum()), rel=1e-5)


def test_a_text_that_repeats_itself_has_less_entropy_and_fewer_different_grams() -> None:
    texts = np.array([[1] * 8, [1, 2] * 4, list(range(8))])
    found = _of_itself(texts)
    assert found["entropy"] == pytest.approx([0, math.log(2), math.log(8)])
    assert found["distinct"] == pytest.approx([1 / 5, 2 / 5, 1])


def test_text_of_the_training_windows_counts_as_copied(
    results: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sampler that gives back a window that the run was trained on copies all of it, and one
    that gives back what no window has copies nothing."""
    from workbench.evaluation import text_quality

    opened = open_run(study["mdlm"], device="cpu", dtype="float32")
    data = opened.model.config.data
    stream = training_stream(opened.prepared(), data, order_seed=0)
    seen = torch.from_numpy(stream.read(np.arange(6)).astype("int64"))
    never = torch.full_like(seen, 250)
    for texts, share in ((seen, 1.0), (never, 0.0)):
        monkeypatch.setattr(
            text_quality, "_made", lambda *_, given=texts: iter([("x-24", given, 1.0)])
        )
        options = EvalOptions(
            ("text",), questions=6, texts=TextOptions(lengths=(CONTEXT - PROMPT,))
        )
        rows = evaluate_runs(results, [study["mdlm"].run_id], options, CPU, record=False)
        values = {row["metric"]: row["value"] for row in rows}
        assert values["text_copied@x-24"] == share


def test_flops_are_those_of_the_passes() -> None:
    shape = SIZES["1B"].shape(50258)
    length = 96
    assert sampling_flops(shape, length, 64, None, cached=True) == ar_generation_flops(
        shape, 64, prompt=32
    )
    assert sampling_flops(shape, length, 16, None, cached=False) == diffusion_generation_flops(
        shape, 64, 16, prompt=32
    )
    # Two streams: a token is read once, and asked for once.
    assert sampling_flops(shape, length, length, 1, cached=True) == 2 * ar_generation_flops(
        shape, length
    )


def test_the_study_has_a_row_for_each_length_and_number_of_steps(
    results: Path, study: Study
) -> None:
    done = ask(results, "text-quality", "tiny")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    made = [(row["objective"], row["sampler"], row["tokens"], row["steps"]) for row in rows]
    assert made == [
        ("ar", None, 16, None), ("ar", "ar", 16, None),
        ("mdlm", None, 16, None), ("mdlm", "ancestral", 16, 4), ("mdlm", "ancestral", 16, 16),
    ]  # fmt: skip
    assert rows[0]["nll"] == rows[2]["nll"], "the same held-out text, by the same judge"
    assert rows[0]["flops"] is None
    few, many = (row["flops"]["mean"] for row in rows[-2:])
    assert few < many
    assert all(row["nll"]["ci95"] is not None for row in rows)
    assert "over 10 documents" in done.stderr


def test_a_report_does_not_compare_texts_as_losses(results: Path) -> None:
    """Neither more nor less of them is better: a low NLL may be of text that repeats itself."""
    assert "text_nll@held-out-16" in evaluated_metrics(results, "tiny")
    compared = chosen_metrics(results, "tiny", None)
    assert "val_loss" in compared
    assert not [name for name in compared if name.startswith("text_")]


def test_a_study_without_texts_says_how_to_measure_them(study: Study, tmp_path: Path) -> None:
    target = tmp_path / "results"
    shutil.copytree(study["ar"].results, target, ignore=shutil.ignore_patterns("*.duckdb"))
    ingest(target)
    with pytest.raises(InputError, match="workbench eval RUN --tasks text"):
        wb.Results(target).study("tiny").text_quality()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lengths", "30"], "Ask for 24 or less"),
        (["--lengths", "0"], "--lengths 0: expected whole numbers above 0"),
        (["--per-step", "0"], "--per-step 0: expected whole numbers above 0"),
        (["--sampler", "ar"], "which takes ancestral"),
    ],
)
def test_what_cannot_be_made_is_refused(
    results: Path, study: Study, options: list[str], message: str
) -> None:
    done = ask(results, "eval", study["mdlm"].run_id, "--tasks", "text", *options)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_a_study_stands_for_its_finished_runs(results: Path, study: Study) -> None:
    options = EvalOptions(("cloze",), questions=4, draws=2)
    named = ["tiny", study["ar"].run_id]
    rows = evaluate_runs(results, named, options, CPU, record=False)
    assert sorted({row["run_id"] for row in rows}) == sorted(run.run_id for run in study.values())


def test_a_judge_is_an_ar_run(results: Path, study: Study) -> None:
    run = study["mdlm"].run_id
    done = ask(results, "eval", run, "--tasks", "text", "--judge", run)
    assert isinstance(done.exception, InputError)
    assert "expected an AR run; its objective is mdlm" in str(done.exception)


@pytest.mark.parametrize("objective", ["block", "aoar", "hybrid"])
def test_texts_of_other_objectives_are_measured(
    results: Path, study: Study, objective: str
) -> None:
    options = EvalOptions(("text",), questions=4, texts=TextOptions((4, 8), (4,)))
    rows = evaluate_runs(results, [study[objective].run_id], options, CPU, record=False)
    made = {row["metric"].partition("@")[2] for row in rows} - {"held-out-4", "held-out-8"}
    assert len(made) == 2
    assert all(math.isfinite(row["value"]) for row in rows)
