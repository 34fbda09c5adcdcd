"""Negative log-likelihood per token, and the weighted loss that titan's trainer minimises."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchtitan.components.loss import BaseLoss, _LossParallelCrossEntropy
from torchtitan.config import CompileConfig
from torchtitan.distributed.spmd_types import current_spmd_mesh, spmd_mesh_size

from workbench.training.divergence import Noised, divergence
from workbench.training.head import Head, Predicted, RowLoss, row_loss


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


def place_loss(logits_BLV: Tensor, targets_BL: Tensor, n_tokens: int, *noised: Tensor) -> Tensor:
    """[B, L] float32: the loss of each place, which is its NLL where there is no `Noised`."""
    if noised:
        return divergence(logits_BLV[..., :n_tokens], targets_BL, *noised)
    return token_nll(logits_BLV, targets_BL, n_tokens)


def whole_vocabulary(logits_BLV: Tensor) -> Tensor:
    """Logits of all tokens from this rank's slice of them: its own alone carry a gradient."""
    group = current_spmd_mesh().get_group("tp")
    parts = [torch.empty_like(logits_BLV) for _ in range(group.size())]
    torch.distributed.all_gather(parts, logits_BLV.detach().contiguous(), group=group)
    parts[group.rank()] = logits_BLV
    return torch.cat(parts, dim=-1)


class WeightedNLL(BaseLoss):
    """sum(weights * NLL) / tokens of the global batch: for diffusion, the bound per token."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseLoss.Config):
        n_tokens: int
        vocab_size: int
        chunked: bool = False
        """Training makes the loss inside the output layer (`training.head`), but for vocabulary
        shards, whose softmax goes over ranks."""

    def __init__(self, config: Config, *, compile_config: CompileConfig | None = None) -> None:
        self.n_tokens = config.n_tokens
        self.vocab_size = config.vocab_size
        self.fn = token_nll
        self._maybe_compile(compile_config)
        self.chunked = config.chunked
        self.row_loss: RowLoss = row_loss
        if compile_config is not None and compile_config.enable:
            # There are one or two numbers of rows in a run.
            self.row_loss = torch.compile(row_loss, backend=compile_config.backend, dynamic=False)

    def nll(self, logits_BLV: Tensor, targets_BL: Tensor, *noised: Tensor) -> Tensor:
        """[B, L] the loss of each place, whole or from vocabulary shards: as `place_loss`."""
        sharded = spmd_mesh_size("tp") > 1
        if noised:
            logits_BLV = whole_vocabulary(logits_BLV) if sharded else logits_BLV
            return place_loss(logits_BLV, targets_BL, self.n_tokens, *noised)
        if sharded:
            return sharded_token_nll(logits_BLV, targets_BL, self.n_tokens, self.vocab_size)
        return self.fn(logits_BLV, targets_BL, self.n_tokens)

    def of_model(
        self,
        model: nn.Module,
        inputs: Tensor,
        labels_BL: Tensor,
        tokens: Tensor,
        *,
        weights_BL: Tensor | None,
        counted: int | None,
        network: dict[str, Tensor],
        noised: Noised | None = None,
    ) -> Tensor:
        """A pass through the model and its loss, a scalar.

        Args:
            tokens: of the global batch, by which the sum is divided.
            counted: how many weights are not 0, or None: all positions' logits are made.
            network: what the model takes beside its inputs.
            noised: of an objective whose noise replaces tokens.
        """
        if not self.chunked or spmd_mesh_size("tp") > 1:
            made_BLV = model(inputs, **network)
            loss, _ = self(made_BLV, labels_BL, tokens, weights=weights_BL, noised=noised)
            return loss
        if weights_BL is None:
            weights_BL = torch.ones_like(labels_BL, dtype=torch.float32)
        predicted = Predicted(
            labels_BL, weights_BL / tokens, self.n_tokens, counted, self.row_loss, noised
        )
        head = model.lm_head
        assert isinstance(head, Head)
        with head.predicting(predicted):
            made: Tensor = model(inputs, **network)
        return made

    def __call__(
        self,
        pred: Tensor,
        labels: Tensor,
        global_valid_tokens: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        nll_BL = self.nll(pred, labels, *(kwargs.get("noised") or ()))
        weights_BL = kwargs.get("weights")
        total = nll_BL.sum() if weights_BL is None else (weights_BL * nll_BL).sum()
        return (total if global_valid_tokens is None else total / global_valid_tokens), {}
