"""The loss of a place whose token noise may replace by any other, and its gradient.

Noise leaves a token x clean with chance c, draws another in its place, each token with chance e, or
masks it: a distribution a over what is seen there, a_j = c [j = x] + e. The network's probabilities
p make it b_j = c p_j + e. What the place costs of the bound at a level of noise is, but for its
weight (GIDD, arXiv 2503.04482, section 3),

    KL(a || b) + a_z / b_z - log(a_z / b_z) - 1

where z is seen. The last three terms are 0 where z is MASK, and with e = 0 the first is c NLL(x):
masked diffusion. Nothing of it is drawn but z: it is what Duo calls the Rao-Blackwellized form of
the bound (arXiv 2506.10892), of less variance than a sum over drawn tokens.

Shape suffixes: N places, V tokens; R rows of C places.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Noised(NamedTuple):
    """What noise does to each place, [B, L] each."""

    clean_BL: Tensor
    """Chance that a token is clean."""
    each_BL: Tensor
    """Chance of each single token to be drawn, more than 0."""
    seen_BL: Tensor
    """The token that is seen, or MASK, int64."""


def divergence(logits_BLV: Tensor, targets_BL: Tensor, *noised: Tensor) -> Tensor:
    """[B, L] the loss of each place in nats, not weighted, in float32.

    Args:
        logits_BLV: of the tokens alone.
        noised: as `Noised`.
    """
    rows = [every.flatten() for every in (targets_BL, *noised)]
    loss_N: Tensor = _Divergence.apply(logits_BLV.flatten(0, -2), *rows)
    return loss_N.view_as(targets_BL)


class _Divergence(torch.autograd.Function):
    """Makes the gradient beside the loss: of the vocabulary-wide numbers it alone is stored."""

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, *rows: Tensor) -> Tensor:
        exact = torch.promote_types(logits_NV.dtype, torch.float32)
        loss_N, grad_NV = divergence_and_gradient(logits_NV.to(exact), *rows)
        ctx.save_for_backward(grad_NV.to(logits_NV.dtype))
        return loss_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        (grad_NV,) = ctx.saved_tensors
        return grad_NV * grad_N[:, None].to(grad_NV.dtype), None, None, None, None


def divergence_and_gradient(
    logits_NV: Tensor, target_N: Tensor, clean_N: Tensor, each_N: Tensor, seen_N: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss of each place, [N], and the gradient of their sum by the logits, [N, V]."""
    dtype = logits_NV.dtype
    clean_N1, each_N1 = clean_N[:, None].to(dtype), each_N[:, None].to(dtype)
    target_N1, seen_N1 = target_N[:, None], seen_N[:, None]
    p_NV = logits_NV.softmax(dim=1)
    raised_NV = clean_N1 * p_NV / each_N1
    loss_N1, excess_N1 = _loss(raised_NV.log1p(), target_N1, clean_N1, each_N1, seen_N1)
    share_NV = raised_NV / (1 + raised_NV)  # of b that comes from p
    # p dloss/dp of each token, from which that by the logits follows.
    by_p_NV = -each_N1 * share_NV
    by_p_NV.scatter_add_(1, target_N1, -clean_N1 * share_NV.gather(1, target_N1))
    seen_N1 = seen_N1.clamp(max=logits_NV.shape[1] - 1)
    by_p_NV.scatter_add_(1, seen_N1, -excess_N1 * share_NV.gather(1, seen_N1))
    return loss_N1[:, 0], by_p_NV - p_NV * by_p_NV.sum(dim=1, keepdim=True)


def of_one_prediction(p_V: Tensor, targets_BL: Tensor, noised: Noised) -> Tensor:
    """[B, L] the loss of each place where the same is predicted everywhere, in the type of the
    prediction. All places of a sequence must have one level of noise.

    Weighted as the bound is, its expectation is -log p of each target: the noise of tokens that
    know nothing of each other has p as the best prediction.
    """
    clean_B1, each_B1 = noised.clean_BL[:, :1].to(p_V.dtype), noised.each_BL[:, :1].to(p_V.dtype)
    log_BV = (clean_B1 * p_V / each_B1).log1p()
    return _loss(log_BV, targets_BL, clean_B1, each_B1, noised.seen_BL)[0]


def _loss(
    log_RV: Tensor, targets_RC: Tensor, clean_R1: Tensor, each_R1: Tensor, seen_RC: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss of C places of each row, which share a prediction, and a_z / b_z - 1 of each, 0
    where MASK is seen.

    Args:
        log_RV: log(b / e).
    """
    tokens = log_RV.shape[1]
    is_token_RC = seen_RC < tokens
    right_RC = is_token_RC & (seen_RC == targets_RC)
    log_clean_R1 = (clean_R1 / each_R1).log1p()  # log(a_x / e)
    log_target_RC = log_RV.gather(1, targets_RC)
    kl_RC = (clean_R1 + each_R1) * (log_clean_R1 - log_target_RC)
    kl_RC = kl_RC - each_R1 * (log_RV.sum(dim=1, keepdim=True) - log_target_RC)
    log_seen_RC = log_RV.gather(1, seen_RC.clamp(max=tokens - 1))
    log_ratio_RC = log_clean_R1 * right_RC - log_seen_RC  # log(a_z / b_z)
    excess_RC = torch.where(is_token_RC, log_ratio_RC.expm1(), 0.0)
    return kl_RC + torch.where(is_token_RC, excess_RC - log_ratio_RC, 0.0), excess_RC
