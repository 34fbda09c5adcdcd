"""Cloze: which of four endings belongs to this text?

The protocol is HellaSwag's, on the corpus itself: a context from a held-out document, its true
ending, and endings of other held-out documents. A model answers with the ending that it finds
likeliest. All endings of a question have the same number of tokens, so no option is favoured
for its length. Beside the accuracy stand the mean NLLs of the true and of the other endings,
whose gap can widen while both rise (arXiv 2511.03276, section 5 and Figure 9).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from workbench.data import PreparedData
from workbench.errors import InputError
from workbench.training.trainer import (
    StudyTrainer,
    data_parallel_rank,
    sum_over_data_parallel,
)
from workbench.training.validation import Estimate, mean_estimate, rank_chunks, sequence_nll

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
            other = _another(rng, with_ending, home)
            place = int(rng.integers(spans[other, 0], spans[other, 1] - ending + 1))
            question[option, context:] = text[place : place + ending]
    return Questions(questions, context)


def _another(rng: np.random.Generator, documents: np.ndarray, home: int) -> int:
    """A document other than `home`."""
    while True:
        other = int(rng.choice(documents))
        if other != home:
            return other


@dataclass(frozen=True)
class ClozeScores:
    """Accuracy, and nats a token of the true and of the other endings."""

    accuracy: Estimate
    nll_true: Estimate
    nll_other: Estimate


def score(trainer: StudyTrainer, questions: Questions, *, draws: int, batch: int) -> ClozeScores:
    """Answer every question with the model as it stands.

    Args:
        draws: noise draws an option, where the objective's likelihood is a bound.
        batch: sequences a rank scores in one forward pass.
    """
    objective, device = trainer.objective, trainer.device
    draws = objective.answer_draws(draws)
    tokens_QOL = torch.from_numpy(questions.tokens_QOL)
    length = tokens_QOL.shape[-1]
    ending = length - questions.answer_start
    rank, ranks = data_parallel_rank(trainer)
    sums = torch.zeros(5, dtype=torch.float64, device=device)
    per_pass = max(1, batch // OPTIONS)
    for chunk in rank_chunks(len(questions), per_pass, rank, ranks, device):
        tokens_BL = tokens_QOL[chunk.rows.cpu()].to(device).reshape(-1, length)
        question_B = chunk.rows.repeat_interleave(OPTIONS)
        nll_B = torch.zeros(len(tokens_BL), dtype=torch.float64, device=device)
        for draw in range(draws):
            corrupted = objective.answer_inputs(
                tokens_BL, questions.answer_start, question_B, draw, draws
            )
            nll_B += sequence_nll(trainer, corrupted) / draws
        nll_QO = nll_B.view(-1, OPTIONS) / ending
        true_Q, other_Q = nll_QO[:, 0], nll_QO[:, 1:].mean(dim=1)
        # A tie is no answer: only a strictly likelier true ending counts.
        right_Q = (true_Q < nll_QO[:, 1:].amin(dim=1)).double()
        values = torch.stack([right_Q, true_Q, true_Q**2, other_Q, other_Q**2])
        sums += (values * chunk.counts).sum(dim=1)
    right, true, true_squares, other, other_squares = sum_over_data_parallel(trainer, sums).tolist()
    n = len(questions)
    accuracy = right / n
    return ClozeScores(
        Estimate(accuracy, math.sqrt(accuracy * (1 - accuracy) / n), n),
        mean_estimate(true, true_squares, n),
        mean_estimate(other, other_squares, n),
    )
