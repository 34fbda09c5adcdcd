"""Likelihoods of continuations: exact for AR, the enumerated bound in expectation for diffusion."""

import threading
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.evaluation.conftest import Study, Unigram
from workbench.evaluation.likelihood import (
    Continuation,
    _in_threads,
    continuation_nll,
    pieces,
    windows,
)
from workbench.evaluation.predictions import Predictions
from workbench.evaluation.scorer import ModelScorer
from workbench.recipe import objective_facts
from workbench.training.noise import LINEAR
from workbench.training.objectives.base import Corrupted, Vocab
from workbench.training.objectives.mdlm import MaskedDiffusion
from workbench.training.trained_model import RunModel, load_run_model

CONTEXT = 32


@pytest.fixture(scope="module")
def models(study: Study) -> dict[str, RunModel]:
    return {name: load_run_model(run, device="cpu") for name, run in study.items()}


def text(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(97, 123, n)


def scored(
    model: RunModel,
    rows: list[Continuation],
    *,
    draws: int = 4,
    seed: int = 0,
    batch: int = 64,
    threads: int = 1,
) -> np.ndarray:
    return continuation_nll(
        ModelScorer(model, threads=threads),
        rows,
        context=CONTEXT,
        draws=draws,
        seed=seed,
        batch=batch,
    )


def test_ar_answers_have_the_chain_rules_likelihood(models: dict[str, RunModel]) -> None:
    model = models["ar"]
    context, answer = text(10), text(6, 1)
    inputs = torch.tensor([[model.vocab.bos_id, *context, *answer[:-1]]])
    logits = model.model(inputs)[0, :, : model.vocab.n_tokens].double()
    expected = -torch.log_softmax(logits, dim=-1)[range(10, 16), answer].sum()
    (nll,) = scored(model, [Continuation(context, answer, 0)])
    assert nll.shape == (1,), "exact: one draw, whatever is asked for"
    assert nll[0] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("objective", ["ar", "mdlm", "block", "aoar"])
def test_the_probabilities_of_all_one_token_answers_add_up_to_one(
    models: dict[str, RunModel], objective: str
) -> None:
    model = models[objective]
    rows = [Continuation(text(9), [token], 0) for token in range(model.vocab.n_tokens)]
    nll_RD = scored(model, rows, draws=3)
    assert np.exp(-nll_RD).sum(axis=0) == pytest.approx(1, abs=1e-5), "each draw is exact there"


def test_diffusion_estimates_the_enumerated_bound(models: dict[str, RunModel]) -> None:
    """E_k E_{masks of k of m} [(m / k) * sum of NLL], over all masks of a 3-token answer."""
    model = models["mdlm"]
    context, answer, m = text(5), text(3, 1), 3
    expected = 0.0
    for k in range(1, m + 1):
        masks = list(combinations(range(m), k))
        for mask in masks:
            inputs = np.concatenate([context, answer])
            inputs[[5 + place for place in mask]] = model.vocab.mask_id
            logits = model.model(torch.tensor(inputs)[None])[0, :, : model.vocab.n_tokens]
            nll = -torch.log_softmax(logits.double(), dim=-1)
            total = sum(float(nll[5 + place, answer[place]]) for place in mask)
            expected += (m / k) * total / (m * len(masks))
    # Questions are independent; the draws of one are strata.
    rows = [Continuation(context, answer, number) for number in range(2000)]
    means = scored(model, rows, draws=3).mean(axis=1)
    stderr = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - expected) < 4 * stderr
    assert stderr < 0.01 * expected


def test_equal_options_of_a_question_differ_in_nothing(models: dict[str, RunModel]) -> None:
    rows = [Continuation(text(9), text(7, 1), number) for number in (5, 5, 6)]
    first, twin, other = scored(models["mdlm"], rows)
    np.testing.assert_array_equal(first, twin)
    assert (first != other).any(), "another question has masks of its own"


def test_the_noise_of_a_comparison_cancels(models: dict[str, RunModel]) -> None:
    """Two options that differ in one letter: their difference is far less noisy than they are."""
    option = text(12, 1)
    other = option.copy()
    other[3] = 97 + (other[3] - 96) % 26
    rows = [Continuation(text(9), each, n) for n in range(200) for each in (option, other)]
    nll = scored(models["mdlm"], rows, draws=2).mean(axis=1).reshape(200, 2)
    assert np.ptp(nll, axis=0).min() > 0
    assert (nll[:, 0] - nll[:, 1]).std() < 0.5 * nll[:, 0].std()


