"""Programming problems in files: HumanEval's and MBPP's formats, and those of their plus versions.

HumanEval (Chen et al. 2021) and HumanEval+ (Liu et al. 2023): `task_id`, `prompt`, `test` with a
function `check`, `entry_point`. MBPP (Austin et al. 2021): `task_id`, `text` or `prompt`,
`code`, `test_list`; `test_setup_code` or `test_imports`; MBPP+ has its many tests in `test`.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.evaluation.complete import cut
from workbench.evaluation.programs.confinement import Suite
from workbench.evaluation.question_files import field_of, read_jsonl


@dataclass(frozen=True)
class Problem:
    """One problem: what the model is given, and what has to hold of what it writes."""

    name: str
    prompt: str
    before: str
    """Comes before a completion in the program that is run."""
    tests: Suite
    stop: tuple[str, ...]
    """A completion ends before the first of these."""
    reference: str
    """The dataset's own solution, as a completion."""

    def program(self, completion: str) -> str:
        """The program whose functions the tests call."""
        return f"{self.before}{cut(completion, self.stop)}\n"


# Where a function's body is over (Chen et al. 2021, section 2.2).
_HUMANEVAL_STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint", "\n@", "\n```")
# Where an answer is over in the few-shot prompt.
_MBPP_STOP = ("\n[DONE]", "[DONE]", "\n```")


def read_humaneval(path: Path, *, shots: int = 0, limit: int | None = None) -> list[Problem]:
    """Read the problems of a HumanEval file.

    Raises:
        InputError: a line is not such a problem, or there is none.
    """
    if shots:
        raise InputError(f"humaneval with {shots} shots: its problems are given without examples.")
    problems: list[Problem] = []
    for where, row in read_jsonl(path):
        if len(problems) == limit:
            break
        prompt = field_of(row, "prompt", str, where)
        entry = field_of(row, "entry_point", str, where)
        test = field_of(row, "test", str, where)
        reference = str(row.get("canonical_solution", ""))
        problems.append(
            Problem(
                name=str(row.get("task_id", where)),
                prompt=prompt,
                before=prompt,
                # A prompt may define more than its function, which the tests then use.
                tests=Suite(prompt + reference, (entry,), f"{test}\ncheck({entry})"),
                stop=_HUMANEVAL_STOP,
                reference=reference,
            )
        )
    return _not_empty(problems, path)


def read_mbpp(path: Path, *, shots: int = 3, limit: int | None = None) -> list[Problem]:
    """Read the problems of an MBPP file, each after `shots` solved ones.

    MBPP reserves its problems 1 to 10 for that (section 2.1 of its paper); where the file does not
    have them, its first ones are taken, and then not asked.

    Raises:
        InputError: a line is not such a problem, or too few are left.
    """
    rows = [_mbpp(row, where) for where, row in read_jsonl(path)]
    reserved = [row for row in rows if row.number is not None and row.number <= 10]
    examples = (reserved if len(reserved) >= shots else rows)[:shots]
    if len(examples) < shots or len(rows) <= len(examples):
        raise InputError(f"{path}: {len(rows)} problems are too few for {shots} shots.")
    shown = "".join(f"{example.prompt}{example.code.rstrip()}\n[DONE]\n\n" for example in examples)
    asked = [row for row in rows if row not in reserved and row not in examples]
    return _not_empty(
        [
            Problem(
                name=row.name,
                prompt=shown + row.prompt,
                before=row.setup,
                tests=row.tests,
                stop=_MBPP_STOP,
                reference=row.code,
            )
            for row in asked[:limit]
        ],
        path,
    )


@dataclass(frozen=True)
class _MbppRow:
    name: str
    number: int | None
    prompt: str
    code: str
    setup: str
    tests: Suite


def _mbpp(row: dict[str, Any], where: str) -> _MbppRow:
    text = row.get("prompt", row.get("text"))
    if not isinstance(text, str):
        raise InputError(f"{where}: neither prompt nor text; expected the problem in words.")
    listed = [str(test) for test in field_of(row, "test_list", list, where)]
    imports = [str(line) for line in row.get("test_imports") or []]
    number = row.get("task_id")
    code = field_of(row, "code", str, where)
    setup = "\n".join([*imports, str(row.get("test_setup_code") or ""), ""])
    source = row["test"] if isinstance(row.get("test"), str) else "\n".join(listed)
    return _MbppRow(
        name=f"MBPP/{number}",
        number=number if isinstance(number, int) else None,
        prompt=(
            f"You are an expert Python programmer, and here is your task: {text.strip()} Your "
            "code should pass these tests:\n\n" + "\n".join(listed) + "\n[BEGIN]\n"
        ),
        code=code,
        setup=setup,
        tests=_tests_of(code, setup, source, where),
    )


def _tests_of(reference: str, setup: str, source: str, where: str) -> Suite:
    """Tests that say nowhere which function they test: it is what the reference defines.

    They may use what the reference imports.
    """
    try:
        body = ast.parse(reference).body
    except SyntaxError as error:
        raise InputError(f"{where}: code is no Python: {error.msg}; expected a solution.") from None
    imports = [ast.unparse(one) for one in body if isinstance(one, ast.Import | ast.ImportFrom)]
    functions = [one.name for one in body if isinstance(one, ast.FunctionDef | ast.ClassDef)]
    functions += [
        target.id
        for one in body
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    ]
    return Suite("\n".join([*imports, setup]), tuple(functions), source)


def _not_empty(problems: list[Problem], path: Path) -> list[Problem]:
    if not problems:
        raise InputError(f"{path}: no problems in it.")
    return problems


PROBLEMS: dict[str, Callable[..., list[Problem]]] = {
    "humaneval": read_humaneval,
    "humaneval_plus": read_humaneval,
    "mbpp": read_mbpp,
    "mbpp_plus": read_mbpp,
}
DEFAULT_SHOTS = {"humaneval": 0, "humaneval_plus": 0, "mbpp": 3, "mbpp_plus": 3}
"""As in the paper, section 4."""
