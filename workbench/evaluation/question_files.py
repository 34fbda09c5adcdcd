"""Questions in files, one JSON object a line, and HellaSwag's format.

HellaSwag (Zellers et al. 2019): `ctx` (or `ctx_a` and `ctx_b`, with `activity_label`),
`endings`, `label`. The prompts are those of lm-evaluation-harness, so that numbers compare.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.tokenizers import Tokenizer
from workbench.errors import InputError
from workbench.evaluation.multiple_choice import Question


@dataclass(frozen=True)
class TextQuestion:
    """A question in text."""

    prompt: str
    options: tuple[str, ...]
    """What follows the prompt, with the space between them."""
    right: int
    number: int
    characters: tuple[int, ...] = ()
    group: str = ""


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, object) of each line that is not blank; a name in `.gz` is unpacked.

    Raises:
        InputError: the file cannot be read, or a line is not an object.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        lines = content.decode("utf-8").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}).") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({error}).") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: expected an object.")
        yield where, row


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def field_of(row: dict[str, Any], name: str, kind: type, where: str) -> Any:
    if not isinstance(row.get(name), kind):
        instead = f"{name} = {row[name]!r}" if name in row else f"no {name}"
        raise InputError(f"{where}: {instead}; expected {name} to be a {kind.__name__}.")
    return row[name]


def texts_of(row: dict[str, Any], name: str, where: str) -> list[str]:
    texts = field_of(row, name, list, where)
    if len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{where}: expected {name} to be two texts or more.")
    return texts


def index_of(value: Any, options: int, name: str, where: str) -> int:
    """An index as a number, as digits or as a capital letter."""
    if isinstance(value, str) and len(value) == 1 and "A" <= value <= "Z":
        value = ord(value) - ord("A")
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < options:
        raise InputError(
            f"{where}: {name} = {value!r}; expected which of the {options} options is right: 0 to "
            f"{options - 1}."
        )
    return value


def read_hellaswag(path: Path, limit: int | None = None) -> list[TextQuestion]:
    """Read the questions of a HellaSwag file.

    Raises:
        InputError: a line is not such a question, or there is none.
    """
    questions = []
    for number, (where, row) in enumerate(read_jsonl(path)):
        if number == limit:
            break
        endings = [_clean(text) for text in texts_of(row, "endings", where)]
        questions.append(
            TextQuestion(
                prompt=_hellaswag_context(row, where),
                options=tuple(f" {ending}" for ending in endings),
                right=index_of(row.get("label"), len(endings), "label", where),
                number=number,
                characters=tuple(max(1, len(ending)) for ending in endings),
            )
        )
    return not_empty(questions, path)


def _hellaswag_context(row: dict[str, Any], where: str) -> str:
    if "activity_label" in row and "ctx_a" in row:
        second = str(row.get("ctx_b") or "").capitalize()
        return _clean(f"{row['activity_label']}: {row['ctx_a']} {second}")
    return _clean(field_of(row, "ctx", str, where))


def _clean(text: str) -> str:
    """Remove the marks that WikiHow's pages left in the text."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def not_empty(questions: list[TextQuestion], path: Path) -> list[TextQuestion]:
    """Return a file's questions, or raise where it has none."""
    if not questions:
        raise InputError(f"{path}: no questions in it.")
    return questions


def encode_pairs(
    tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Encode pairs of a context and a continuation.

    Spaces at the context's end go to the continuation, and a token that spans the border is the
    continuation's.
    """
    moved = []
    for context, continuation in pairs:
        stripped = context.rstrip()
        moved.append((stripped, context[len(stripped) :] + continuation))
    wholes = tokenizer.encode([context + continuation for context, continuation in moved])
    contexts = tokenizer.encode([context for context, _ in moved])
    return [
        (np.asarray(before, dtype=np.int64), np.asarray(whole[len(before) :], dtype=np.int64))
        for before, whole in zip(contexts, wholes, strict=True)
    ]


def in_tokens(questions: Sequence[TextQuestion], tokenizer: Tokenizer) -> list[Question]:
    """The questions for `score_choices`."""
    pairs = [(question.prompt, option) for question in questions for option in question.options]
    encoded = iter(encode_pairs(tokenizer, pairs))
    encoded_questions = []
    for question in questions:
        parts = [next(encoded) for _ in question.options]
        encoded_questions.append(
            Question(
                context=parts[0][0],
                options=[answer for _, answer in parts],
                right=question.right,
                number=question.number,
                characters=question.characters,
                group=question.group,
            )
        )
    return encoded_questions
