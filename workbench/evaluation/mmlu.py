"""MMLU's format (Hendrycks et al. 2021): `question`, `choices`, `answer`, `subject`.

Asked for a letter, as `mmlu` of lm-evaluation-harness, or for the text of the answer, as its
`mmlu_continuation` and arXiv 2511.03276 (Table 1): models that have not learnt to answer with
letters still prefer the right text.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.evaluation.question_files import (
    TextQuestion,
    field_of,
    index_of,
    not_empty,
    read_jsonl,
    texts_of,
)


@dataclass(frozen=True)
class MmluForm:
    """How a question is asked."""

    kind: str
    """What the first line calls the questions."""
    before: str
    """Comes before each question."""
    listed: bool
    """Whether the choices are listed, and letters are the options."""


LETTERS = MmluForm("multiple choice questions (with answers)", "", listed=True)
TEXTS = MmluForm("questions (with answers)", "Question: ", listed=False)


@dataclass(frozen=True)
class _Row:
    prompt: str
    options: tuple[str, ...]
    right: int
    subject: str


def read_mmlu(
    path: Path, dev: Path | None, shots: int, *, form: MmluForm, limit: int | None = None
) -> list[TextQuestion]:
    """Questions after the first `shots` questions of their subject in the dev file, answered.

    Raises:
        InputError: a line is not such a question, or the dev file has too few of a subject.
    """
    examples: dict[str, list[str]] = defaultdict(list)
    if shots and dev is None:
        raise InputError(
            f"mmlu with {shots} shots needs its dev file: give mmlu_dev beside mmlu, in "
            "evaluation.task_files or with --task-file."
        )
    if shots and dev is not None:
        for where, line in read_jsonl(dev):
            row = _read(line, form, where)
            examples[row.subject].append(f"{row.prompt} {row.options[row.right]}\n\n")
    questions = []
    for number, (where, line) in enumerate(read_jsonl(path)):
        if number == limit:
            break
        row = _read(line, form, where)
        if len(examples[row.subject]) < shots:
            raise InputError(
                f"{where}: {shots} shots, and {dev} has {len(examples[row.subject])} questions of "
                f'subject "{row.subject}".'
            )
        about = f" about {row.subject.replace('_', ' ')}" if row.subject else ""
        head = f"The following are {form.kind}{about}.\n\n"
        questions.append(
            TextQuestion(
                prompt=head + "".join(examples[row.subject][:shots]) + row.prompt,
                options=tuple(f" {option}" for option in row.options),
                right=row.right,
                number=number,
                characters=tuple(max(1, len(option)) for option in row.options),
                group=row.subject,
            )
        )
    return not_empty(questions, path)


def _read(line: dict[str, Any], form: MmluForm, where: str) -> _Row:
    choices = texts_of(line, "choices", where)
    right = index_of(line.get("answer"), len(choices), "answer", where)
    prompt = form.before + field_of(line, "question", str, where).strip()
    letters = [chr(ord("A") + index) for index in range(len(choices))]
    if form.listed:
        pairs = zip(letters, choices, strict=True)
        prompt += "".join(f"\n{letter}. {text}" for letter, text in pairs)
    options = letters if form.listed else choices
    return _Row(f"{prompt}\nAnswer:", tuple(options), right, str(line.get("subject") or ""))
