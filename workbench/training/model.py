"""The paper's decoder, built from TorchTitan's Qwen3 parts.

RoPE, SwiGLU, pre-RMSNorm, no biases, qk-norm, weights from N(0, 0.02) (arXiv 2511.03276,
section 3.1). AR and diffusion differ in one thing: whether attention is causal.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask
from torchtitan.config import TORCH_DTYPE_MAP
from torchtitan.distributed.compile import apply_compile
from torchtitan.models.common import CosSinRoPE
from torchtitan.models.common.attention import GQAttention, ScaledDotProductAttention
from torchtitan.models.common.param_init import skip_param_init
from torchtitan.models.qwen3 import Qwen3Model, parallelize_qwen3
from torchtitan.models.qwen3.model import Qwen3TransformerBlock
from torchtitan.protocols.model_spec import ModelSpec

from workbench.recipe import ModelConfig
from workbench.training.compute import (
    QKV,
    Embedding,
    Linear,
    RMSNorm,
    SwiGLU,
    compute_in,
    products_as_one,
)
from workbench.training.dropout_block import DropoutBlock
from workbench.training.head import FirstHalfHead, Head
from workbench.training.looped import LoopedModel, loops_of
from workbench.training.masks import DENSE, MaskForm, sparse_attention
from workbench.training.moe import moe_config
from workbench.training.titan_patches import force_sum_reduction

# Titan initialises by module, we by parameter name (see `initialise`): its own pass is skipped.
_SKIP = {"weight": skip_param_init}


class Attention(ScaledDotProductAttention):
    """Scaled dot-product attention with the mask as a setting.

    Titan's GQAttention never passes `is_causal`, so the choice sits on the inner attention.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(ScaledDotProductAttention.Config):
        is_causal: bool

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.is_causal = config.is_causal

    def forward(self, q_BLNH: Tensor, k_BLNH: Tensor, v_BLNH: Tensor, **kwargs: Any) -> Tensor:
        # An objective's own mask, additive, [B or 1, 1, L, L], or block-sparse: it says all,
        # causality included.
        mask = kwargs.pop("attention_masks", None)
        if isinstance(mask, BlockMask):
            return sparse_attention(q_BLNH, k_BLNH, v_BLNH, mask, kwargs.get("scale"))
        if q_BLNH.device.type != "cpu" and mask is None:
            kwargs["is_causal"] = self.is_causal
            out: Tensor = super().forward(q_BLNH, k_BLNH, v_BLNH, **kwargs)
            return out
        # There is one fused kernel on CPU: choosing among backends on every call only costs.
        out_BNLH = F.scaled_dot_product_attention(
            q_BLNH.transpose(1, 2),
            k_BLNH.transpose(1, 2),
            v_BLNH.transpose(1, 2),
            attn_mask=mask,
            is_causal=self.is_causal and mask is None,
            scale=kwargs.get("scale"),
        )
        return out_BNLH.transpose(1, 2)


@dataclass(frozen=True)
class RouterWeights:
    """What the losses of a mixture's routers count in the training loss."""

    aux: float = 0.0
    z: float = 0.0


def model_config(
    model: ModelConfig,
    *,
    seq_len: int,
    causal: bool,
    router: RouterWeights = RouterWeights(),
    doubled: bool = False,
) -> Qwen3Model.Config:
    """Titan's configuration of a resolved `[model]`.

    Args:
        seq_len: positions that the rotary embedding knows.
        doubled: the inputs are two streams of `seq_len`, and logits are wanted of the first.
    """
    shape = model.shape
    head = FirstHalfHead if doubled else Head

    def norm(width: int) -> RMSNorm.Config:
        return RMSNorm.Config(normalized_shape=width, eps=model.norm_eps, param_init=_SKIP)

    def linear(inputs: int, outputs: int) -> Linear.Config:
        return Linear.Config(in_features=inputs, out_features=outputs, param_init=_SKIP)

    def block(layer: int) -> Qwen3TransformerBlock.Config:
        kind: Any = Qwen3TransformerBlock.Config
        if model.dropout:
            kind = partial(
                DropoutBlock.Config, dropout=model.dropout, layer=layer, layers=shape.layers
            )
        return kind(
            attention_norm=norm(shape.width),
            ffn_norm=norm(shape.width),
            attention=GQAttention.Config(
                dim=shape.width,
                n_heads=shape.heads,
                head_dim=shape.head_dim,
                qkv_linear=QKV.Config(
                    head_dim=shape.head_dim,
                    wq=linear(shape.width, shape.width),
                    wkv=linear(shape.width, shape.width),
                ),
                wo=linear(shape.width, shape.width),
                inner_attention=Attention.Config(is_causal=causal),
                rope=CosSinRoPE.Config(
                    dim=shape.head_dim, max_seq_len=seq_len, theta=model.rope_theta
                ),
                qk_norm=norm(shape.head_dim) if shape.qk_norm else None,
            ),
            feed_forward=SwiGLU.Config(
                w1=linear(shape.width, shape.ffn),
                w2=linear(shape.ffn, shape.width),
                w3=linear(shape.width, shape.ffn),
            )
            if shape.experts is None
            else None,
            moe=moe_config(shape, aux_weight=router.aux, z_weight=router.z)
            if shape.experts is not None
            else None,
        )

    kind: Any = Qwen3Model.Config
    if shape.loops > 1:
        kind = partial(LoopedModel.Config, loops=shape.loops)
    config: Qwen3Model.Config = kind(
        dim=shape.width,
        vocab_size=shape.vocab_size,
        tok_embeddings=Embedding.Config(
            num_embeddings=shape.vocab_size, embedding_dim=shape.width, param_init=_SKIP
        ),
        norm=norm(shape.width),
        lm_head=head.Config(
            in_features=shape.width, out_features=shape.vocab_size, param_init=_SKIP
        ),
        layers=[block(layer) for layer in range(shape.layers)],
        enable_weight_tying=shape.tied,
    )
    return config


