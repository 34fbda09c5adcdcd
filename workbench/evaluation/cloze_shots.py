"""k-shot cloze: does seeing solved examples help to tell which ending belongs to a text?

A question is a passage of a held-out document, and its shots are other passages of the same
document, whole and none overlapping: k texts with their true endings, then the context of the
question. What a shot can teach is what the document is like. The questions are the same for
every k, and one of k shots sees the first k of the most, so that a difference between two k is
the shots' alone. False endings are drawn as true ones are: by the law of `cloze`, from passages
that would be asked about if theirs were the question's document.
"""

from collections.abc import Sequence

import numpy as np

from workbench.data import PreparedData
from workbench.errors import InputError
from workbench.evaluation.cloze import OPTIONS, distinct_documents
from workbench.evaluation.multiple_choice import Question

_SEED = 20_251_106  # of the questions: the same for every run of every study
_SHORTEST = 8  # tokens a passage: 6 of context and 2 of ending


def make_shot_questions(
    prepared: PreparedData,
    *,
    context: int,
    shots: Sequence[int],
    separator: Sequence[int],
    count: int,
) -> dict[int, list[Question]]:
    """Questions by number of shots.

    Args:
        context: tokens that the model takes: they hold the most shots and the question.
        separator: tokens between passages.

    Raises:
        InputError: the passages would be too short, or fewer than four held-out documents hold so
            many.
    """
    most = max(shots)
    length = (context - most * len(separator)) // (most + 1)
    if length < _SHORTEST:
        raise InputError(
            f"evaluation.shots: {most} shots leave {max(length, 0)} tokens a passage in a context "
            f"of {context}, and {_SHORTEST} are needed. Ask for fewer shots, or raise data.seq_len."
        )
    ending = length // 4
    text, spans = prepared.held_out(), prepared.held_out_documents()
    lengths = spans[:, 1] - spans[:, 0]
    long_enough = lengths >= (most + 1) * length
    if np.count_nonzero(long_enough) < OPTIONS:
        raise InputError(
            f"evaluation.tasks: cloze_shots needs {OPTIONS} held-out documents of "
            f"{(most + 1) * length} tokens or more, and there are {np.count_nonzero(long_enough)}. "
            "Raise data.validation_tokens, or lower evaluation.shots."
        )
    rng = np.random.Generator(np.random.PCG64(_SEED))
    document_QO = distinct_documents(rng, np.where(long_enough, lengths, 0), count)
    made: dict[int, list[Question]] = {k: [] for k in shots}
    for number, documents in enumerate(document_QO):
        passages = [
            _passages(rng, text, spans[document], most + 1, length) for document in documents
        ]
        asked, examples = passages[0][0], passages[0][1:]
        options = [of_document[0][-ending:] for of_document in passages]
        for k in shots:
            before = [part for example in examples[:k] for part in (example, separator)]
            prompt = np.concatenate([*before, asked[:-ending]]).astype(np.int64)
            made[k].append(
                Question(prompt, options, right=0, number=number, document=int(documents[0]))
            )
    return made


def _passages(
    rng: np.random.Generator, text: np.ndarray, span: np.ndarray, count: int, length: int
) -> list[np.ndarray]:
    """Disjoint passages of one document, in random order."""
    slack = int(span[1] - span[0]) - count * length
    offsets = np.sort(rng.integers(0, slack + 1, size=count)) + np.arange(count) * length
    starts = span[0] + rng.permutation(offsets)
    return [np.asarray(text[start : start + length], dtype=np.int64) for start in starts]
