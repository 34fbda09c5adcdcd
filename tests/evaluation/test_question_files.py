"""Questions in files: both formats as they are published, and what is wrong with a line."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data.tokenizers import ByteTokenizer, load_tokenizer, train_bpe
from workbench.errors import InputError
from workbench.evaluation.mmlu import LETTERS, TEXTS, read_mmlu
from workbench.evaluation.question_files import encode_pairs, in_tokens, read_hellaswag

HELLASWAG = {
    "activity_label": "Roof shingle removal",
    "ctx_a": "A man is sitting on a roof.",
    "ctx_b": "he",
    "ctx": "A man is sitting on a roof. he",
    "endings": ["is using wrap [substeps] to wrap.", "starts pulling up roofing."],
    "label": "1",
}
MMLU = {
    "question": "What is 1 + 1? ",
    "choices": ["1", "2", "three", "4"],
    "answer": 1,
    "subject": "abstract_algebra",
}


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_hellaswag_is_asked_as_the_harness_asks_it(tmp_path: Path) -> None:
    (question,) = read_hellaswag(written(tmp_path / "h.jsonl", HELLASWAG))
    assert question.prompt == "Roof shingle removal: A man is sitting on a roof. He"
    assert question.options == (" is using wrap to wrap.", " starts pulling up roofing.")
    assert question.right == 1
    assert question.characters == (22, 26)


def test_a_hellaswag_of_three_fields_is_enough(tmp_path: Path) -> None:
    row = {"ctx": "Once upon", "endings": ["a time", "a mat"], "label": 0}
    path = tmp_path / "h.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(row).encode()))
    (question,) = read_hellaswag(path)
    assert (question.prompt, question.right) == ("Once upon", 0)


def test_mmlu_is_asked_for_letters_after_its_shots(tmp_path: Path) -> None:
    other = {**MMLU, "question": "2 + 2?", "answer": "D"}
    foreign = {**MMLU, "subject": "law"}
    dev = written(tmp_path / "dev.jsonl", foreign, other, MMLU)
    path = written(tmp_path / "test.jsonl", MMLU)
    (question,) = read_mmlu(path, dev, 1, form=LETTERS)
    assert question.prompt == (
        "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
        "2 + 2?\nA. 1\nB. 2\nC. three\nD. 4\nAnswer: D\n\n"
        "What is 1 + 1?\nA. 1\nB. 2\nC. three\nD. 4\nAnswer:"
    )
    assert question.options == (" A", " B", " C", " D")
    assert (question.right, question.group) == (1, "abstract_algebra")
    (plain,) = read_mmlu(path, None, 0, form=TEXTS)
    assert plain.prompt.endswith("\n\nQuestion: What is 1 + 1?\nAnswer:")
    assert plain.options == (" 1", " 2", " three", " 4")
    assert plain.characters == (1, 1, 5, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"endings": "no"}, r"line 1: endings = 'no'; expected endings to be a list"),
        ({"endings": ["one"]}, "two texts or more"),
        ({"label": 2}, r"label = 2; expected which of the 2 options is right: 0 to 1"),
        ({"label": "x"}, "label = 'x'"),
        ({"label": True}, "label = True"),
        ({"label": None}, "label = None"),
    ],
)
def test_a_wrong_line_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_hellaswag(written(tmp_path / "h.jsonl", {**HELLASWAG, **change}))


def test_wrong_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with pytest.raises(InputError, match=r"h\.jsonl: cannot be read \(No such file"):
        read_hellaswag(path)
    path.write_text("")
    with pytest.raises(InputError, match="no questions in it"):
        read_hellaswag(path)
    path.write_text("{}\nnot json\n")
    with pytest.raises(InputError, match="line 1: no endings"):
        read_hellaswag(path)
    path.write_text("not json\n")
    with pytest.raises(InputError, match="line 1: not JSON"):
        read_hellaswag(path)
    (tmp_path / "h.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="cannot be read"):
        read_hellaswag(tmp_path / "h.jsonl.gz")


def test_shots_without_a_dev_file_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "test.jsonl", MMLU)
    with pytest.raises(InputError, match="give mmlu_dev beside mmlu"):
        read_mmlu(path, None, 5, form=LETTERS)
    dev = written(tmp_path / "dev.jsonl", MMLU)
    with pytest.raises(InputError, match=r'2 shots, and .* has 1 questions of subject "abstract'):
        read_mmlu(path, dev, 2, form=LETTERS)


def test_a_token_across_the_border_belongs_to_the_continuation(tmp_path: Path) -> None:
    train_bpe(iter(["the cat sat on the mat " * 50]), 300, tmp_path / "t.json")
    for tokenizer in (ByteTokenizer(), load_tokenizer(str(tmp_path / "t.json"))):
        pairs = [("the cat ", "sat"), ("the", " mat"), ("", "mat")]
        for pair, (context, answer) in zip(pairs, encode_pairs(tokenizer, pairs), strict=True):
            assert tokenizer.decode([*context, *answer]) == "".join(pair)
            assert tokenizer.decode(context) == pair[0].rstrip()
            assert len(answer)


def test_options_share_their_questions_number(tmp_path: Path) -> None:
    path = written(tmp_path / "h.jsonl", HELLASWAG, HELLASWAG)
    first, second = in_tokens(read_hellaswag(path), ByteTokenizer())
    assert (first.number, second.number) == (0, 1)
    assert bytes(np.asarray(first.options[1], np.uint8)).decode() == " starts pulling up roofing."