def test_other_seeds_draw_other_masks(models: dict[str, RunModel]) -> None:
    rows = [Continuation(text(9), text(7, 1), 0)]
    assert (scored(models["mdlm"], rows) != scored(models["mdlm"], rows, seed=1)).any()
    np.testing.assert_array_equal(
        scored(models["mdlm"], rows, seed=1), scored(models["mdlm"], rows, seed=1)
    )


@pytest.mark.parametrize("objective", ["ar", "mdlm", "block", "aoar"])
def test_batches_and_threads_do_not_matter(models: dict[str, RunModel], objective: str) -> None:
    rows = [Continuation(text(3 + n % 5, n), text(2 + n % 7, n + 50), n // 2) for n in range(24)]
    whole = scored(models[objective], rows)
    alone = np.concatenate([scored(models[objective], [row]) for row in rows])
    np.testing.assert_allclose(whole, alone, rtol=1e-5)
    np.testing.assert_allclose(whole, scored(models[objective], rows, batch=5), rtol=1e-5)
    threaded = scored(models[objective], rows, threads=3)
    np.testing.assert_array_equal(whole, threaded, "the same batches, so the same bits")


def test_ranks_share_the_batches_and_call_equally_often() -> None:
    rows = [Continuation((), text(2 + n % 3, n), n) for n in range(17)]
    prices = np.linspace(0.1, 2, 128)

    def on(rank: int, ranks: int) -> tuple[np.ndarray, int]:
        scorer = Unigram(prices.tolist())
        scorer.ranks = (rank, ranks)
        nll = continuation_nll(scorer, rows, context=8, draws=1, batch=2)
        return nll, scorer.calls

    alone, _ = on(0, 1)
    shares = [on(rank, 4) for rank in range(4)]
    np.testing.assert_allclose(sum(share for share, _ in shares), alone)
    assert len({calls for _, calls in shares}) == 1


@given(before=st.integers(0, 40), answer=st.integers(1, 60), context=st.integers(2, 16))
def test_every_token_of_an_answer_is_scored_once(before: int, answer: int, context: int) -> None:
    tokens = np.arange(before + answer)
    parts = pieces([Continuation(tokens[:before], tokens[before:], 3)], context=context)
    scored_tokens = np.concatenate([part.tokens[part.start :] for part in parts])
    np.testing.assert_array_equal(scored_tokens, tokens[before:])
    for part in parts:
        assert len(part.tokens) <= context
        np.testing.assert_array_equal(np.diff(part.tokens), 1)
        # No room is left where there is more of the context to see.
        assert len(part.tokens) == context or part.tokens[0] == 0 or answer > context


def test_a_longer_answer_is_scored_by_halves_each_after_as_much_as_there_is_room_for() -> None:
    """Two of context and seven of answer: in five tokens, two at a time after three."""
    tokens = np.arange(9)
    parts = pieces([Continuation(tokens[:2], tokens[2:], 3)], context=5)
    assert [(part.tokens.tolist(), part.start) for part in parts] == [
        ([0, 1, 2, 3], 2), ([1, 2, 3, 4, 5], 3), ([3, 4, 5, 6, 7], 3), ([5, 6, 7, 8], 3),
    ]  # fmt: skip
    single = pieces([Continuation((), [4, 5], 0)], context=1)
    assert [part.tokens.tolist() for part in single] == [[4], [5]]
    assert pieces([Continuation(tokens, (), 0)], context=5) == []


class Asking(MaskedDiffusion):
    """Keeps which questions were given noise together."""

    def __init__(self, vocab: Vocab) -> None:
        super().__init__(vocab, schedule=LINEAR, weighting="elbo_t", seed=0)
        self.together: list[list[int]] = []

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, *draws: int
    ) -> Corrupted:
        self.together.append(question_B.tolist())
        return super().answer_inputs(tokens_BL, answer_start, question_B, *draws)


def noise_asked_of(scorer: Unigram) -> list[list[int]]:
    assert isinstance(scorer.objective, Asking)
    return scorer.objective.together


class AskingInTwoStreams(Asking):
    facts = objective_facts("block")


def prices_of(
    scorer: Unigram, rows: list[Continuation], *, draws: int, batch: int, seed: int = 0
) -> np.ndarray:
    return continuation_nll(scorer, rows, context=16, draws=draws, batch=batch, seed=seed)


def test_all_draws_of_a_few_continuations_are_one_batch_and_no_batch_is_larger() -> None:
    """Nine rows of three draws, in batches of seven: two rows a batch, and one in the last."""
    rows = [Continuation([n], [n, n], n) for n in range(9)]
    scorer = Unigram([float(n) for n in range(9)], Asking)
    nll = prices_of(scorer, rows, draws=3, batch=7)
    assert nll.shape == (9, 3)
    asked = [sorted(one.targets_BL[:, 0].tolist()) for one in scorer.asked]
    # A batch is full once it has seven: so two pairs share it before it is.
    assert [len(one) for one in asked] == [8, 8, 8, 3]


@pytest.mark.parametrize(("kind", "together"), [(Asking, 16), (AskingInTwoStreams, 2)])
def test_noise_is_drawn_for_many_rows_together_but_where_views_are_large(
    kind: type[Asking], together: int
) -> None:
    rows = [Continuation([n % 3], [0, 1], n) for n in range(40)]
    scorer = Unigram([1.0, 2.0, 3.0], kind)
    prices_of(scorer, rows, draws=3, batch=7)
    asked = noise_asked_of(scorer)
    assert max(map(len, asked)) == together
    assert sum(map(len, asked)) == 40 * 3


def test_no_two_seeds_ask_for_the_noise_of_one_question() -> None:
    rows = [Continuation([0], [0, 1], number) for number in range(50)]
    seen = []
    for seed in range(4):
        scorer = Unigram([1.0, 2.0], Asking)
        prices_of(scorer, rows, draws=1, batch=64, seed=seed)
        seen += [number for numbers in noise_asked_of(scorer) for number in numbers]
    assert len(set(seen)) == 4 * 50


def test_each_mean_over_draws_stands_in_the_row_of_its_continuation() -> None:
    """The same prices everywhere: the bound is the sum, whatever is masked in which draw."""
    rng = np.random.default_rng(0)
    rows = [
        Continuation([0] * (n % 4), rng.integers(0, 3, 1 + n % 5).tolist(), n) for n in range(40)
    ]
    scorer = Unigram([1.0, 1.0, 1.0], Asking)
    lengths = np.array([len(row.answer) for row in rows])
    for batch in (1, 5, 64):
        assert prices_of(scorer, rows, draws=4, batch=batch) == pytest.approx(
            np.broadcast_to(lengths[:, None], (40, 4))
        )


def test_threads_work_at_once_on_no_more_than_a_few_items_each() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    meeting = threading.Barrier(3, timeout=20)  # a call returns only where three are made at once

    def work(number: int) -> int:
        if number < 39:
            meeting.wait()
        return number

    found = _in_threads(work, items(), 3)
    assert next(found) == 0
    assert len(taken) == 2 * 3 + 1
    assert list(found) == list(range(1, 40))


@given(length=st.integers(1, 60), context=st.integers(2, 16))
def test_windows_score_every_token_of_a_text_once(length: int, context: int) -> None:
    rows = windows(np.arange(length), context=context, question=0)
    parts = pieces(rows, context=context)
    scored_tokens = np.concatenate([part.tokens[part.start :] for part in parts])
    np.testing.assert_array_equal(scored_tokens, np.arange(length))
    assert all(len(part.tokens) == min(context, length) for part in parts)


@pytest.mark.parametrize("objective", ["ar", "mdlm", "block", "aoar"])
def test_logits_of_a_few_positions_are_the_whole_networks_there(
    models: dict[str, RunModel], objective: str
) -> None:
    model = models[objective]
    tokens_BL = torch.from_numpy(np.stack([text(CONTEXT), text(CONTEXT, 1)]))
    corrupted = ModelScorer(model).objective.answer_inputs(tokens_BL, 20, torch.arange(2), 0, 2)
    rows, positions = torch.tensor([0, 1, 1]), torch.tensor([CONTEXT - 1, 20, 25])
    whole_BLV = model.model(corrupted.inputs_BL, **corrupted.network_arguments())
    found_NV = Predictions(model.model).logits(corrupted, rows, positions)
    torch.testing.assert_close(found_NV, whole_BLV[rows, positions])
    assert model.model(corrupted.inputs_BL, **corrupted.network_arguments()).shape[-1] == len(
        found_NV[0]
    ), "the model itself is left as it was"
