"""What optimises which parameters, at which rate.

Norms, which are not decayed, as in Megatron-LM, which the paper's runs were trained with; the
embedding; the output layer; and the hidden layers' matrices, by AdamW or by Muon.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) steps by the momentum's nearest
semi-orthogonal matrix, five iterations of Newton-Schulz in bfloat16 away, with Nesterov's momentum
and decoupled weight decay. One rank has `torch.optim.Muon`. Where FSDP2 shards a matrix its
momentum has to be whole on some rank for that: TorchTitan's DistMuon sends each matrix to one rank,
a layer at a time, and its update back.
"""

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

NORMS, EMBEDDING, HEAD, HIDDEN = r"norm", r"tok_embeddings", r"lm_head", r"layers\."
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
    training = config.training
    rates = {HIDDEN: training.hidden_lr, EMBEDDING: training.embedding_lr}
    if not config.model.tied:
        rates[HEAD] = training.head_lr
    groups = [_adamw(config, NORMS, training.lr, weight_decay=0.0)]
    for pattern, rate in rates.items():
        kind = _muon_group if (pattern, training.optimizer) == (HIDDEN, "muon") else _adamw
        group = kind(config, pattern, rate or training.lr, weight_decay=training.weight_decay)
        for one in groups:
            if (one.optimizer_name, one.optimizer_kwargs) == (
                group.optimizer_name,
                group.optimizer_kwargs,
            ):
                one.pattern += f"|{pattern}"
                break
        else:
            groups.append(group)
    return Optimizers.Config(param_groups=groups, implementation="fused")


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
