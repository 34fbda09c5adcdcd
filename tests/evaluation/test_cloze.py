"""Cloze questions: from held-out text, the same for every run, with one true ending each."""

from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from workbench.data import PreparedData
from workbench.data.preparation import prepare
from workbench.errors import InputError
from workbench.evaluation.cloze import as_questions, distinct_documents, make_questions
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


def test_questions_know_their_document(prepared: PreparedData) -> None:
    text, spans = prepared.held_out(), prepared.held_out_documents()
    for question in as_questions(make_questions(prepared, seq_len=32, count=50)):
        begin, end = spans[question.document]
        whole = np.concatenate([question.context, question.options[0]]).astype(text.dtype)
        assert whole.tobytes() in text[begin:end].tobytes()


def test_false_endings_stand_where_true_ones_can(prepared: PreparedData) -> None:
    """As far from their document's beginning as a context is long."""
    text, spans = prepared.held_out(), prepared.held_out_documents()
    questions = make_questions(prepared, seq_len=32, count=50)
    late = [text[begin + 24 : end].tobytes() for begin, end in spans if end - begin >= 32]
    for ending in questions.tokens_QOL[:, :, 24:].reshape(-1, 8).astype(text.dtype):
        assert any(ending.tobytes() in document for document in late)


def test_any_of_the_four_documents_is_as_likely_to_be_the_true_one() -> None:
    """The chance of each ordered set, against the enumeration of all of them."""
    weights = np.array([5.0, 1, 0, 2, 4, 3, 20])
    drawn = distinct_documents(np.random.Generator(np.random.PCG64(1)), weights, 40_000)
    likely = {four: weights[list(four)].prod() for four in permutations(range(7), 4)}
    total = sum(likely.values())
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) <= {four for four, weight in likely.items() if weight}
    z = [
        (counts[four] - 40_000 * p) / np.sqrt(40_000 * p)
        for four, p in ((four, weight / total) for four, weight in likely.items() if weight)
    ]
    assert np.mean(np.square(z)) == pytest.approx(1, abs=4 * np.sqrt(2 / len(z)))


def test_one_document_with_nearly_all_the_text_is_no_obstacle() -> None:
    weights = np.array([1.0, 1, 1e9, 1])
    drawn = distinct_documents(np.random.Generator(np.random.PCG64(1)), weights, 1000)
    assert (np.sort(drawn) == np.arange(4)).all()
    assert np.bincount(drawn[:, 0]).min() > 180, "each of them is home as often"


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


def test_long_documents_give_more_questions(prepared: PreparedData) -> None:
    spans = prepared.held_out_documents()
    lengths = spans[:, 1] - spans[:, 0]
    questions = make_questions(prepared, seq_len=32, count=4000)
    homes = np.bincount(questions.document_Q, minlength=len(spans))
    assert np.corrcoef(homes, lengths)[0, 1] > 0.8


def test_a_document_as_long_as_a_question_gives_one(prepared: PreparedData, tmp_path: Path) -> None:
    spans = np.arange(4)[:, None] * 32 + np.array([0, 32])
    np.save(tmp_path / "held_out_documents.npy", spans)
    (tmp_path / "held_out.bin").write_bytes((prepared.folder / "held_out.bin").read_bytes())
    questions = make_questions(replace(prepared, folder=tmp_path), seq_len=32, count=9)
    for question, document in zip(questions.tokens_QOL, questions.document_Q, strict=True):
        np.testing.assert_array_equal(question[0], prepared.held_out()[slice(*spans[document])])


def test_too_few_documents_are_refused(prepared: PreparedData, tmp_path: Path) -> None:
    np.save(tmp_path / "held_out_documents.npy", prepared.held_out_documents()[:3])
    few = replace(prepared, folder=tmp_path)
    (tmp_path / "held_out.bin").write_bytes((prepared.folder / "held_out.bin").read_bytes())
    with pytest.raises(InputError, match="cloze needs 4 held-out documents"):
        make_questions(few, seq_len=32, count=4)
