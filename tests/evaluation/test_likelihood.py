"""Likelihoods of continuations: exact for AR, the enumerated bound in expectation for diffusion."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.conftest import Study, Unigram
from workbench.evaluation.likelihood import Continuation, continuation_nll, pieces, windows
from workbench.evaluation.predictions import Predictions
from workbench.evaluation.scorer import ModelScorer
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
