"""A mixture of experts from TorchTitan's parts: token choice, top-k, SwiGLU experts.

The router has two losses of Zoph et al. 2022 (ST-MoE, arXiv 2202.08906, equations 4 to 6), each
summed over the layers and added to the training loss:

balance  E sum_e f_e P_e, with f_e the share of the choices that fell on expert e and P_e its mean
         probability: 1 where all experts are used alike. f and P are over one forward pass of all
         ranks together, the global batch where nothing is accumulated, so that the loss does not
         depend on the number of ranks; each rank adds its own tokens' part. With
         `micro_batch_size` below a rank's share it is the mean over the passes.
z        the mean over tokens of logsumexp(router logits)^2.

The losses reach the router through `_AddLoss`, whose forward pass changes nothing: the recorded
training loss stays the objective's, and the value at hand is recorded as a metric.

Shape suffixes: B sequences, L tokens, D channels, E experts, K choices, F expert width, R routed
tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional as F
from torchtitan.models.common.moe import (
    GroupedExperts,
    MoE,
    RoutedExperts,
    TokenChoiceTopKRouter,
)
from torchtitan.models.common.param_init import skip_param_init
from torchtitan.models.common.token_dispatcher import LocalTokenDispatcher

from workbench.recipe.sizes import ModelShape
from workbench.training.compute import Linear


class Experts(GroupedExperts):
    """Titan's experts in the precision of their input: theirs compute in bfloat16 always."""

    @dataclass(kw_only=True, slots=True)
    class Config(GroupedExperts.Config):
        pass

    def forward(self, x_RD: Tensor, num_tokens_per_expert_E: Tensor) -> Tensor:
        w1_EDF, w3_EDF, w2_EFD = (
            (w.to_local() if isinstance(w, DTensor) else w).to(x_RD.dtype).transpose(-2, -1)
            for w in (self.w1_EFD, self.w3_EFD, self.w2_EDF)
        )
        ends_E = torch.cumsum(num_tokens_per_expert_E, dim=0, dtype=torch.int32)
        gate_RF = F.silu(self._grouped_mm(A=x_RD, B_t=w1_EDF, offs=ends_E))
        hidden_RF = gate_RF * self._grouped_mm(A=x_RD, B_t=w3_EDF, offs=ends_E)
        return self._grouped_mm(A=hidden_RF, B_t=w2_EFD, offs=ends_E)


