"""k-shot cloze: the same questions for every k, and shots from the question's own document."""

from pathlib import Path

import numpy as np
import pytest

from workbench.data import PreparedData
from workbench.data.preparation import prepare
from workbench.errors import InputError
from workbench.evaluation.cloze_shots import make_shot_questions
from workbench.recipe import DataConfig

SEPARATOR = [10, 10]


@pytest.fixture(scope="module")
def prepared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    data = DataConfig(
        corpus=str(corpus),
        document="blank-line",
        unique_tokens=64,
        seq_len=64,
        validation_tokens=8192,
    )
    return prepare(data, tmp_path_factory.mktemp("shots"))


def test_shots_are_whole_passages_of_the_questions_document(prepared: PreparedData) -> None:
    made = make_shot_questions(prepared, context=64, shots=[0, 1, 3], separator=SEPARATOR, count=40)
    held_out = bytes(np.asarray(prepared.held_out(), dtype=np.uint8))
    documents = [held_out[a:b] for a, b in prepared.held_out_documents()]
    length = (64 - 3 * 2) // 4
    for zero, single, triple in zip(made[0], made[1], made[3], strict=True):
        assert zero.number == single.number == triple.number
        for asked in (single, triple):
            np.testing.assert_array_equal(asked.context[-len(zero.context) :], zero.context)
            for option, same in zip(asked.options, zero.options, strict=True):
                np.testing.assert_array_equal(option, same)
        assert len(triple.context) + len(triple.options[0]) <= 64
        shown = bytes(np.asarray(triple.context[: -len(zero.context)], np.uint8))
        shots = [shown[i * (length + 2) :][:length] for i in range(3)]
        assert bytes(np.asarray(single.context[:length], np.uint8)) == shots[0]
        question = bytes(np.concatenate([zero.context, zero.options[0]]).astype(np.uint8))
        home = documents[zero.document]
        assert all(part in home for part in [question, *shots])
        assert zero.document == single.document == triple.document


def test_questions_are_the_same_each_time(prepared: PreparedData) -> None:
    first, again = (
        make_shot_questions(prepared, context=64, shots=[1], separator=SEPARATOR, count=9)
        for _ in range(2)
    )
    for question, same in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(question.context, same.context)


def test_long_documents_give_more_questions(prepared: PreparedData) -> None:
    made = make_shot_questions(prepared, context=64, shots=[1], separator=SEPARATOR, count=4000)
    spans = prepared.held_out_documents()
    lengths = spans[:, 1] - spans[:, 0]
    homes = np.bincount([question.document for question in made[1]], minlength=len(spans))
    assert np.corrcoef(homes, lengths)[0, 1] > 0.8


def test_too_few_long_documents_are_refused(prepared: PreparedData) -> None:
    with pytest.raises(InputError, match="cloze_shots needs 4 held-out documents of 4990 tokens"):
        make_shot_questions(prepared, context=5000, shots=[4], separator=SEPARATOR, count=9)


def test_too_many_shots_are_refused(prepared: PreparedData) -> None:
    with pytest.raises(InputError, match=r"evaluation\.shots: 7 shots leave 6 tokens a passage"):
        make_shot_questions(prepared, context=64, shots=[7], separator=SEPARATOR, count=9)
