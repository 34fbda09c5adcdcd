"""The chance level of multiple choice: what can be answered from the options alone.

A unigram and a bigram model read each option without its context and answer as any model does.
What they get right beyond one in as many as there are options is no understanding of a context.
Both are counted on the held-out text that the options are cut from, since nothing so small knows
more of them: they find what is wrong with the questions rather than what a run's training text,
sometimes 200 windows, teaches. Symmetric questions leave them nothing even so.

Shape suffixes: Q questions, O options, A tokens of an option.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.data import PreparedData
from workbench.evaluation.cloze import as_questions, make_questions
from workbench.evaluation.multiple_choice import Question, outcomes
from workbench.evaluation.tasks import Measured, TrainingTask
from workbench.recipe import RunConfig
from workbench.training.trainer import StudyTrainer
from workbench.training.validation import Estimate

_HALF = 0.5  # counts are smoothed by half a count (Krichevsky & Trofimov 1981)
_BLOCK = 1 << 20  # tokens counted at once


def cloze_chance(prepared: PreparedData, *, seq_len: int, count: int) -> dict[str, Estimate]:
    """Chance levels of the questions that `make_questions` gives for the same arguments, by metric:
    `cloze_chance_unigram` and `cloze_chance_bigram`.

    They are the same for every run on this text.

    Raises:
        InputError: as `make_questions`.
    """
    questions = as_questions(make_questions(prepared, seq_len=seq_len, count=count))
    levels = chance_levels(questions, prepared.held_out(), n_tokens=prepared.vocab.n_tokens)
    return {f"cloze_chance_{name}": level for name, level in levels.items()}


def chance_task(config: RunConfig, prepared: PreparedData) -> TrainingTask:
    """Records the chance levels of a run's cloze questions, at its first evaluation."""

    def run(trainer: StudyTrainer) -> Iterator[Measured]:
        if trainer.step > 1:
            return
        count = config.evaluation.cloze_questions or 0
        levels = cloze_chance(prepared, seq_len=config.data.seq_len, count=count)
        for metric, level in levels.items():
            yield Measured(metric, level, "counts/held_out")

    return run


def chance_levels(
    questions: Sequence[Question], text: NDArray[np.unsignedinteger], *, n_tokens: int
) -> dict[str, Estimate]:
    """Accuracy without a context, as a fraction, of `unigram` and `bigram`, each with the binomial
    standard error over questions.

    Args:
        text: tokens that the models are counted on.
        n_tokens: size of the vocabulary.
    """
    options = [np.asarray(option) for question in questions for option in question.options]
    tokens = np.concatenate(options).astype(np.int64)
    option_of = np.repeat(np.arange(len(options)), [len(option) for option in options])
    unigrams = _counts(text, tokens, n_tokens, 1)
    unigram_nll = -np.log((unigrams + _HALF) / (len(text) + _HALF * n_tokens))
    # An option's first token has no other before it, and is the unigram's.
    inner = np.flatnonzero(option_of[1:] == option_of[:-1])
    pairs = tokens[inner] * n_tokens + tokens[inner + 1]
    pair_counts = _counts(text, pairs, n_tokens, 2)
    bigram_nll = unigram_nll.copy()
    bigram_nll[inner + 1] = -np.log((pair_counts + _HALF) / (unigrams[inner] + _HALF * n_tokens))
    return {
        name: outcomes(questions, np.bincount(option_of, weights=nll)).accuracy()
        for name, nll in (("unigram", unigram_nll), ("bigram", bigram_nll))
    }


def _counts(
    text: NDArray[np.unsignedinteger], wanted: NDArray[np.int64], n_tokens: int, n: int
) -> NDArray[np.int64]:
    """How often each of the wanted n-grams, n of 1 or 2, occurs in the text.

    A bigram is its first token times `n_tokens` plus its second.
    """
    known, place = np.unique(wanted, return_inverse=True)
    counts = np.zeros(len(known), np.int64)
    for start in range(0, len(text) - n + 1, _BLOCK):
        block = np.asarray(text[start : start + _BLOCK + n - 1], np.int64)
        found = block if n == 1 else block[:-1] * n_tokens + block[1:]
        at = np.minimum(np.searchsorted(known, found), len(known) - 1)
        counts += np.bincount(at[known[at] == found], minlength=len(known))
    return counts[place]
