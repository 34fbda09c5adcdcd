"""What optimises which parameters, at which rate.

Norms, which are not decayed, as in Megatron-LM, which the paper's runs were trained with; the
embedding; the output layer; and the hidden layers' matrices, by AdamW or by Muon.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) steps by the momentum's nearest
semi-orthogonal matrix, five iterations of Newton-Schulz in bfloat16 away, with Nesterov's momentum
and decoupled weight decay. One rank has `torch.optim.Muon`. Where FSDP2 shards a matrix its
momentum has to be whole on some rank for that: TorchTitan's DistMuon sends each matrix to one rank,
a layer at a time, and its update back.

Under muP (Yang et al. 2022, arXiv 2203.03466, table 8) rates follow the ratio m of the width to
`model.base_width`: AdamW's of the layers' matrices 1 / m; Muon's 1 / sqrt(m) where its steps are as
long as AdamW's, and as it is with steps of the original's length; decay the other way, so that both
together take the same share of a weight in each step. The output's multiplier of 1 / m is the
initial gain of the norm before it, and its rate: the same function and the same steps of AdamW, and
no other network for samplers and exports.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.distributed.tensor import DTensor
from torch.optim import Muon, Optimizer
from torchtitan.components.optimizer import OptimizersContainer, ParamGroupConfig
from torchtitan.distributed.flex_shard import BucketConfig, ComputeLayout, Owned, build_dist_muon

from workbench.recipe import RunConfig
from workbench.recipe.models import MUON_MOMENTUM, MUON_SCALING
from workbench.training.titan_patches import run_dist_muon_on_cpus

NORMS, LAST_NORM = r"_norm\.", r"(^|\.)norm\."
EMBEDDING, HEAD, HIDDEN = r"tok_embeddings", r"lm_head", r"layers\."
"""Patterns of parameters' names. The first that matches counts."""


class Optimizers(OptimizersContainer):
    """Titan's container, which knows DistMuon and not Muon."""

    @dataclass(kw_only=True, slots=True)
    class Config(OptimizersContainer.Config):
        pass

    @staticmethod
    def _resolve_optimizer_factory(name: str) -> Callable[..., Optimizer]:
        if name == "Muon":
            return _muon
        factory: Callable[..., Optimizer] = OptimizersContainer._resolve_optimizer_factory(name)
        return factory


def _muon(groups: list[dict[str, Any]]) -> Optimizer:
    """Muon of whole matrices, or where they are sharded DistMuon."""
    (group,) = groups
    first, names = group["params"][0], group["param_names"]
    # On the meta device nothing is computed, and nothing sent.
    if not isinstance(first, DTensor) or first.device.type == "meta":
        return Muon(groups)
    if first.device.type == "cpu":
        run_dist_muon_on_cpus()
    layers = dict.fromkeys(name.partition(".")[2].partition(".")[0] for name in names)
    # Copies (`parallelism.replicate`) are another axis, before this one: each steps by itself.
    *_, axis = first.device_mesh.mesh_dim_names or ()
    on_one_rank = ComputeLayout(shardings_by_mesh_axis={axis: Owned()})
    return build_dist_muon(
        groups,
        compute_sharding_by_fqn=dict.fromkeys(names, on_one_rank),
        bucket_configs=[BucketConfig(patterns=(f"layers.{layer}.*",)) for layer in layers],
    )


def optimizers(config: RunConfig) -> Optimizers.Config:
    """Titan's configuration of a run's optimizers.

    The first group has the norms, whose rate is `training.lr` whatever the others have.
    """
    training, ratio = config.training, config.model.width_ratio
    muon = training.optimizer == "muon"
    hidden = ratio
    if muon:
        hidden = 1.0 if training.muon_scaling == "original" else math.sqrt(ratio)
    rest = {EMBEDDING: training.embedding_lr}
    if not config.model.tied:
        rest[HEAD] = training.head_lr
    decay = training.weight_decay
    wanted = [
        _adamw(config, NORMS, training.lr, weight_decay=0.0),
        _adamw(config, LAST_NORM, training.lr / ratio, weight_decay=0.0),
        (_muon_group if muon else _adamw)(
            config,
            HIDDEN,
            (training.hidden_lr or training.lr) / hidden,
            weight_decay=decay * hidden,
        ),
    ]
    for pattern, rate in rest.items():
        wanted.append(_adamw(config, pattern, rate or training.lr, weight_decay=decay))
    return Optimizers.Config(param_groups=_merged(wanted), implementation="fused")


def _merged(wanted: list[ParamGroupConfig]) -> list[ParamGroupConfig]:
    """Groups that are stepped alike as one."""
    groups: list[ParamGroupConfig] = []
    for group in wanted:
        for one in groups:
            if (one.optimizer_name, one.optimizer_kwargs) == (
                group.optimizer_name,
                group.optimizer_kwargs,
            ):
                one.pattern += f"|{group.pattern}"
                break
        else:
            groups.append(group)
    return groups


def _adamw(
    config: RunConfig, pattern: str, rate: float, *, weight_decay: float
) -> ParamGroupConfig:
    return ParamGroupConfig(
        pattern=pattern,
        optimizer_name="AdamW",
        optimizer_kwargs={
            "lr": rate,
            "betas": config.training.betas,
            "eps": 1e-8,
            "weight_decay": weight_decay,
        },
    )


def _muon_group(
    config: RunConfig, pattern: str, rate: float, *, weight_decay: float
) -> ParamGroupConfig:
    training = config.training
    return ParamGroupConfig(
        pattern=pattern,
        optimizer_name="Muon",
        optimizer_kwargs={
            "lr": rate,
            "weight_decay": weight_decay,
            "momentum": MUON_MOMENTUM if training.muon_momentum is None else training.muon_momentum,
            "nesterov": True,
            "adjust_lr_fn": training.muon_scaling or MUON_SCALING,
            "fused": False,
            "foreach": False,
        },
    )
