"""Cloze questions: from held-out text, the same for every run, with one true ending each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.data import PreparedData
from workbench.data.preparation import prepare
from workbench.errors import InputError
from workbench.evaluation.cloze import make_questions
from workbench.recipe import DataConfig


@pytest.fixture(scope="module")
def prepared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    data = DataConfig(
        corpus=str(corpus),
        document="blank-line",
        unique_tokens=64,
        seq_len=32,
        validation_tokens=4096,
    )
    return prepare(data, tmp_path_factory.mktemp("cloze"))


def test_endings_have_one_length_and_one_of_four_is_true(prepared: PreparedData) -> None:
    questions = make_questions(prepared, seq_len=32, count=50)
    tokens, start = questions.tokens_QOL, questions.answer_start
    assert tokens.shape == (50, 4, 32)
    assert start == 24
    assert (tokens[:, :, :start] == tokens[:, :1, :start]).all(), "options share the context"
    text = prepared.held_out().astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(text, 32)
    known = {window.tobytes() for window in windows}
    assert all(question[0].tobytes() in known for question in tokens), "option 0 goes on as it did"


def test_false_endings_are_held_out_text_of_other_documents(prepared: PreparedData) -> None:
    questions = make_questions(prepared, seq_len=32, count=50)
    text, spans = prepared.held_out().astype(np.int64), prepared.held_out_documents()
    documents = [bytes(text[a:b].astype(np.uint8)) for a, b in spans]
    for question in questions.tokens_QOL:
        homes = {i for i, d in enumerate(documents) if bytes(question[0].astype(np.uint8)) in d}
        for option in question[1:]:
            ending = bytes(option[24:].astype(np.uint8))
            sources = {i for i, d in enumerate(documents) if ending in d}
            assert sources - homes, "a false ending comes from another document"


def test_questions_are_the_same_each_time(prepared: PreparedData) -> None:
    first = make_questions(prepared, seq_len=32, count=20)
    again = make_questions(prepared, seq_len=32, count=20)
    np.testing.assert_array_equal(first.tokens_QOL, again.tokens_QOL)


def test_too_few_documents_are_refused(prepared: PreparedData, tmp_path: Path) -> None:
    np.save(tmp_path / "held_out_documents.npy", prepared.held_out_documents()[:3])
    few = replace(prepared, folder=tmp_path)
    (tmp_path / "held_out.bin").write_bytes((prepared.folder / "held_out.bin").read_bytes())
    with pytest.raises(InputError, match="cloze needs 4 held-out documents"):
        make_questions(few, seq_len=32, count=4)
