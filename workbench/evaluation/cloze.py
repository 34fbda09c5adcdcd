"""Cloze: which of four endings belongs to this text?

The protocol is HellaSwag's, on the corpus itself: a context from a held-out document, its true
ending, and endings of other held-out documents. A model answers with the ending that it finds
likeliest. All endings of a question have the same number of tokens, so no option is favoured
for its length. Beside the accuracy stand the mean NLLs of the true and of the other endings,
whose gap can widen while both rise (arXiv 2511.03276, section 5 and Figure 9).
"""

from dataclasses import dataclass

import numpy as np

from workbench.data import PreparedData
from workbench.errors import InputError
from workbench.evaluation.multiple_choice import Question

OPTIONS = 4
_SEED = 20_251_103  # of the questions: the same for every run of every study


@dataclass(frozen=True)
class Questions:
    """Q questions of 4 options; option 0 is the true ending.

    `tokens_QOL` holds context and ending; the ending starts at `answer_start`.
    """

    tokens_QOL: np.ndarray
    answer_start: int

    def __len__(self) -> int:
        return len(self.tokens_QOL)


def make_questions(prepared: PreparedData, *, seq_len: int, count: int) -> Questions:
    """Questions from held-out text: three quarters of a window as context, a quarter as ending.

    Raises:
        InputError: fewer than four held-out documents are long enough to give an ending.
    """
    text, spans = prepared.held_out(), prepared.held_out_documents()
    ending = max(1, seq_len // 4)
    context = seq_len - ending
    lengths = spans[:, 1] - spans[:, 0]
    with_question = np.flatnonzero(lengths >= seq_len)
    with_ending = np.flatnonzero(lengths >= ending)
    if len(with_question) == 0 or len(with_ending) < OPTIONS:
        raise InputError(
            f"evaluation.tasks: cloze needs 4 held-out documents of {ending} tokens or more and "
            f"one of {seq_len}, and there are {len(with_ending)} and {len(with_question)}. Raise "
            "data.validation_tokens, lower data.seq_len, or leave cloze out."
        )
    rng = np.random.Generator(np.random.PCG64(_SEED))
    # Long documents give more questions: a place in the text is as likely as any other.
    weight = lengths[with_question] / lengths[with_question].sum()
    questions = np.empty((count, OPTIONS, seq_len), dtype=np.int64)
    for question in questions:
        home = int(rng.choice(with_question, p=weight))
        start = int(rng.integers(spans[home, 0], spans[home, 1] - seq_len + 1))
        question[:] = text[start : start + seq_len]
        for option in range(1, OPTIONS):
            other = another(rng, with_ending, home)
            place = int(rng.integers(spans[other, 0], spans[other, 1] - ending + 1))
            question[option, context:] = text[place : place + ending]
    return Questions(questions, context)


def another(rng: np.random.Generator, documents: np.ndarray, home: int) -> int:
    """A document other than `home`."""
    while True:
        other = int(rng.choice(documents))
        if other != home:
            return other


def as_questions(questions: Questions) -> list[Question]:
    """Return the questions for `score_choices`, in their order and numbered by it."""
    start = questions.answer_start
    return [
        Question(tokens_OL[0, :start], list(tokens_OL[:, start:]), right=0, number=number)
        for number, tokens_OL in enumerate(questions.tokens_QOL)
    ]
