"""Multiple choice by likelihood: a model answers with the option that it finds likeliest.

Shape suffixes: Q questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.evaluation.likelihood import Continuation, Tokens, continuation_nll
from workbench.evaluation.scorer import Scorer
from workbench.training.validation import Estimate


@dataclass(frozen=True)
class Question:
    """One question in tokens."""

    context: Tokens
    options: Sequence[Tokens]
    right: int
    """Index of the right option."""
    number: int
    """Keys the noise: all options of a question see the same."""
    characters: Sequence[int] = ()
    """Length of each option's text, where scores are wanted per character."""
    group: str = ""
    """What averages are taken over, such as a subject."""


@dataclass(frozen=True)
class ChoiceScores:
    """What came of each question."""

    right_Q: np.ndarray
    """1 where the right option is strictly the likeliest: a tie is no answer."""
    right_norm_Q: np.ndarray
    """The same by likelihood per character; NaN where there are no characters to divide by."""
    nll_true_Q: np.ndarray
    """Nats a token of the right option."""
    nll_other_Q: np.ndarray
    """Nats a token of the others, averaged."""
    group_Q: np.ndarray

    def accuracy(self) -> Estimate:
        return grouped_accuracy(self.right_Q, self.group_Q)

    def accuracy_norm(self) -> Estimate:
        return grouped_accuracy(self.right_norm_Q, self.group_Q)

    def nll_true(self) -> Estimate:
        return mean_of(self.nll_true_Q)

    def nll_other(self) -> Estimate:
        return mean_of(self.nll_other_Q)


def score_choices(
    scorer: Scorer,
    questions: Sequence[Question],
    *,
    context: int,
    draws: int,
    seed: int = 0,
    batch: int,
) -> ChoiceScores:
    """Answer every question with the model as it stands. Arguments as `continuation_nll`."""
    rows = [
        Continuation(question.context, option, question.number)
        for question in questions
        for option in question.options
    ]
    nll_RD = continuation_nll(scorer, rows, context=context, draws=draws, seed=seed, batch=batch)
    nll_R = nll_RD.mean(axis=1)
    right_Q, right_norm_Q, true_Q, other_Q = np.empty((4, len(questions)))
    ends = np.cumsum([len(question.options) for question in questions])
    for number, (question, nll_O) in enumerate(
        zip(questions, np.split(nll_R, ends[:-1]), strict=True)
    ):
        right_Q[number] = _chosen(nll_O, question.right)
        right_norm_Q[number] = (
            _chosen(nll_O / question.characters, question.right) if question.characters else np.nan
        )
        per_token_O = nll_O / [max(1, len(option)) for option in question.options]
        true_Q[number] = per_token_O[question.right]
        other_Q[number] = np.delete(per_token_O, question.right).mean()
    groups = np.array([question.group for question in questions])
    return ChoiceScores(right_Q, right_norm_Q, true_Q, other_Q, groups)


def _chosen(nll_O: np.ndarray, right: int) -> float:
    others = np.delete(nll_O, right)
    return float(nll_O[right] < others.min())


def grouped_accuracy(right_Q: np.ndarray, group_Q: np.ndarray) -> Estimate:
    """Mean over groups of their accuracy, every group counting the same, with the binomial
    standard error of that mean."""
    shares, variances = [], []
    for group in np.unique(group_Q):
        of_group = right_Q[group_Q == group]
        share = float(of_group.mean())
        shares.append(share)
        variances.append(share * (1 - share) / len(of_group))
    return Estimate(
        float(np.mean(shares)), math.sqrt(sum(variances)) / len(shares), int(right_Q.size)
    )


def mean_of(values: np.ndarray) -> Estimate:
    """Mean and standard error of independent values."""
    n = int(values.size)
    stderr = float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else None
    return Estimate(float(values.mean()), stderr, n)
