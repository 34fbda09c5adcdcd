"""All of HumanEval, where its file is: it is looked for, and is no part of the project."""

import os
from pathlib import Path

import pytest

from workbench.evaluation.programs.confinement import Confinement, confine
from workbench.evaluation.programs.passing import count_passing
from workbench.evaluation.programs.problems import Problem, read_humaneval

PLACES: list[str | Path] = [
    os.environ.get("WORKBENCH_HUMANEVAL", ""),
    Path(__file__).parents[4] / "shared" / "data" / "HumanEval.jsonl.gz",
]


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    for place in PLACES:
        if place and Path(place).is_file():
            return read_humaneval(Path(place))
    pytest.skip("HumanEval.jsonl.gz is not here; WORKBENCH_HUMANEVAL can name it")


@pytest.mark.long
def test_every_reference_passes(confinement: Confinement, problems: list[Problem]) -> None:
    counts = count_passing(problems, lambda problem: [problem.reference], confine(), attempts=1)
    failed = [
        (problem.name, outcome.why)
        for problem, (outcome,) in zip(problems, counts.outcomes, strict=True)
        if not outcome.passed
    ]
    assert not failed
    assert len(problems) == 164


def test_no_empty_completion_passes(confinement: Confinement, problems: list[Problem]) -> None:
    counts = count_passing(problems[::4], lambda problem: [""], confine(), attempts=1)
    assert counts.passed_P.sum() == 0
