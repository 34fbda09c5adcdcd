"""The chance level: what can be answered without a context, of fair questions and of others."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from workbench.data import PreparedData
from workbench.data.preparation import prepare
from workbench.evaluation.chance import chance_levels, cloze_chance
from workbench.evaluation.cloze import as_questions, make_questions
from workbench.evaluation.cloze_shots import make_shot_questions
from workbench.evaluation.multiple_choice import Question
from workbench.metrics import METRICS
from workbench.recipe import DataConfig

COUNT, SEQ_LEN, BYTES = 4000, 64, 256


@pytest.fixture(scope="module")
def stdlib(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    data = DataConfig(
        corpus="python-stdlib",
        tokenizer="bytes",
        unique_tokens=12_800,
        seq_len=SEQ_LEN,
        validation_tokens=32_768,
    )
    return prepare(data, tmp_path_factory.mktemp("stdlib"))


def cloze(prepared: PreparedData) -> list[Question]:
    return as_questions(make_questions(prepared, seq_len=SEQ_LEN, count=COUNT))


def cloze_shots(prepared: PreparedData) -> list[Question]:
    made = make_shot_questions(
        prepared, context=4 * SEQ_LEN, shots=[3], separator=[10], count=COUNT
    )
    return made[3]


def unfair(prepared: PreparedData) -> list[Question]:
    """True endings from documents by their lengths, false ones from all documents evenly."""
    rng = np.random.Generator(np.random.PCG64(5))
    text, spans = prepared.held_out(), prepared.held_out_documents()
    lengths = spans[:, 1] - spans[:, 0]

    def ending(document: int) -> np.ndarray:
        start = rng.integers(spans[document, 0], spans[document, 1] - 16)
        return np.asarray(text[start : start + 16], dtype=np.int64)

    questions = []
    for number in range(COUNT):
        home = int(rng.choice(len(spans), p=lengths / lengths.sum()))
        others = rng.choice(np.delete(np.arange(len(spans)), home), 3)
        options = [ending(home), *(ending(int(other)) for other in others)]
        questions.append(Question([], options, right=0, number=number))
    return questions


@pytest.mark.parametrize("made", [cloze, cloze_shots])
def test_endings_alone_tell_nothing(
    made: Callable[[PreparedData], list[Question]], stdlib: PreparedData
) -> None:
    for name, level in chance_levels(made(stdlib), stdlib.held_out(), n_tokens=BYTES).items():
        assert level.stderr is not None
        assert abs(level.value - 0.25) < 2.5 * level.stderr, name


def test_false_endings_of_even_documents_give_true_ones_away(stdlib: PreparedData) -> None:
    level = chance_levels(unfair(stdlib), stdlib.held_out(), n_tokens=BYTES)["bigram"]
    assert level.stderr is not None
    assert level.value - 0.25 > 6 * level.stderr


def test_the_levels_that_runs_record_are_known_metrics(stdlib: PreparedData) -> None:
    levels = cloze_chance(stdlib, seq_len=SEQ_LEN, count=COUNT)
    assert set(levels) == {name for name in METRICS if name.startswith("cloze_chance")}
    bare = chance_levels(cloze(stdlib), stdlib.held_out(), n_tokens=stdlib.vocab.n_tokens)
    assert list(levels.values()) == list(bare.values())


def test_levels_are_those_of_smoothed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand; blocks of three tokens, so that pairs lie across their borders."""
    monkeypatch.setattr("workbench.evaluation.chance._BLOCK", 3)
    rng = np.random.Generator(np.random.PCG64(3))
    text = rng.choice(5, size=50, p=[0.5, 0.2, 0.2, 0.1, 0.0]).astype(np.uint16)
    ones = [int((text == token).sum()) for token in range(5)]
    pairs = list(zip(text[:-1].tolist(), text[1:].tolist(), strict=True))

    def unigram(option: list[int]) -> float:
        return sum(math.log((ones[token] + 0.5) / 52.5) for token in option)

    def bigram(option: list[int]) -> float:
        first, second = option
        given = math.log((pairs.count((first, second)) + 0.5) / (ones[first] + 2.5))
        return unigram([first]) + given

    options = [[rng.integers(0, 5, size=2).tolist() for _ in range(4)] for _ in range(300)]
    questions = [Question([], four, right=2, number=n) for n, four in enumerate(options)]
    levels = chance_levels(questions, text, n_tokens=5)
    for name, score in (("unigram", unigram), ("bigram", bigram)):
        right = [max(map(score, four[:2] + four[3:])) < score(four[2]) - 1e-9 for four in options]
        assert levels[name].value == pytest.approx(np.mean(right))
        assert levels[name].n == 300
