"""Tasks of plug-ins: asked as built-in ones are, their numbers in the estimator."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import InstallPlugin
from tests.plugins import objective_module
from workbench.data.tokenizers import load_tokenizer
from workbench.errors import InputError
from workbench.evaluation.asking import _naming_plugin_sampler
from workbench.evaluation.opened import EvalOptions, evaluated
from workbench.evaluation.tasks import TASKS, Measured, TaskInputs
from workbench.training.validation import Estimate

MODULE = """
from workbench.recipe.declarations import TaskPlugin

DECLARED = TaskPlugin(numbers=5, code="quizzer:make", files=("quiz",))


def make(inputs):
    from workbench.evaluation.multiple_choice import Question
    from workbench.evaluation.tasks import Task

    text = inputs.file("quiz").read_text()
    if text == "bad":
        raise ValueError("a bad quiz")
    if text == "odd":
        return 3
    ids = [int(i) for i in inputs.tokenizer().encode([text])[0]]
    return Task({"quiz": [Question(ids[:2], [ids[2:3], ids[3:4]], 0, number=0)]}, ("acc",), inputs)
"""


@pytest.fixture(autouse=True)
def _installed(install_plugin: InstallPlugin) -> None:
    install_plugin("quizzer", {"tasks": {"quiz": "quizzer:DECLARED"}}, {"quizzer": MODULE})


def inputs(path: Path, text: str) -> TaskInputs:
    path.write_text(text)
    return TaskInputs(
        context=16,
        tokenizer=lambda: load_tokenizer("bytes"),
        prepared=lambda: pytest.fail("not read"),
        questions=None,
        draws=1,
        seed=0,
        shots=(),
        files={"quiz": path},
        batch=4,
    )


def test_a_task_of_a_plug_in_is_made_and_tells_its_numbers(tmp_path: Path) -> None:
    task = TASKS["quiz"](inputs(tmp_path / "q.txt", "abcd"))
    assert task.marks == "/numbers=5"
    assert list(task.questions) == ["quiz"]


@pytest.mark.parametrize(
    ("text", "reason"), [("bad", "failed: ValueError: a bad quiz"), ("odd", "made no")]
)
def test_one_that_fails_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=rf"the task quiz \(package quizzer 1.0.*\) {reason}"):
        TASKS["quiz"](inputs(tmp_path / "q.txt", text))


def test_what_is_recorded_names_the_package(tmp_path: Path) -> None:
    options = EvalOptions(tasks=("quiz",), files={})
    one = Measured("quiz_acc", Estimate(1.0, None, 1), "nll/numbers=5")
    (origin,) = evaluated("quiz", one, options, seconds=0.0).details["plugins"]
    assert (origin["package"], origin["version"], origin["numbers"]) == ("quizzer", "1.0", 5)
    assert "plugins" not in evaluated("cloze", one, options, seconds=0.0).details


def test_its_files_and_its_name_are_known_to_the_command(tmp_path: Path) -> None:
    EvalOptions(tasks=("quiz",), files={"quiz": tmp_path})
    with pytest.raises(InputError, match="no such file"):
        EvalOptions(tasks=("cloze",), files={"quiz": tmp_path})
    with pytest.raises(InputError, match="did you mean 'quiz'"):
        EvalOptions(tasks=("quizz",))


def test_a_plug_ins_sampler_is_named_where_it_is_an_objectives_default(
    install_plugin: InstallPlugin,
) -> None:
    sampler = """
from workbench.recipe.declarations import SamplerPlugin
DECLARED = SamplerPlugin(numbers=4, code="chooser:fill", objectives=("extra",))
def fill(network, canvas, settings, randomness): ...
"""
    install_plugin("chooser", {"samplers": {"chosen": "chooser:DECLARED"}}, {"chooser": sampler})
    declared = objective_module().replace('samplers=("ancestral",)', "samplers=()")
    install_plugin("maker", {"objectives": {"extra": "maker:DECLARED"}}, {"maker": declared})
    options = EvalOptions(tasks=("quiz",))
    for objective, name in (("extra", "chosen"), ("mdlm", None)):
        config = SimpleNamespace(training=SimpleNamespace(objective=objective))
        opened: Any = SimpleNamespace(model=SimpleNamespace(config=config))
        assert _naming_plugin_sampler(opened, options).passing.writing.sampler == name
