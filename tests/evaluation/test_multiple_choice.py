"""Multiple choice: the chosen option, per token and per character, and what averages are over."""

from functools import partial

import numpy as np
import pytest

from tests.evaluation.conftest import Unigram
from workbench.evaluation.multiple_choice import (
    ChoiceScores,
    Question,
    mean_scores,
    score_choices,
)
from workbench.training.noise import LINEAR
from workbench.training.objectives.mdlm import MaskedDiffusion

CHEAP, DEAR = 0, 1


def scores_of(*questions: Question) -> ChoiceScores:
    return score_choices(Unigram([1.0, 3.0]), questions, context=8, draws=1, batch=4)


def test_the_likeliest_option_is_chosen() -> None:
    right = Question([], [[DEAR], [CHEAP]], right=1, number=0)
    wrong = Question([], [[DEAR], [CHEAP]], right=0, number=1)
    scores = scores_of(right, wrong)
    np.testing.assert_array_equal(scores.right_Q, [1, 0])
    np.testing.assert_array_equal(scores.nll_true_Q, [1, 3])
    np.testing.assert_array_equal(scores.nll_other_Q, [3, 1])
    assert scores.accuracy().value == 0.5
    assert scores.accuracy().stderr == pytest.approx(0.5 / np.sqrt(2))


def test_outcomes_say_which_question_and_which_option() -> None:
    scores = scores_of(
        Question([], [[DEAR], [CHEAP], [DEAR]], 0, number=7, characters=(9, 1, 9), document=3),
        Question([], [[CHEAP], [CHEAP]], 0, number=9, document=5),
    )
    np.testing.assert_array_equal(scores.number_Q, [7, 9])
    np.testing.assert_array_equal(scores.document_Q, [3, 5])
    np.testing.assert_array_equal(scores.chosen_Q, [1, -1])
    np.testing.assert_array_equal(scores.chosen_norm_Q, [-1, -1])


def test_a_tie_is_no_answer() -> None:
    assert scores_of(Question([], [[CHEAP], [CHEAP]], right=0, number=0)).accuracy().value == 0


def test_long_options_win_per_character_alone() -> None:
    """Two cheap tokens cost 2, one dear token 3; of 6 characters against 12 the dear one wins."""
    question = Question([], [[CHEAP, CHEAP], [DEAR]], right=1, number=0, characters=(6, 12))
    scores = scores_of(question)
    assert scores.accuracy().value == 0
    assert scores.accuracy_norm().value == 1
    assert scores.nll_other_Q.item() == 1, "nats a token"


def test_nats_a_character_are_a_quotient_and_a_wrong_choice_is_wrong_whatever_its_place() -> None:
    """Seven cheap tokens of 4 characters cost 7/4 a character, one dear token of 1 costs 3."""
    question = Question([], [[CHEAP] * 7, [DEAR]], right=1, number=0, characters=(4, 1))
    scores = scores_of(question)
    np.testing.assert_array_equal(scores.chosen_norm_Q, [0])
    assert scores.accuracy_norm().value == 0


def test_without_characters_there_is_no_such_accuracy() -> None:
    scores = scores_of(Question([], [[DEAR], [CHEAP]], right=1, number=0))
    assert np.isnan(scores.accuracy_norm().value)


def test_questions_asked_in_two_ways_are_averaged_one_by_one() -> None:
    """Two of three right in one way and one of them in the other: 1, 1/2 and 0."""
    once = scores_of(*(Question([], [[DEAR], [CHEAP]], right, number=right) for right in (1, 1, 0)))
    again = scores_of(*(Question([], [[DEAR], [CHEAP]], right, number=0) for right in (1, 0, 0)))
    mean = mean_scores([once, again])
    np.testing.assert_array_equal(mean.right_Q, [1, 0.5, 0])
    np.testing.assert_array_equal(mean.nll_true_Q, [1, 2, 3])
    assert mean.accuracy().stderr == pytest.approx(np.sqrt(1 / 6 / 3))
    assert (mean.chosen_Q == -1).all()


def test_every_subject_counts_the_same() -> None:
    def asked(group: str, right: int) -> Question:
        return Question([], [[DEAR], [CHEAP]], right=right, number=0, group=group)

    scores = scores_of(asked("law", 1), *(asked("art", right) for right in (0, 0, 0, 1)))
    accuracy = scores.accuracy()
    assert accuracy.value == 0.625, "a mean over questions would be 0.4"
    assert accuracy.n == 5
    assert accuracy.stderr == pytest.approx(np.sqrt(3 / 16 / 4) / 2)
    assert scores.items("acc").value == pytest.approx(0.625)
    assert scores.items("acc").weight_N.sum() == pytest.approx(5)
    nll_true = [1, 3, 3, 3, 1]
    assert scores.items("nll_true").value == pytest.approx(np.mean(nll_true)), "not so of nats"
    assert scores.nll_true().value == pytest.approx(np.mean(nll_true))
    assert scores.nll_true().stderr == pytest.approx(np.std(nll_true, ddof=1) / np.sqrt(5))
    assert scores.nll_other().value == pytest.approx(4 - np.mean(nll_true))
    assert scores_of(asked("law", 1)).nll_true().stderr is None


def test_the_other_options_are_averaged_without_the_right_one() -> None:
    scores = scores_of(Question([], [[CHEAP], [DEAR], [CHEAP, DEAR]], right=0, number=0))
    assert (scores.nll_true_Q.item(), scores.nll_other_Q.item()) == (1, 2.5)


@pytest.mark.parametrize(
    ("draws", "early", "taken"),
    [(15, 3.0, 15), (16, None, 16), (16, 3.0, 4), (32, 3.0, 4), (32, None, 32)],
)
def test_draws_stop_early_where_it_is_asked_for_and_there_are_many(
    draws: int, early: float | None, taken: int
) -> None:
    """One token an option: each draw is exact, and the first stage decides."""
    diffusion = partial(MaskedDiffusion, schedule=LINEAR, weighting="elbo_t", seed=0)
    scorer = Unigram([1.0, 3.0], diffusion)
    questions = [Question([0], [[DEAR], [CHEAP]], right=1, number=number) for number in range(3)]
    scores = score_choices(scorer, questions, context=8, draws=draws, batch=64, early=early)
    assert scores.draws_Q.tolist() == [taken] * 3
    assert (scores.right_Q == 1).all()
    assert (scores.nll_true_Q == 1).all()
    exact = score_choices(
        Unigram([1.0, 3.0]), questions, context=8, draws=draws, batch=4, early=early
    )
    assert exact.draws_Q.tolist() == [1] * 3, "nothing to draw"


@pytest.mark.parametrize(("document", "clusters"), [(4, 1), (0, 1), (-1, 3)])
def test_questions_of_one_document_are_one_cluster_and_those_of_none_are_their_own(
    document: int, clusters: int
) -> None:
    asked = [
        Question([0], [[1], [0]], right=0, number=number, document=document) for number in range(3)
    ]
    items = scores_of(*asked).items("acc")
    assert items.documents == clusters
    assert items.value == scores_of(*asked).accuracy().value
