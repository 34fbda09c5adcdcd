"""lm-evaluation-harness on a trained run: the same numbers as ours, from the same files."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.conftest import Study
from tests.evaluation.test_question_files import written
from workbench.cli import app
from workbench.errors import InputError
from workbench.evaluation.mmlu import LETTERS, read_mmlu
from workbench.evaluation.multiple_choice import score_choices
from workbench.evaluation.opened import EvalOptions, HarnessOptions, Opened, open_run
from workbench.evaluation.question_files import in_tokens, read_hellaswag

pytest.importorskip("lm_eval", reason="the extra `eval` is not installed")

HELLASWAG = """
task: local_hellaswag
dataset_path: json
dataset_kwargs: {{data_files: {{validation: "{path}"}}}}
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{{{ctx}}}}"
doc_to_choice: "{{{{endings}}}}"
doc_to_target: "{{{{label}}}}"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
MMLU = """
task: local_mmlu
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{path}", dev: "{dev}"}}}}
output_type: multiple_choice
test_split: test
fewshot_split: dev
fewshot_config: {{sampler: first_n}}
num_fewshot: 2
description: "The following are multiple choice questions (with answers) about law.\\n\\n"
doc_to_text: "{{{{question.strip()}}}}\\nA. {{{{choices[0]}}}}\\nB. {{{{choices[1]}}}}\\nAnswer:"
doc_to_choice: ["A", "B"]
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""
ROLLING = """
task: local_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{path}"}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{ctx}}}}"
metric_list: [{{metric: byte_perplexity}}, {{metric: bits_per_byte}}]
"""
LAST_WORD = """
task: local_last_word
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{path}"}}}}
output_type: loglikelihood
test_split: test
doc_to_text: "{{{{ctx}}}}"
doc_to_target: "{{{{endings[0]}}}}"
metric_list: [{{metric: acc}}]
"""
GENERATE = """
task: local_generate
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{path}"}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{ctx}}}}"
doc_to_target: "{{{{endings[0]}}}}"
generation_kwargs: {{until: [" "], max_gen_toks: 8, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of two formats, and the harness's tasks over them."""
    folder = tmp_path_factory.mktemp("harness")
    rng = np.random.default_rng(0)
    words = ["def", "class", "return", "import", "token", "model", "window", "epoch", "x"]

    def text(n: int) -> str:
        return " ".join(rng.choice(words, n))

    hellaswag = [
        {"ctx": text(4), "endings": [text(1 + (i + j) % 3) for j in range(4)], "label": i % 4}
        for i in range(40)
    ]
    mmlu = [
        {"question": text(3), "choices": [text(1), text(2)], "answer": i % 2, "subject": "law"}
        for i in range(40)
    ]
    paths = {
        "path": written(folder / "hellaswag.jsonl", *hellaswag),
        "dev": written(folder / "dev.jsonl", *mmlu[:5]),
    }
    test = written(folder / "mmlu.jsonl", *mmlu[5:])
    for name, task, path in (
        ("hellaswag", HELLASWAG, paths["path"]),
        ("mmlu", MMLU, test),
        ("text", ROLLING, paths["path"]),
        ("last_word", LAST_WORD, paths["path"]),
        ("generate", GENERATE, paths["path"]),
    ):
        (folder / f"{name}.yaml").write_text(task.format(path=path, dev=paths["dev"]))
    return folder


@pytest.fixture(autouse=True, scope="module")
def _offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No network, and no cache of data sets in the user's home."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE, datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    datasets.config.HF_HUB_OFFLINE = True
    environment = dict(os.environ)
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    yield
    os.environ.clear()
    os.environ |= environment
    datasets.config.HF_DATASETS_CACHE, datasets.config.HF_HUB_OFFLINE = before


def ask(opened: Opened, files: Path, *tasks: str, **options: Any) -> dict[str, Any]:
    from workbench.evaluation.harness_tasks import ask_harness

    asked = EvalOptions(draws=4, harness=HarnessOptions(tasks, files), **options)
    return {number.metric: number for number in ask_harness(opened, asked)}


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_the_harness_gives_our_numbers(study: Study, files: Path, objective: str) -> None:
    opened = open_run(study[objective], device="cpu", threads=1)
    tokenizer = opened.model.tokenizer
    numbers = ask(opened, files, "local_hellaswag", "local_mmlu")
    hellaswag = in_tokens(read_hellaswag(files / "hellaswag.jsonl"), tokenizer)
    mmlu = in_tokens(
        read_mmlu(files / "mmlu.jsonl", files / "dev.jsonl", 2, form=LETTERS), tokenizer
    )
    ours, letters = (
        score_choices(opened.scorer, questions, context=32, draws=4, batch=64)
        for questions in (hellaswag, mmlu)
    )
    assert numbers["local_hellaswag_acc"].value == ours.accuracy().value
    assert numbers["local_hellaswag_acc_norm"].value == ours.accuracy_norm().value
    assert numbers["local_mmlu_acc"].value == letters.accuracy().value
    assert numbers["local_hellaswag_acc"].n == 40
    assert numbers["local_hellaswag_acc"].stderr == pytest.approx(
        ours.right_Q.std(ddof=1) / np.sqrt(40)
    )
    assert len({0.0, 1.0, ours.accuracy().value, ours.accuracy_norm().value}) == 4


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_its_likelihoods_are_ours_to_the_last_bit_that_counts(
    study: Study, files: Path, objective: str
) -> None:
    from lm_eval.api.instance import Instance

    from workbench.evaluation.harness import WorkbenchLM

    opened = open_run(study[objective], device="cpu", threads=1)
    (first, *_) = read_hellaswag(files / "hellaswag.jsonl")
    requests = [
        Instance("loglikelihood", {}, (first.prompt, option), i, ("t", first.number, 1))
        for i, option in enumerate(first.options)
    ]
    answers = WorkbenchLM(opened, draws=4).loglikelihood(requests)
    (question,) = in_tokens([first], opened.model.tokenizer)
    scores = score_choices(opened.scorer, [question], context=32, draws=4, batch=64)
    length = len(question.options[first.right])
    assert -answers[first.right][0] == pytest.approx(scores.nll_true_Q[0] * length, rel=1e-5)
    assert [greedy for _, greedy in answers] == [False] * 4


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_rolling_last_words_and_generation_run(study: Study, files: Path, objective: str) -> None:
    opened = open_run(study[objective], device="cpu", threads=1)
    numbers = ask(opened, files, "local_text", "local_last_word", "local_generate", questions=4)
    assert 0 < numbers["local_text_bits_per_byte"].value < 8
    assert 0 <= numbers["local_last_word_acc"].value <= 1
    assert 0 <= numbers["local_generate_exact_match"].value <= 1


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_what_greedy_decoding_writes_is_known_as_greedy(study: Study, objective: str) -> None:
    from lm_eval.api.instance import Instance

    from workbench.evaluation.complete import Writing
    from workbench.evaluation.harness import WorkbenchLM

    model = WorkbenchLM(open_run(study[objective], device="cpu", threads=1))
    context = "return token"
    (text,) = model._completer.complete(context, (), Writing(3), count=1, first=0)
    other = text[:-1] + ("z" if text[-1:] != "z" else "y")
    answers = [
        model.loglikelihood(
            [Instance("loglikelihood", {}, (context, continuation), 0, ("t", 0, 1))]
        )[0]
        for continuation in (text, other)
    ]
    assert [greedy for _, greedy in answers] == [True, False]


def test_its_numbers_are_saved_with_the_run(study: Study, files: Path, tmp_path: Path) -> None:
    import shutil

    from typer.testing import CliRunner

    results = tmp_path / "results"
    shutil.copytree(study["mdlm"].results, results)
    arguments = ["--harness", "local_hellaswag", "--include-path", str(files), "--draws", "2"]
    arguments += ["--questions", "5", "--device", "cpu", "--results", str(results)]
    done = CliRunner().invoke(
        app, ["eval", study["mdlm"].run_id, *arguments, "--format", "json"], catch_exceptions=False
    )
    assert done.exit_code == 0
    rows = {row["metric"]: row for row in json.loads(done.stdout)}
    assert rows["local_hellaswag_acc_norm"]["n"] == 5
    assert "/lm-eval=" in rows["local_hellaswag_acc_norm"]["estimator"]
    saved = results / "runs" / study["mdlm"].run_id / "evaluations.jsonl"
    assert "local_hellaswag_acc_norm" in saved.read_text()


def test_unknown_and_unconfined_tasks_are_refused(study: Study, files: Path) -> None:
    opened = open_run(study["ar"], device="cpu", threads=1)
    with pytest.raises(InputError, match="knows no such task"):
        ask(opened, files, "local_helaswag")
    unsafe = files / "unsafe.yaml"
    unsafe.write_text(
        GENERATE.format(path=files / "hellaswag.jsonl").replace("local_generate", "local_unsafe")
        + "unsafe_code: true\n"
    )
    with pytest.raises(InputError, match="without confining them"):
        ask(opened, files, "local_unsafe")
