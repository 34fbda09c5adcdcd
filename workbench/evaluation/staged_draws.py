"""Draws in stages: a question whose answer is clear after a few masks is asked no further.

All options of a question see the same masks, so what decides is the difference between two of
them, draw by draw. After each stage a question is left where its leading option is ahead of every
other by more than z standard errors of the mean difference.

- Each stage is stratified within itself, so that the mean over any whole number of stages is
  unbiased; a stage that ended between strata would not be.
- The standard error is taken as if the draws were independent. Strata make the true one smaller,
  so questions stop later than they might, never earlier.
- A mean that is read where it looks large is too large. The chosen option is hardly touched, since
  stopping needs a lead, but a question's NLLs would be: they are those of the first stage, which
  every question has.

Shape suffixes: Q questions, O options of one, D draws so far, R options of all questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.evaluation.likelihood import Continuation, continuation_nll
from workbench.evaluation.scorer import Scorer

EARLY = 2.0
"""Standard errors that decide, where nothing else is asked for. It saved half of 32 draws of 1,000
cloze questions to a masked diffusion model, and changed 0.5 % of the answers; other masks change
9 %."""
FEWEST_DRAWS = 16
"""With fewer there is little to save."""


@dataclass(frozen=True)
class StagedNll:
    """Estimates of -log p(option | context), in nats."""

    mean_R: np.ndarray
    """Over all draws of the option: for comparisons within a question."""
    first_R: np.ndarray
    """Over the first stage's, whatever the question: unbiased."""
    draws_Q: np.ndarray
    """Draws that each question took."""


def stages(draws: int) -> list[int]:
    """Draws of each stage, at most four of them: an eighth of all and as many again, and then each
    time as many as there were before; 4, 4, 8 and 16 of 32."""
    first = max(4, draws // 8)  # fewer have no standard error to speak of
    sizes = [first, first]
    while left := draws - sum(sizes):
        sizes.append(left if left < 2 * sum(sizes) else sum(sizes))
    return sizes


def staged_nll(
    scorer: Scorer,
    options_QO: Sequence[Sequence[Continuation]],
    characters_QO: Sequence[Sequence[int]],
    *,
    context: int,
    draws: int,
    seed: int = 0,
    batch: int,
    z: float,
) -> StagedNll:
    """Score options until their question is decided. Further arguments as `continuation_nll`.

    Args:
        characters_QO: see `is_decided`.
        draws: of a question that is decided by none of the stages before the last.
        z: standard errors that decide.
    """
    draws_Q = np.zeros(len(options_QO), dtype=np.int64)
    nll_QOD = [np.empty((len(options), 0)) for options in options_QO]
    undecided = list(range(len(options_QO)))
    for stage, stage_draws in enumerate(stages(draws)):
        rows = [option for q in undecided for option in options_QO[q]]
        nll_RD = continuation_nll(
            scorer, rows, context=context, draws=stage_draws, seed=4 * seed + stage, batch=batch
        )
        ends = np.cumsum([len(options_QO[q]) for q in undecided])[:-1]
        for q, nll_OD in zip(undecided, np.split(nll_RD, ends), strict=True):
            nll_QOD[q] = np.concatenate([nll_QOD[q], nll_OD], axis=1)
            draws_Q[q] += stage_draws
        undecided = [q for q in undecided if not is_decided(nll_QOD[q], characters_QO[q], z)]
        if not undecided:
            break
    first = stages(draws)[0]
    return StagedNll(
        np.concatenate([nll_OD.mean(axis=1) for nll_OD in nll_QOD]),
        np.concatenate([nll_OD[:, :first].mean(axis=1) for nll_OD in nll_QOD]),
        draws_Q,
    )


def is_decided(nll_OD: np.ndarray, characters: Sequence[int], z: float) -> bool:
    """Whether more draws would hardly choose another option.

    Args:
        characters: of the options; where there are any, it is decided per character as well.
    """
    whole = _leads(nll_OD, z)
    return whole and (not characters or _leads(nll_OD / np.array(characters)[:, None], z))


def _leads(score_OD: np.ndarray, z: float) -> bool:
    leader = int(score_OD.mean(axis=1).argmin())
    behind_OD = np.delete(score_OD, leader, axis=0) - score_OD[leader]
    stderr_O = behind_OD.std(axis=1, ddof=1) / np.sqrt(behind_OD.shape[1])
    return bool((behind_OD.mean(axis=1) > z * stderr_O).all())
