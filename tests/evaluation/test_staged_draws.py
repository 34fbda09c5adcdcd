"""Draws in stages: what they save, and that they answer as all draws do."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.evaluation.conftest import Study
from workbench.data import PreparedData
from workbench.evaluation.cloze import as_questions, make_questions
from workbench.evaluation.likelihood import Continuation, continuation_nll
from workbench.evaluation.multiple_choice import ChoiceScores, Question, score_choices
from workbench.evaluation.scorer import ModelScorer
from workbench.evaluation.staged_draws import EARLY, is_decided, staged_nll, stages
from workbench.runs.folder import RunFolder
from workbench.training.trained_model import load_run_model

CONTEXT = 32


@pytest.mark.parametrize("draws", range(16, 300))
def test_the_stages_are_all_draws(draws: int) -> None:
    assert sum(stages(draws)) == draws
    assert min(stages(draws)) >= 4, "fewer have no standard error to speak of"
    assert len(stages(draws)) <= 4, "so many seeds are set aside"


@pytest.fixture(scope="module")
def diffusion(study: Study) -> tuple[ModelScorer, list[Question]]:
    run = study["mdlm"]
    return ModelScorer(load_run_model(run, device="cpu")), cloze_of(run)


def cloze_of(run: RunFolder) -> list[Question]:
    prepared = PreparedData.open(run.results / run.config_json()["data"]["folder"])
    return as_questions(make_questions(prepared, seq_len=CONTEXT, count=300))


def asked(
    scorer: ModelScorer, questions: Sequence[Question], early: float | None, seed: int = 0
) -> ChoiceScores:
    return score_choices(
        scorer, questions, context=CONTEXT, draws=32, seed=seed, batch=128, early=early
    )


def test_answers_are_those_of_all_draws_and_cost_less(
    diffusion: tuple[ModelScorer, list[Question]],
) -> None:
    """Against the same stages never stopped: only the stopping differs."""
    early, all_stages = (asked(*diffusion, z) for z in (EARLY, 1e9))
    assert (all_stages.draws_Q == 32).all()
    assert set(early.draws_Q) <= {4, 8, 16, 32}
    assert early.draws_Q.mean() < 0.8 * 32
    other = asked(*diffusion, None)
    assert (early.chosen_Q != all_stages.chosen_Q).mean() < 0.03
    differ = early.right_Q - other.right_Q
    assert abs(differ.mean()) < 3 * differ.std() / np.sqrt(len(differ)) + 1e-9


def test_losses_are_those_of_the_first_stage_whatever_stops(
    diffusion: tuple[ModelScorer, list[Question]],
) -> None:
    """A mean that is read when it looks large is biased; one of the same draws for all is not."""
    early, all_stages = (asked(*diffusion, z) for z in (EARLY, 1e9))
    np.testing.assert_array_equal(early.nll_true_Q, all_stages.nll_true_Q)
    np.testing.assert_array_equal(early.nll_other_Q, all_stages.nll_other_Q)
    exact = asked(*diffusion, None)
    differ = early.nll_true_Q - exact.nll_true_Q
    assert abs(differ.mean()) < 3.5 * differ.std() / np.sqrt(len(differ))


def test_every_stage_sees_masks_of_its_own(diffusion: tuple[ModelScorer, list[Question]]) -> None:
    """The mean is over 4, 4 and 8 draws of seeds that no other stage and no other seed has."""
    scorer, questions = diffusion
    options_QO = [
        [Continuation(question.context, option, question.number) for option in question.options]
        for question in questions[:5]
    ]
    rows = [option for options in options_QO for option in options]

    def drawn(seed: int, draws: int) -> np.ndarray:
        asked = continuation_nll(scorer, rows, context=CONTEXT, draws=draws, seed=seed, batch=64)
        return asked.mean(axis=1)

    def staged(seed: int) -> np.ndarray:
        return staged_nll(
            scorer, options_QO, [()] * 5, context=CONTEXT, draws=16, seed=seed, batch=64, z=1e9
        ).mean_R

    first, second, third = drawn(12, 4), drawn(13, 4), drawn(14, 8)
    assert (np.abs(first - second) > 1e-3).all()
    np.testing.assert_allclose(staged(3), (first + second + 2 * third) / 4, rtol=1e-5)
    assert (np.abs(staged(3) - staged(4)) > 1e-4).all()


def test_an_exact_likelihood_is_asked_once(study: Study) -> None:
    scorer, questions = (
        ModelScorer(load_run_model(study["ar"], device="cpu")),
        cloze_of(study["ar"]),
    )
    np.testing.assert_array_equal(
        asked(scorer, questions, EARLY).chosen_Q, asked(scorer, questions, None).chosen_Q
    )
    assert (asked(scorer, questions, EARLY).draws_Q == 1).all()


def test_a_lead_within_the_noise_decides_nothing() -> None:
    close = np.array([[1.0, 3.0, 2.0, 2.0], [2.0, 2.1, 2.2, 2.0]])
    clear = np.array([[1.0, 3.0, 2.0, 2.0], [4.0, 6.1, 5.0, 5.0]])
    assert not is_decided(close, (), 2.0)
    assert is_decided(clear, (), 2.0)
    assert not is_decided(np.stack([*clear, clear[0] + 0.0]), (), 2.0), "two lead alike"
    assert is_decided(clear, (4, 5), 2.0)
    assert not is_decided(clear, (4, 10), 2.0), "per character they are close"
