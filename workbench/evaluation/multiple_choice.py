"""Multiple choice by likelihood: a model answers with the option that it finds likeliest.

Shape suffixes: Q questions, R options of all of them, D draws, O options of one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.evaluation.likelihood import Continuation, Tokens, continuation_nll
from workbench.evaluation.scorer import Scorer
from workbench.evaluation.staged_draws import FEWEST_DRAWS, staged_nll
from workbench.runs.items import Items
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
    document: int = -1
    """Number of the held-out document that it is from: outcomes of one document are alike."""


@dataclass(frozen=True)
class ChoiceScores:
    """What came of each question, in the order in which they were asked."""

    number_Q: np.ndarray
    """int64: `Question.number`."""
    document_Q: np.ndarray
    """int64: `Question.document`."""
    chosen_Q: np.ndarray
    """int64: index of the strictly likeliest option; -1 where two are."""
    chosen_norm_Q: np.ndarray
    """int64: the same by likelihood per character; -1 where there are no characters, too."""
    right_Q: np.ndarray
    """1 where the right option is strictly the likeliest: a tie is no answer."""
    right_norm_Q: np.ndarray
    """The same by likelihood per character; NaN where there are no characters to divide by."""
    nll_true_Q: np.ndarray
    """Nats a token of the right option."""
    nll_other_Q: np.ndarray
    """Nats a token of the others, averaged."""
    group_Q: np.ndarray
    draws_Q: np.ndarray
    """int64: noise draws that the question took."""

    def items(self, measure: str) -> Items:
        """The questions of a measure: acc, acc_norm, nll_true or nll_other.

        Questions that come from no document are clusters of their own.
        """
        value_Q = getattr(self, _VALUES[measure])
        n = len(value_Q)
        _, group_Q, size_G = np.unique(self.group_Q, return_inverse=True, return_counts=True)
        by_group = measure.startswith("acc")  # every group counts the same
        weight_Q = n / (len(size_G) * size_G[group_Q]) if by_group else np.ones(n)
        document_Q = self.document_Q if (self.document_Q >= 0).all() else np.arange(n)
        return Items(document_Q, value_Q, np.ones(n), weight_Q)

    def accuracy(self) -> Estimate:
        return grouped_accuracy(self.right_Q, self.group_Q)

    def accuracy_norm(self) -> Estimate:
        return grouped_accuracy(self.right_norm_Q, self.group_Q)

    def nll_true(self) -> Estimate:
        return mean_of(self.nll_true_Q)

    def nll_other(self) -> Estimate:
        return mean_of(self.nll_other_Q)


_VALUES = {
    "acc": "right_Q",
    "acc_norm": "right_norm_Q",
    "nll_true": "nll_true_Q",
    "nll_other": "nll_other_Q",
}


def score_choices(
    scorer: Scorer,
    questions: Sequence[Question],
    *,
    context: int,
    draws: int,
    seed: int = 0,
    batch: int,
    early: float | None = None,
) -> ChoiceScores:
    """Answer every question with the model as it stands. Arguments as `continuation_nll`.

    Args:
        early: stop drawing for a question when its leading option is ahead by so many standard
            errors, where `draws_early`; None to take all draws.
    """
    options_QO = [
        [Continuation(question.context, option, question.number) for option in question.options]
        for question in questions
    ]
    if early is not None and draws_early(scorer, draws):
        staged = staged_nll(
            scorer,
            options_QO,
            [question.characters for question in questions],
            context=context,
            draws=draws,
            seed=seed,
            batch=batch,
            z=early,
        )
        chosen, first = (outcomes(questions, nll) for nll in (staged.mean_R, staged.first_R))
        return replace(
            chosen,
            nll_true_Q=first.nll_true_Q,
            nll_other_Q=first.nll_other_Q,
            draws_Q=staged.draws_Q,
        )
    rows = [option for options in options_QO for option in options]
    nll_RD = continuation_nll(scorer, rows, context=context, draws=draws, seed=seed, batch=batch)
    return outcomes(questions, nll_RD.mean(axis=1), draws=nll_RD.shape[1])


def draws_early(scorer: Scorer, draws: int) -> bool:
    """Whether there are so many draws that it pays to stop early."""
    return scorer.objective.answer_draws(draws) >= FEWEST_DRAWS


def outcomes(questions: Sequence[Question], nll_R: np.ndarray, *, draws: int = 1) -> ChoiceScores:
    """Return what comes of each question.

    Args:
        nll_R: nats of each option, question after question.
        draws: noise draws that each is a mean of.
    """
    chosen_Q, chosen_norm_Q = np.full((2, len(questions)), -1, dtype=np.int64)
    right_norm_Q, true_Q, other_Q = np.full((3, len(questions)), np.nan)
    ends = np.cumsum([len(question.options) for question in questions])
    for number, (question, nll_O) in enumerate(
        zip(questions, np.split(nll_R, ends[:-1]), strict=True)
    ):
        chosen_Q[number] = _strictly_least(nll_O)
        if question.characters:
            chosen_norm_Q[number] = _strictly_least(nll_O / question.characters)
            right_norm_Q[number] = chosen_norm_Q[number] == question.right
        per_token_O = nll_O / [max(1, len(option)) for option in question.options]
        true_Q[number] = per_token_O[question.right]
        other_Q[number] = np.delete(per_token_O, question.right).mean()
    return ChoiceScores(
        number_Q=np.array([question.number for question in questions], dtype=np.int64),
        document_Q=np.array([question.document for question in questions], dtype=np.int64),
        chosen_Q=chosen_Q,
        chosen_norm_Q=chosen_norm_Q,
        right_Q=(chosen_Q == [question.right for question in questions]).astype(np.float64),
        right_norm_Q=right_norm_Q,
        nll_true_Q=true_Q,
        nll_other_Q=other_Q,
        group_Q=np.array([question.group for question in questions]),
        draws_Q=np.full(len(questions), draws),
    )


def mean_scores(asked: Sequence[ChoiceScores]) -> ChoiceScores:
    """The outcomes of the same questions asked in several ways, averaged question by question; no
    option is the one chosen."""
    averaged = {
        name: np.mean([getattr(scores, name) for scores in asked], axis=0)
        for name in ("right_Q", "right_norm_Q", "nll_true_Q", "nll_other_Q")
    }
    none = np.full_like(asked[0].chosen_Q, -1)
    return replace(asked[0], chosen_Q=none, chosen_norm_Q=none, **averaged)


def _strictly_least(values: np.ndarray) -> int:
    """Index of the least value, or -1 where it is not alone."""
    least = np.flatnonzero(values == values.min())
    return int(least[0]) if len(least) == 1 else -1


def grouped_accuracy(right_Q: np.ndarray, group_Q: np.ndarray) -> Estimate:
    """Mean over groups of their accuracy, every group counting the same, with the standard error
    of that mean over questions: the binomial one where each is right or wrong."""
    shares, variances = [], []
    for group in np.unique(group_Q):
        of_group = right_Q[group_Q == group]
        shares.append(float(of_group.mean()))
        variances.append(float(of_group.var()) / len(of_group))
    return Estimate(
        float(np.mean(shares)), math.sqrt(sum(variances)) / len(shares), int(right_Q.size)
    )


def mean_of(values: np.ndarray) -> Estimate:
    """Mean and standard error of independent values."""
    n = int(values.size)
    stderr = float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else None
    return Estimate(float(values.mean()), stderr, n)
