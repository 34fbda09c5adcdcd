"""The token that a model finds likeliest at each position, whole or from vocabulary shards."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F
from torchtitan.distributed.spmd_types import current_spmd_mesh, spmd_mesh_size

from workbench.training.head import logits_at
from workbench.training.logit_parts import in_parts
from workbench.training.masks import mask_form
from workbench.training.objectives.base import View
from workbench.training.trainer import StudyTrainer


@dataclass(frozen=True)
class Likeliest:
    """[B, L] each: the id, and its log-probability in nats, float32."""

    token_BL: Tensor
    log_p_BL: Tensor


@torch.no_grad()
def likeliest(
    trainer: StudyTrainer, inputs_BL: Tensor, view: View | None = None, *, first: int = 0
) -> Likeliest:
    """The mode of the softmax over the tokens of the vocabulary: MASK, BOS and padding never.

    Args:
        inputs_BL: [B, 2L] with a view, of an objective of two streams.
        first: the first place that is asked for. Those before it have token 0 and probability 0.
    """
    n_tokens = trainer.loss_fn.n_tokens
    model = trainer.model_parts[0]
    arguments = {} if view is None else view.network_arguments(mask_form(model))
    with trainer.train_context():
        logits_BLV = logits_at(model, inputs_BL, slice(first, None), **arguments)
        work = _of_shards if spmd_mesh_size("tp") > 1 else _of_whole
        token_BL, log_p_BL = in_parts(partial(work, n_tokens), logits_BLV)
    return Likeliest(F.pad(token_BL, (first, 0)), F.pad(log_p_BL, (first, 0), value=-math.inf))


def _of_whole(n_tokens: int, logits_BLV: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and log-probabilities, [B, L] each."""
    best = logits_BLV[..., :n_tokens].float().log_softmax(dim=-1).max(dim=-1)
    return best.indices, best.values


def _of_shards(n_tokens: int, logits_BLV: Tensor) -> tuple[Tensor, Tensor]:
    """The same, where tensor parallelism has left each rank one slice of the vocabulary."""
    group = current_spmd_mesh().get_group("tp")
    local = logits_BLV.shape[-1]
    first = torch.distributed.get_rank(group) * local
    column_V = torch.arange(first, first + local, device=logits_BLV.device)
    logits_BLV = logits_BLV.float().masked_fill(column_V >= n_tokens, float("-inf"))
    best = logits_BLV.max(dim=-1)
    mine = torch.stack(
        [best.values, logits_BLV.logsumexp(dim=-1), (best.indices + first).float()]
    ).contiguous()
    ranks = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size(group))]
    torch.distributed.all_gather(ranks, mine, group=group)
    best_RBL, total_RBL, index_RBL = torch.stack(ranks).unbind(dim=1)
    winner = best_RBL.argmax(dim=0, keepdim=True)
    log_p_BL = best_RBL.amax(dim=0) - total_RBL.logsumexp(dim=0)
    return index_RBL.gather(0, winner)[0].long(), log_p_BL
