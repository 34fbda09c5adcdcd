"""k-shot cloze: does seeing solved examples help to tell which ending belongs to a text?

A question is a passage of a held-out document, and its shots are other passages of the same
document, whole and none overlapping: k texts with their true endings, then the context of the
question. What a shot can teach is what the document is like. The questions are the same for
every k, and one of k shots sees the first k of the most, so that a difference between two k is
the shots' alone.
"""

from collections.abc import Sequence

import numpy as np

from workbench.data import PreparedData
from workbench.errors import InputError
from workbench.evaluation.cloze import OPTIONS, another
from workbench.evaluation.multiple_choice import Question

_SEED = 20_251_104  # of the questions: the same for every run of every study
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
        InputError: the passages would be too short, or no held-out document holds so many.
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
    homes = np.flatnonzero(lengths >= (most + 1) * length)
    endings = np.flatnonzero(lengths >= ending)
    if len(homes) == 0 or len(endings) < OPTIONS:
        raise InputError(
            f"evaluation.tasks: cloze_shots needs a held-out document of {(most + 1) * length} "
            f"tokens, and 4 of {ending}; there are {len(homes)} and {len(endings)}. Raise "
            "data.validation_tokens, or lower evaluation.shots."
        )
    rng = np.random.Generator(np.random.PCG64(_SEED))
    weight = lengths[homes] / lengths[homes].sum()
    made: dict[int, list[Question]] = {k: [] for k in shots}
    for number in range(count):
        home = int(rng.choice(homes, p=weight))
        passages = _passages(rng, text, spans[home], most + 1, length)
        asked, examples = passages[0], passages[1:]
        options = [asked[-ending:]]
        for _ in range(OPTIONS - 1):
            other = another(rng, endings, home)
            place = int(rng.integers(spans[other, 0], spans[other, 1] - ending + 1))
            options.append(np.asarray(text[place : place + ending], dtype=np.int64))
        for k in shots:
            before = [part for example in examples[:k] for part in (example, separator)]
            prompt = np.concatenate([*before, asked[:-ending]]).astype(np.int64)
            made[k].append(Question(prompt, options, right=0, number=number))
    return made


def _passages(
    rng: np.random.Generator, text: np.ndarray, span: np.ndarray, count: int, length: int
) -> list[np.ndarray]:
    """Disjoint passages of one document, in random order."""
    slack = int(span[1] - span[0]) - count * length
    offsets = np.sort(rng.integers(0, slack + 1, size=count)) + np.arange(count) * length
    starts = span[0] + rng.permutation(offsets)
    return [np.asarray(text[start : start + length], dtype=np.int64) for start in starts]