def model_spec(
    model: ModelConfig,
    *,
    seq_len: int,
    causal: bool,
    shard_one_rank: bool,
    products_together: bool = False,
    masks: MaskForm = DENSE,
    router: RouterWeights = RouterWeights(),
    doubled: bool = False,
) -> ModelSpec:
    """The bundle that titan's Trainer takes.

    Args:
        shard_one_rank: wrap the model in FSDP2 even at one rank, for titan's mixed precision.
            Float32 runs 15 % faster without, and layers can convert their weights themselves.
        products_together: take products of one input as one. Tensor parallelism cuts the layers
            one by one, each as a product of its own.
        masks: how the model takes an objective's own masks.
    """
    return ModelSpec(
        name="workbench",
        flavor=model.size or f"{model.layers}x{model.width}",
        model=model_config(model, seq_len=seq_len, causal=causal, router=router, doubled=doubled),
        parallelize_fn=partial(
            _parallelize,
            shard_one_rank=shard_one_rank,
            products_together=products_together,
            masks=masks,
        ),
        pipelining_fn=None,
        post_optimizer_build_fn=None,
        state_dict_adapter=None,
    )


def _parallelize(
    model: Qwen3Model,
    *,
    shard_one_rank: bool,
    products_together: bool,
    masks: MaskForm,
    **kwargs: Any,
) -> nn.Module:
    compiling, parallel_dims = kwargs["compile_config"], kwargs["parallel_dims"]
    model.mask_form = masks
    if compiling.enable:
        _settle_compiled_code(len(model.layers) * loops_of(model))
    if products_together and not parallel_dims.tp_enabled:
        products_as_one(model)
    if parallel_dims.world_size == 1 and not shard_one_rank:
        # One rank has nothing to move: titan's hooks around each module would only cost.
        dtype = TORCH_DTYPE_MAP[kwargs["training"].mixed_precision_param]
        if dtype != torch.float32:
            compute_in(model, dtype)
        if kwargs["ac_config"] is not None:
            kwargs["ac_config"].build(dump_folder=kwargs["dump_folder"]).apply(model)
        if compiling.enable:
            apply_compile(model, compile_config=compiling, parallel_dims=parallel_dims)
            # Titan compiles the blocks. On a CPU the last norm alone, run eagerly, is 4 % of a
            # step of the 5M model.
            model.norm.compile(backend=compiling.backend, fullgraph=True)
        return model
    parallel: nn.Module = parallelize_qwen3(model, **kwargs)
    if torch.distributed.get_backend() == "gloo":
        force_sum_reduction(parallel)
    return parallel


def _settle_compiled_code(layers: int) -> None:
    """Give the same run the same compiled code, whatever its process has run before."""
    # With dropout a layer's number is part of its code: so many versions of one function, for
    # training, validation and tasks each. Beyond 8 torch gives up on a model that has to be whole.
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, 8 * layers)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, 64 * layers)
    # Torch would try the version used last first, and so let an earlier run choose between one
    # for a shape and one for all shapes. Titan's activation checkpointing turns that off too.
    torch._C._dynamo.eval_frame._set_lru_cache(False)


@torch.no_grad()
def initialise(model: nn.Module, *, seed: int, std: float, width_ratio: float = 1.0) -> None:
    """Draw every weight from its own stream, keyed by (seed, parameter name).

    So a parameter of the same name and shape starts the same in every run of a seed: under
    another objective, on another number of ranks, in a model of another depth. Norms start at
    one; matrices at N(0, std), drawn in float32 on the host.

    Args:
        width_ratio: under muP (`optimizers.py`), of the width to the base width: matrices of the
            layers are drawn 1 / sqrt of it as wide, and the last norm starts at 1 / it.
    """
    for name, parameter in model.named_parameters():
        plain = name.replace("_orig_mod.", "").replace("_checkpoint_wrapped_module.", "")
        if parameter.ndim == 1:
            parameter.fill_(1 / width_ratio if plain == "norm.weight" else 1.0)
            continue
        digest = hashlib.blake2b(f"{seed}:{plain}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
        spread = std / math.sqrt(width_ratio) if plain.startswith("layers.") else std
        value = torch.empty(parameter.shape).normal_(0.0, spread, generator=generator)
        value = value.to(parameter.device, parameter.dtype)
        if isinstance(parameter, DTensor):
            value = distribute_tensor(
                value, parameter.device_mesh, parameter.placements, src_data_rank=None
            )
        parameter.copy_(value)
