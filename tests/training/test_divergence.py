"""The loss of a place whose token noise may replace: its formula, its gradient, its limits."""

import pytest
import torch
from torch import Tensor

from tests.training.test_head import N_TOKENS, VOCAB, WIDTH, drawn, gradients
from workbench.recipe import kernels
from workbench.training.divergence import Noised, divergence, of_one_prediction
from workbench.training.head import Predicted, chunked_loss, row_loss
from workbench.training.loss import place_loss

N, V = 40, 5


def places(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Noised, Tensor]:
    """Logits, targets, noise, and the chance of MASK."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, N, V, dtype=dtype, generator=generator)
    targets = torch.randint(0, V, (1, N), generator=generator)
    seen = torch.randint(0, V + 1, (1, N), generator=generator)
    seen[0, ::4] = targets[0, ::4]
    clean = torch.rand(1, N, dtype=dtype, generator=generator) * 0.9
    each = (1 - clean) * torch.rand(1, N, dtype=dtype, generator=generator) / V
    return logits, targets, Noised(clean, each, seen), 1 - clean - each * V


def by_definition(logits: Tensor, targets: Tensor, noised: Noised, mask: Tensor) -> Tensor:
    """KL(a || b) + a_z / b_z - log(a_z / b_z) - 1, over tokens and MASK."""
    clean, each = noised.clean_BL[..., None], noised.each_BL[..., None]
    right = torch.nn.functional.one_hot(targets, V)
    a, b = (
        torch.cat([clean * p + each, mask[..., None]], dim=-1) for p in (right, logits.softmax(-1))
    )
    ratio = (a / b).gather(-1, noised.seen_BL[..., None])[..., 0]
    return (a * (a / b).log()).sum(-1) + ratio - ratio.log() - 1


def test_it_is_what_its_definition_says_and_so_is_its_gradient() -> None:
    logits, targets, noised, mask = places()
    leaves = [logits.clone().requires_grad_() for _ in range(2)]
    ours = divergence(leaves[0], targets, *noised)
    theirs = by_definition(leaves[1], targets, noised, mask)
    torch.testing.assert_close(ours, theirs)
    weights = torch.rand(1, N).double()
    grads = [
        torch.autograd.grad((weights * loss).sum(), leaf)[0]
        for loss, leaf in zip((ours, theirs), leaves, strict=True)
    ]
    torch.testing.assert_close(*grads)


def test_float32_is_exact_where_noise_is_next_to_nothing_and_next_to_all() -> None:
    logits, targets, noised, _ = places()
    for clean, each in ((1 - 1e-12, 1e-13), (1e-6, (1 - 1e-6) / V)):
        given = noised._replace(
            clean_BL=torch.full_like(noised.clean_BL, clean),
            each_BL=torch.full_like(noised.each_BL, each),
        )
        exact = divergence(logits, targets, *given)
        found = divergence(
            logits.float(), targets, given.clean_BL.float(), given.each_BL.float(), given.seen_BL
        )
        # Weights are at most about 1 / clean.
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-6)


def test_a_masked_place_under_hardly_any_other_noise_costs_its_nll() -> None:
    logits, targets, noised, _ = places()
    masked = Noised(
        torch.full_like(noised.clean_BL, 0.3),
        torch.full_like(noised.each_BL, 1e-12),
        torch.full_like(targets, V),
    )
    nll = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(divergence(logits, targets, *masked), 0.3 * nll)


def test_one_prediction_everywhere_costs_what_it_costs_at_each_place() -> None:
    _, targets, noised, _ = places()
    one_level = noised._replace(
        clean_BL=noised.clean_BL[:, :1].expand(1, N), each_BL=noised.each_BL[:, :1].expand(1, N)
    )
    p = torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0]).double()
    seen = targets % 3  # what is predicted not to be never is
    expected = divergence(p.log().expand(1, N, V), seen, *one_level)
    torch.testing.assert_close(of_one_prediction(p, seen, one_level), expected)


@pytest.mark.parametrize("counted", [True, False])
def test_inside_the_output_layer_it_gives_the_same_loss_and_gradients(
    counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks and parts, some rows left out."""
    monkeypatch.setattr(kernels, "LOGITS", 64 * VOCAB)
    monkeypatch.setattr(kernels, "SOFTMAX_LOGITS", 16 * VOCAB)
    monkeypatch.setattr(kernels, "SPARE_ROWS", 2)
    hidden, head, targets, weights = drawn(torch.float64, 0.3)
    assert hidden.shape[-1] == WIDTH
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand(targets.shape, dtype=torch.float64, generator=generator) * 0.9
    seen = torch.randint(0, N_TOKENS + 1, targets.shape, generator=generator)
    noised = Noised(clean, (1 - clean) / (2 * N_TOKENS), seen)
    n = int((weights > 0).sum()) if counted else None
    predicted = Predicted(targets, weights.double(), N_TOKENS, n, row_loss, noised)
    plain = (weights * place_loss(hidden @ head.T, targets, N_TOKENS, *noised)).sum()
    expected = gradients(plain, hidden, head)
    found = gradients(chunked_loss(hidden, head, predicted), hidden, head)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