class _AddLoss(torch.autograd.Function):
    """The scores as they are; in the backward pass, `loss` gets a gradient of 1."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, loss: Tensor) -> Tensor:
        return scores.view_as(scores)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return grads[0], torch.ones((), dtype=torch.float32, device=grads[0].device)


class Router(TokenChoiceTopKRouter):
    """Softmax over experts, the top k of it (normalised where k > 1, else nothing would train
    the router), and its losses."""

    @dataclass(kw_only=True, slots=True)
    class Config(TokenChoiceTopKRouter.Config):
        aux_weight: float
        z_weight: float

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.aux_weight = config.aux_weight
        self.z_weight = config.z_weight
        self.reduce: Callable[[Tensor], Tensor] | None = None
        """Sums over data-parallel ranks, where there are several."""
        self.token_weight: Tensor | None = None
        """What one token counts in the losses: 1 / tokens of the global batch."""
        self.sums: Tensor | None = None
        """Of this rank's last pass: see `RouterSums`."""

    def forward(
        self, x_BLD: Tensor, expert_bias_E: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if x_BLD.device.type == "cpu":
            logits_BLE = self.gate(x_BLD).float()
        else:
            with torch.autocast(device_type=x_BLD.device.type, dtype=torch.float32):
                logits_BLE = self.gate(x_BLD).float()
        scores_BLE = F.softmax(logits_BLE, dim=-1)
        ids_BLK = torch.topk(scores_BLE, k=self.top_k, dim=-1, sorted=False).indices
        chosen_BLK = scores_BLE.gather(dim=-1, index=ids_BLK)
        if self.top_k > 1:
            chosen_BLK = chosen_BLK / chosen_BLK.sum(dim=-1, keepdim=True)
        if self.training and self.token_weight is not None:
            chosen_BLK = _AddLoss.apply(chosen_BLK, self._loss(logits_BLE, scores_BLE, ids_BLK))
        return chosen_BLK, ids_BLK, scores_BLE

    def _loss(self, logits_BLE: Tensor, scores_BLE: Tensor, ids_BLK: Tensor) -> Tensor:
        assert self.token_weight is not None
        z_BL = torch.logsumexp(logits_BLE, dim=-1) ** 2
        probability_E = scores_BLE.sum(dim=(0, 1))
        with torch.no_grad():
            chosen_E = torch.zeros_like(probability_E).scatter_add(
                0, ids_BLK.flatten(), probability_E.new_ones(ids_BLK.numel())
            )
            entropy = -(scores_BLE * scores_BLE.clamp(min=1e-30).log()).sum()
            # Filled on the device: a number of the host's would have to be waited for.
            tokens = entropy.new_full((), z_BL.numel())
            rest = torch.stack([entropy, z_BL.sum(), tokens])
            self.sums = torch.cat([chosen_E, probability_E, rest])
            share_E = chosen_E if self.reduce is None else self.reduce(chosen_E.clone())
            share_E = share_E / share_E.sum()
        balance = self.num_experts * (share_E * probability_E).sum()
        return (self.aux_weight * balance + self.z_weight * z_BL.sum()) * self.token_weight


def moe_config(shape: ModelShape, *, aux_weight: float, z_weight: float) -> MoE.Config:
    """A mixture in place of a layer's feed-forward. Weights are drawn by `initialise`."""
    assert shape.experts is not None
    assert shape.top_k is not None
    skip = dict.fromkeys(("weight", "w1_EFD", "w2_EDF", "w3_EFD"), skip_param_init)
    return MoE.Config(
        num_experts=shape.experts,
        load_balance_coeff=None,
        router=Router.Config(
            num_experts=shape.experts,
            gate=Linear.Config(
                in_features=shape.width, out_features=shape.experts, param_init=skip
            ),
            top_k=shape.top_k,
            score_func="softmax",
            aux_weight=aux_weight,
            z_weight=z_weight,
        ),
        routed_experts=RoutedExperts.Config(
            inner_experts=Experts.Config(
                dim=shape.width,
                hidden_dim=shape.ffn,
                num_experts=shape.experts,
                param_init=skip,
            ),
            token_dispatcher=LocalTokenDispatcher.Config(
                num_experts=shape.experts, top_k=shape.top_k
            ),
        ),
    )


@dataclass(frozen=True)
class RouterState:
    """How the routers of a model worked over one step's batch."""

    balance: float
    """Mean over layers of the balance loss: 1 where all experts are used alike."""
    z: float
    """Mean over layers of the z-loss, in squared nats."""
    max_load: float
    """The busiest expert's tokens over an equal share of them, in the layer where it is worst."""
    entropy: float
    """Mean over layers and tokens of the entropy of the router's softmax, in nats."""

    @classmethod
    def of(cls, sums: Tensor) -> "RouterState":
        """Return the state from [layers, 2 E + 3] `Router.sums`, added over passes and ranks."""
        experts = (sums.shape[1] - 3) // 2
        chosen, probability, rest = sums.double().cpu().split([experts, experts, 3], dim=1)
        entropy, z, tokens = rest.T
        share = chosen / chosen.sum(dim=1, keepdim=True)
        return cls(
            balance=float((experts * share * probability / tokens[:, None]).sum(dim=1).mean()),
            z=float((z / tokens).mean()),
            max_load=float(share.max() * experts),
            entropy=float((entropy / tokens).mean()),
        )


class Routers:
    """The routers of a model, through a training step. Does nothing in a dense model."""

    def __init__(
        self, model: nn.Module, reduce: Callable[[Tensor], Tensor] | None, *, tensor_ranks: int = 1
    ) -> None:
        """Find the routers of a model.

        Args:
            reduce: sums a tensor over data-parallel ranks, in place; None for one rank.
            tensor_ranks: tensor-parallel ranks, which all route the same tokens. Titan adds their
                gradients of the router up, so each contributes its share of the losses.
        """
        self.tensor_ranks = tensor_ranks
        self.routers = [m for m in model.modules() if isinstance(m, Router)]
        self.reduce = reduce
        self.sums: Tensor | None = None
        for router in self.routers:
            router.reduce = reduce

    def before_pass(self, tokens: Tensor) -> None:
        """Set how much each token counts in the routers' losses.

        Args:
            tokens: positions that all passes and ranks of this step put through the model.
        """
        weight = 1.0 / (tokens.float() * self.tensor_ranks) if self.routers else None
        for router in self.routers:
            router.token_weight = weight

    def after_pass(self) -> None:
        """Add up what this pass has counted."""
        if not self.routers:
            return
        sums = torch.stack([router.sums for router in self.routers if router.sums is not None])
        self.sums = sums if self.sums is None else self.sums + sums

    def end_step(self, *, measure: bool) -> RouterState | None:
        """Return what the step's counts say, and reset them. All ranks must call it alike.

        Returns:
            None without `measure`, and in a dense model.
        """
        sums, self.sums = self.sums, None
        if sums is None or not measure:
            return None
        return RouterState.of(sums if self.reduce is None else self.reduce(sums))
