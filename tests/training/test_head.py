"""The loss inside the output layer: what logits of all positions at once would give."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.running.test_worker import make_run, values
from tests.training.toy import V, batch, mdlm
from workbench.recipe import kernels
from workbench.running import worker
from workbench.training.head import FirstHalfHead, Head, Predicted, chunked_loss, row_loss
from workbench.training.loss import token_nll

WIDTH, VOCAB, N_TOKENS = 6, 12, 9


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the vocabulary here: 64 rows a chunk, and 16 of them at once in float32."""
    monkeypatch.setattr(kernels, "LOGITS", 64 * VOCAB)
    monkeypatch.setattr(kernels, "SOFTMAX_LOGITS", 16 * VOCAB)
    monkeypatch.setattr(kernels, "SPARE_ROWS", 2)


def drawn(dtype: torch.dtype, weighted: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, the head's weights, targets, and weights of which a share is not 0."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 50, WIDTH, dtype=dtype, generator=generator).requires_grad_()
    head = torch.randn(VOCAB, WIDTH, dtype=dtype, generator=generator).requires_grad_()
    targets = torch.randint(0, N_TOKENS, (3, 50), generator=generator)
    weights = torch.rand(3, 50, generator=generator)
    weights = weights * (torch.rand(3, 50, generator=generator) < weighted)
    return hidden, head, targets, weights


def gradients(loss: Tensor, *leaves: Tensor) -> list[Tensor]:
    return [loss.detach(), *torch.autograd.grad(loss * 3, leaves)]


@pytest.mark.parametrize("weighted", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("count", [True, False], ids=["counted", "all"])
def test_chunks_give_the_loss_and_gradients_of_all_logits_at_once(
    weighted: float, count: bool
) -> None:
    hidden, head, targets, weights = drawn(torch.float64, weighted)
    counted = int((weights > 0).sum()) if count else None
    predicted = Predicted(targets, weights.double(), N_TOKENS, counted, row_loss)
    logits = (hidden @ head.T)[..., :N_TOKENS]
    nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    expected = gradients((weights.flatten() * nll).sum(), hidden, head)
    found = gradients(chunked_loss(hidden, head, predicted), hidden, head)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)], ids=str
)
def test_chunks_round_as_little_as_the_computed_type_allows(
    dtype: torch.dtype, tolerance: float
) -> None:
    hidden, head, targets, weights = drawn(dtype, 0.4)
    predicted = Predicted(targets, weights, N_TOKENS, int((weights > 0).sum()), row_loss)
    plain = (weights * token_nll(hidden @ head.T, targets, N_TOKENS)).sum()
    expected = gradients(plain, hidden, head)
    found = gradients(chunked_loss(hidden, head, predicted), hidden, head)
    assert found[1].dtype == found[2].dtype == dtype
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_logits_beyond_the_tokens_get_no_gradient_whatever_they_are() -> None:
    hidden, head, targets, weights = drawn(torch.float32, 1.0)
    with torch.no_grad():
        head[N_TOKENS:] = 1e3
    predicted = Predicted(targets, weights, N_TOKENS, None, row_loss)
    _, _, by_head = gradients(chunked_loss(hidden, head, predicted), hidden, head)
    assert not by_head[N_TOKENS:].any()
    assert by_head[:N_TOKENS].any(dim=1).all()


def test_no_more_rows_are_in_float32_at_once_and_none_computed_that_do_not_count() -> None:
    seen = []

    def watched(logits: Tensor, *rest: Any) -> Tensor:
        seen.append(len(logits))
        return row_loss(logits, *rest)

    hidden, head, targets, weights = drawn(torch.float32, 0.3)
    chunked_loss(hidden, head, Predicted(targets, weights, N_TOKENS, None, watched))
    assert seen == [16] * 9 + [6]
    seen.clear()
    counted = int((weights > 0).sum())
    chunked_loss(hidden, head, Predicted(targets, weights, N_TOKENS, counted, watched))
    assert seen == [16] * (-(-(counted + 2) // 16)), "of one size: compiled once"
    assert sum(seen) < 150 / 2


def test_another_number_of_masked_tokens_compiles_nothing_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch._dynamo.config, "error_on_recompile", True)
    compiled = torch.compile(row_loss, dynamic=False, backend="eager")
    for weighted in (0.1, 0.3, 0.5, 0.9):
        hidden, head, targets, weights = drawn(torch.bfloat16, weighted)
        counted = int((weights > 0).sum())
        losses = [
            chunked_loss(hidden, head, Predicted(targets, weights, N_TOKENS, counted, of))
            for of in (compiled, row_loss)
        ]
        assert torch.equal(*losses)


@pytest.mark.parametrize("weighting", ["elbo_t", "elbo_realized", "maskgit"])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_host_counts_the_weights_that_are_not_0(weighting: str, samples: int) -> None:
    for step in range(1, 6):
        given = batch(torch.randint(0, V, (4, 16)), step=step, first=4, size=16)
        objective = mdlm(samples, weighting)
        weights = objective.training_inputs(given).weights_BL
        assert weights is not None
        assert objective.counted(given) == int((weights != 0).sum())


def test_the_head_of_two_streams_predicts_at_the_first() -> None:
    config = {"in_features": WIDTH, "out_features": VOCAB}
    hidden, weight, targets, weights = drawn(torch.float32, 0.5)
    losses = []
    for head, states in (
        (Head.Config(**config).build(), hidden),
        (FirstHalfHead.Config(**config).build(), torch.cat([hidden, -hidden], dim=1)),
    ):
        with torch.no_grad():
            head.weight.copy_(weight)
        with head.predicting(Predicted(targets, weights, N_TOKENS, None, row_loss)):
            losses.append(head(states))
        assert head(states).shape == (3, 50, VOCAB), "logits again, outside"
    assert torch.equal(*losses)


RUNS = {
    "ar": ["objective=ar"],
    "masked ar": ["objective=ar", "input_mask=0.3", "mask_aux_weight=0.5", "noise_samples=2"],
    "mdlm": ["objective=mdlm", "micro_batch_size=4"],
    "mdlm, draws": ["objective=mdlm", "noise_samples=3", "loss_weighting=elbo_realized"],
    "mdlm, maskgit": ["objective=mdlm", "loss_weighting=maskgit", "noise_schedule=cosine"],
    "block": ["objective=block", "block_size=8", "micro_batch_size=8"],
    "hybrid": ["objective=hybrid", "uniform_noise=0.3"],
    "any order": ["objective=aoar"],
}


@pytest.mark.training
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_with_fused_kernels_has_the_losses_of_a_plain_one(
    kind: str, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "LOGITS", 256 * 384)  # 256 rows of a vocabulary of bytes
    monkeypatch.setattr(kernels, "SOFTMAX_LOGITS", 64 * 384)
    keys = [f"training.{key}" for key in RUNS[kind]]
    plain = make_run(tmp_path, corpus, *keys)
    fused = make_run(tmp_path, corpus, *keys, "training.kernels=fused")
    assert plain.path != fused.path
    for run in (plain, fused):
        assert worker.main(run.path) == worker.FINISHED
    for metric in ("train_loss", "val_loss", "grad_norm"):
        expected, found = values(plain, metric), values(fused, metric)
        assert expected.keys() == found.keys() != set()
        assert max(abs(expected[step] - found[step]) for step in expected) < 2e-4
