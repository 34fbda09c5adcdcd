"""Cloze: which of four endings belongs to this text?

The protocol is HellaSwag's, on the corpus itself: a context from a held-out document, its true
ending, and endings of other held-out documents. A model answers with the ending that it finds
likeliest. All endings of a question have the same number of tokens, so no option is favoured
for its length, and all four are drawn by one law, so that nothing but the context tells them
apart: whatever looks at the endings alone is right in a quarter of the questions (`chance`
measures it). Beside the accuracy stand the mean NLLs of the true and of the other endings, whose
gap can widen while both rise (arXiv 2511.03276, section 5 and Figure 9).

Shape suffixes: Q questions, O options, L tokens.
"""

from dataclasses import dataclass

import numpy as np

from workbench.data import PreparedData
from workbench.errors import InputError
from workbench.evaluation.multiple_choice import Question

OPTIONS = 4
_SEED = 20_251_105  # of the questions: the same for every run of every study


@dataclass(frozen=True)
class Questions:
    """Q questions of 4 options; option 0 is the true ending.

    `tokens_QOL` holds context and ending; the ending starts at `answer_start`.
    """

    tokens_QOL: np.ndarray
    answer_start: int
    document_Q: np.ndarray
    """int64: number of the held-out document that each question is from."""

    def __len__(self) -> int:
        return len(self.tokens_QOL)


def make_questions(prepared: PreparedData, *, seq_len: int, count: int) -> Questions:
    """Questions from held-out text: three quarters of a window as context, a quarter as ending.

    A question is four windows of four documents. The first one's context is asked about, and of
    the others only the endings are used, so false endings stand as far into their documents as
    true ones do.

    Raises:
        InputError: fewer than four held-out documents are as long as a window.
    """
    text, spans = prepared.held_out(), prepared.held_out_documents()
    context = seq_len - max(1, seq_len // 4)
    places = np.maximum(spans[:, 1] - spans[:, 0] - seq_len + 1, 0)
    if np.count_nonzero(places) < OPTIONS:
        raise InputError(
            f"evaluation.tasks: cloze needs {OPTIONS} held-out documents of {seq_len} tokens or "
            f"more, and there are {np.count_nonzero(places)}. Raise data.validation_tokens, lower "
            "data.seq_len, or leave cloze out."
        )
    rng = np.random.Generator(np.random.PCG64(_SEED))
    # Long documents give more questions: a place in the text is as likely as any other.
    document_QO = distinct_documents(rng, places, count)
    start_QO = spans[document_QO, 0] + rng.integers(0, places[document_QO])
    tokens_QOL = text[start_QO[:, :, None] + np.arange(seq_len)].astype(np.int64)
    tokens_QOL[:, 1:, :context] = tokens_QOL[:, :1, :context]
    return Questions(tokens_QOL, context, document_QO[:, 0])


def distinct_documents(rng: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """[count, 4] int64: four different documents a question, in random order.

    Each question is four independent draws with these weights, given that all four differ. Such
    draws are exchangeable: the first document, of the true ending, has the same law as the others.
    Drawing the home first and then others that are not it would not do, for a long document would
    be home more often than not.

    Args:
        weights: of the documents; four or more must be positive.
    """
    weights = weights / weights.sum()
    # sums[k][n]: over all sets of k of the first n documents, the sum of their weights' products.
    # It is also how likely the last document of a set is among those n, up to a factor.
    sums = [np.ones(len(weights) + 1)]
    for _ in range(OPTIONS):
        sums.append(np.concatenate([[0.0], np.cumsum(weights * sums[-1][:-1])]))
    drawn = np.empty((count, OPTIONS), dtype=np.int64)
    before = np.full(count, len(weights))  # documents that are left to choose from
    for k in range(OPTIONS, 0, -1):
        below = (1 - rng.random(count)) * sums[k][before]  # above 0: none has a weight of 0
        before = np.searchsorted(sums[k], below) - 1
        drawn[:, k - 1] = before
    return rng.permuted(drawn, axis=1)


def as_questions(questions: Questions) -> list[Question]:
    """Return the questions for `score_choices`, in their order and numbered by it."""
    start = questions.answer_start
    return [
        Question(
            tokens_OL[0, :start],
            list(tokens_OL[:, start:]),
            right=0,
            number=number,
            document=int(questions.document_Q[number]),
        )
        for number, tokens_OL in enumerate(questions.tokens_QOL)
    ]
