"""Negative log-likelihood per token, and the weighted loss that titan's trainer minimises."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchtitan.components.loss import BaseLoss, _LossParallelCrossEntropy
from torchtitan.config import CompileConfig
from torchtitan.distributed.spmd_types import current_spmd_mesh, spmd_mesh_size


def token_nll(logits_BLV: Tensor, targets_BL: Tensor, n_tokens: int) -> Tensor:
    """-log p(target), in nats, of a softmax over the first `n_tokens` of the vocabulary.

    MASK, BOS and the padding lie behind them and get no probability, under any objective.

    Returns:
        [B, L] float32.
    """
    nll = F.cross_entropy(
        logits_BLV[..., :n_tokens].flatten(0, -2).float(), targets_BL.flatten(), reduction="none"
    )
    return nll.view_as(targets_BL)


def sharded_token_nll(
    logits_BLV: Tensor, targets_BL: Tensor, n_tokens: int, vocab_size: int
) -> Tensor:
    """As `token_nll`, where tensor parallelism has left each rank one slice of the vocabulary."""
    group = current_spmd_mesh().get_group("tp")
    local = logits_BLV.shape[-1]
    first = torch.distributed.get_rank(group) * local
    column_V = torch.arange(first, first + local, device=logits_BLV.device)
    logits_NV = logits_BLV.flatten(0, 1).float()
    logits_NV = logits_NV.masked_fill(column_V >= n_tokens, float("-inf"))
    nll: Tensor = _LossParallelCrossEntropy.apply(
        logits_NV, targets_BL.flatten(), group, vocab_size, "none"
    )
    return nll.view_as(targets_BL)


class WeightedNLL(BaseLoss):
    """sum(weights * NLL) / tokens of the global batch: for diffusion, the bound per token."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseLoss.Config):
        n_tokens: int
        vocab_size: int

    def __init__(self, config: Config, *, compile_config: CompileConfig | None = None) -> None:
        self.n_tokens = config.n_tokens
        self.vocab_size = config.vocab_size
        self.fn = token_nll
        self._maybe_compile(compile_config)

    def nll(self, logits_BLV: Tensor, targets_BL: Tensor) -> Tensor:
        """[B, L] NLL of each token, whole or from vocabulary shards."""
        if spmd_mesh_size("tp") > 1:
            return sharded_token_nll(logits_BLV, targets_BL, self.n_tokens, self.vocab_size)
        return self.fn(logits_BLV, targets_BL, self.n_tokens)

    def __call__(
        self,
        pred: Tensor,
        labels: Tensor,
        global_valid_tokens: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        nll_BL = self.nll(pred, labels)
        weights_BL = kwargs.get("weights")
        total = nll_BL.sum() if weights_BL is None else (weights_BL * nll_BL).sum()
        return (total if global_valid_tokens is None else total / global_valid_tokens), {}
