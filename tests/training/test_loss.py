"""Token NLL: MASK, BOS and padding get no probability."""

import torch
from torch.nn import functional as F

from workbench.training.loss import WeightedNLL, token_nll


def test_nll_is_of_a_softmax_over_text_tokens_alone() -> None:
    logits = torch.randn(2, 3, 16)
    targets = torch.randint(0, 10, (2, 3))
    expected = -F.log_softmax(logits[..., :10], -1).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(token_nll(logits, targets, 10), expected)
    logits[..., 10:] = 1e4  # whatever the excluded logits are
    torch.testing.assert_close(token_nll(logits, targets, 10), expected)


def test_the_loss_is_the_weighted_sum_over_the_tokens_of_the_global_batch() -> None:
    loss_fn = WeightedNLL(WeightedNLL.Config(n_tokens=10, vocab_size=16))
    logits, targets = torch.randn(2, 3, 16), torch.randint(0, 10, (2, 3))
    weights = torch.rand(2, 3)
    loss, _ = loss_fn(logits, targets, torch.tensor(12), weights=weights)
    torch.testing.assert_close(loss, (token_nll(logits, targets, 10) * weights).sum() / 12)
