"""pass@k by enumeration, and a benchmark from what is written to what is counted."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.test_question_files import written
from workbench.errors import InputError
from workbench.evaluation.complete import Writing, cut
from workbench.evaluation.programs.confinement import Confinement
from workbench.evaluation.programs.pass_task import PassOptions, PassTask
from workbench.evaluation.programs.passing import PassCounts, count_passing, pass_at_k
from workbench.evaluation.programs.problems import Problem, read_humaneval, read_mbpp

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    "entry_point": "double",
}
MBPP = {
    "text": "Write a function to double a number.",
    "code": "def double(x):\n    return 2 * x",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
    "challenge_test_list": [],
}


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_samples_with_a_pass(n: int) -> None:
    for passed in range(n + 1):
        results = [True] * passed + [False] * (n - passed)
        for k in range(1, n + 1):
            samples = list(combinations(results, k))
            expected = np.mean([any(sample) for sample in samples])
            assert pass_at_k(n, passed, k) == pytest.approx(expected)


def test_more_attempts_than_were_made_are_refused() -> None:
    with pytest.raises(ValueError, match="pass@5 of 1 out of 4"):
        pass_at_k(4, 1, 5)
    with pytest.raises(InputError, match="--pass-at 5: expected 1 to --attempts 4"):
        PassOptions(4, (5,), Writing(temperature=1.0))


def test_the_mean_over_problems_has_its_standard_error() -> None:
    counts = PassCounts(4, np.array([0, 1, 4]), [])
    each = [0, 0.25, 1]
    assert counts.at(1).value == pytest.approx(np.mean(each))
    assert counts.at(1).stderr == pytest.approx(np.std(each, ddof=1) / np.sqrt(3))
    assert counts.at(4).value == pytest.approx(2 / 3)


def test_a_completion_ends_where_its_function_does(tmp_path: Path) -> None:
    (problem,) = read_humaneval(written(tmp_path / "h.jsonl", HUMANEVAL))
    completion = "    return 2 * x\n\nif __name__ == '__main__':\n    input()\n"
    program = problem.program(completion)
    assert "input" not in program
    assert "check" not in program, "a program does not see its tests"
    assert problem.tests.functions == ("double",)
    assert cut("ab", ()) == "ab"
    assert cut("abcab", ("c", "b")) == "a"


def test_mbpp_shows_solved_problems_first(tmp_path: Path) -> None:
    examples = [{**MBPP, "task_id": n, "text": f"Task {n}."} for n in range(1, 5)]
    path = written(tmp_path / "m.jsonl", *examples, MBPP)
    (problem,) = read_mbpp(path, shots=3)
    assert problem.name == "MBPP/11"
    assert [f"Task {n}." in problem.prompt for n in range(1, 6)] == [True] * 3 + [False] * 2
    assert problem.prompt.count("[DONE]") == 3
    assert problem.prompt.endswith(
        "here is your task: Write a function to double a number. Your code should pass these "
        "tests:\n\nassert double(2) == 4\nassert double(0) == 0\n[BEGIN]\n"
    )
    assert [problem.name for problem in read_mbpp(path, shots=0)] == ["MBPP/11"]
    with pytest.raises(InputError, match="1 problems are too few for 3 shots"):
        read_mbpp(written(tmp_path / "few.jsonl", MBPP), shots=3)


def test_the_plus_formats_are_read(tmp_path: Path) -> None:
    plus = {
        "task_id": 2,
        "prompt": "Write a function to double a number.",
        "code": MBPP["code"],
        "test_imports": ["import math"],
        "test_list": MBPP["test_list"],
        "test": "for x in range(100):\n    assert double(x) == 2 * x",
    }
    (problem,) = read_mbpp(written(tmp_path / "p.jsonl", {**plus, "task_id": 12}), shots=0)
    assert problem.before.startswith("import math\n")
    assert problem.tests.source == plus["test"]
    assert problem.tests.functions == ("double",)


def test_what_mbpps_reference_defines_is_the_programs_and_its_imports_are_the_tests(
    tmp_path: Path,
) -> None:
    code = (
        "import math\nfrom re import sub\nhalf = lambda x: x / 2\ndef sum(a, b):\n    return a + b"
    )
    row = {**MBPP, "code": code, "test_list": ["assert math.isclose(sum(1, 2), 3)"]}
    (problem,) = read_mbpp(written(tmp_path / "m.jsonl", row), shots=0)
    assert problem.tests.functions == ("sum", "half"), "its own, though a built-in has the name"
    assert problem.tests.before.startswith("import math\nfrom re import sub\n")
    with pytest.raises(InputError, match="line 1: code is no Python"):
        read_mbpp(written(tmp_path / "b.jsonl", {**MBPP, "code": "def f(:"}), shots=0)


def test_wrong_problems_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: no entry_point; expected entry_point"):
        read_humaneval(written(tmp_path / "h.jsonl", {"prompt": "x", "test": "y"}))
    with pytest.raises(InputError, match="line 1: neither prompt nor text"):
        read_mbpp(written(tmp_path / "m.jsonl", {"code": "x"}))


class Scripted:
    """Writes the given texts, and remembers what it was asked."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.firsts: list[int] = []

    def complete(
        self, prompt: str, stop: tuple[str, ...], writing: Writing, *, count: int, first: int
    ) -> list[str]:
        self.firsts.append(first)
        return self.texts[:count]


def test_a_benchmark_is_written_run_and_counted(confinement: Confinement, tmp_path: Path) -> None:
    path = written(tmp_path / "h.jsonl", HUMANEVAL, {**HUMANEVAL, "task_id": "HumanEval/1"})
    task = PassTask("humaneval", read_humaneval(path), confinement, 0, "abc")
    texts = ["    return 2 * x\n", "    return x\n", "    import os; os._exit(0)\n", "    pass\n"]
    writer = Scripted(texts)
    options = PassOptions(4, (1, 4), Writing(64, 0.8))
    first, second = task.ask(writer, options)
    assert (first[0], first[1].value, first[1].n) == ("humaneval_pass@1", 0.25, 2)
    assert (second[0], second[1].value) == ("humaneval_pass@4", 1.0)
    assert "attempts=4" in first[2]
    assert "file=abc" in first[2]
    assert writer.firsts == [0, 4], "each attempt at each problem is a text of its own"


def test_references_pass_and_empty_completions_do_not(
    confinement: Confinement, tmp_path: Path
) -> None:
    problems = [
        *read_humaneval(written(tmp_path / "h.jsonl", HUMANEVAL)),
        *read_mbpp(written(tmp_path / "m.jsonl", MBPP), shots=0),
    ]

    def counts(complete: str) -> list[int]:
        def written_by(problem: Problem) -> list[str]:
            return [problem.reference if complete == "reference" else ""]

        return count_passing(problems, written_by, confinement, attempts=1).passed_P.tolist()

    assert counts("reference") == [1, 1]
    assert counts("empty") == [0, 0]
