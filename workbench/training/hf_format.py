"""Our networks as the Hugging Face format names them: config.json and the weights' names.

The decoder is Qwen3's, so an export renames weights and changes none: rotary embeddings turn the
pairs (i, i + head / 2) in both, qk-norms come before them, nothing has a bias, and the vocabulary
keeps its padding. Without qk-norms it is Llama's. What no class of transformers computes (attention
to both sides, two streams, a mixture without qk-norms) is computed by `modeling_workbench.py`,
which goes with the weights and names them as Qwen3 does.
"""

from typing import Any

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.recipe import ModelConfig
from workbench.recipe.sizes import ModelShape

MODELLING_FILE = "modeling_workbench.py"
_OWN = "workbench"
_CLASSES = {
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "llama": "LlamaForCausalLM",
    _OWN: "WorkbenchModel",
}

_WHOLE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "lm_head.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attention.qkv_linear.wq": "self_attn.q_proj",
    "attention.qkv_linear.wk": "self_attn.k_proj",
    "attention.qkv_linear.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "moe.router.gate": "mlp.gate",
}
NAMED = frozenset(
    (
        "size", "width", "layers", "heads", "ffn", "tied", "vocab_size", "rope_theta", "norm_eps",
        "init_std", "parametrization", "base_width", "qk_norm", "moe_experts", "moe_top_k",
        "dropout",
    )
)  # fmt: skip
"""The keys of `[model]` that the format can say, or that do not matter after training (dropout,
initial weights)."""
_OF_EXPERTS = {"w1_EFD": "gate_proj", "w2_EDF": "down_proj", "w3_EFD": "up_proj"}
"""One tensor of all experts here, one an expert there."""


def model_type(shape: ModelShape, *, causal: bool, streams: int) -> str:
    """What transformers calls a network: "qwen3", "qwen3_moe", "llama", or "workbench" for one that
    `modeling_workbench.py` computes."""
    if not causal or streams == 2:
        return _OWN
    if shape.experts is None:
        return "qwen3" if shape.qk_norm else "llama"
    return "qwen3_moe" if shape.qk_norm else _OWN


def hf_config(
    model: ModelConfig, *, seq_len: int, causal: bool, streams: int, dtype: str
) -> dict[str, Any]:
    """What config.json says of a network.

    Raises:
        InputError: a key of `[model]` has no place there.
    """
    for name, field in ModelConfig.model_fields.items():
        if name not in NAMED and getattr(model, name) != field.default:
            raise InputError(f"model.{name}: has no place in the format of Hugging Face.")
    shape = model.shape
    kind = model_type(shape, causal=causal, streams=streams)
    config: dict[str, Any] = {
        "architectures": [_CLASSES[kind]],
        "model_type": kind,
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": seq_len,
        "initializer_range": model.init_std,
        "rms_norm_eps": model.norm_eps,
        "rope_theta": model.rope_theta,  # where versions before 5 look
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": dtype,
    }
    if shape.experts is not None:
        assert shape.top_k is not None
        config |= {
            "num_experts": shape.experts,
            "num_experts_per_tok": shape.top_k,
            "moe_intermediate_size": shape.ffn,
            "norm_topk_prob": shape.top_k > 1,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        }
    if kind == _OWN:
        name = f"{MODELLING_FILE.removesuffix('.py')}.{_CLASSES[_OWN]}"
        head = "AutoModelForCausalLM" if causal else "AutoModelForMaskedLM"
        config |= {
            "auto_map": {
                "AutoConfig": f"{MODELLING_FILE.removesuffix('.py')}.WorkbenchConfig",
                "AutoModel": name,
                head: name,
            },
            "qk_norm": shape.qk_norm,
            "causal": causal,
            "streams": streams,
        }
    return config


def hf_weights(state: dict[str, Tensor], shape: ModelShape) -> dict[str, Tensor]:
    """The weights by their names there. A tied output layer is left out: it is the embedding.

    Raises:
        InputError: a weight has none.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in _WHOLE:
            renamed[_WHOLE[name]] = value
            continue
        layer, own = _split(name)
        prefix = f"model.layers.{layer}"
        experts = _OF_EXPERTS.get(own.removeprefix("moe.routed_experts.inner_experts."))
        if experts is None:
            theirs = _IN_LAYER.get(own.removesuffix(".weight"))
            if theirs is None:
                raise InputError(f"the weight {name} has no name in the format of Hugging Face.")
            renamed[f"{prefix}.{theirs}.weight"] = value
        else:
            for number, of_expert in enumerate(value.unbind()):
                renamed[f"{prefix}.mlp.experts.{number}.{experts}.weight"] = of_expert.contiguous()
    if shape.tied:
        del renamed["lm_head.weight"]
    return renamed


def our_weights(weights: dict[str, Tensor], shape: ModelShape) -> dict[str, Tensor]:
    """The inverse of `hf_weights`.

    Raises:
        KeyError: a weight is missing, or has no place in the network.
    """
    left = dict(weights)
    if shape.tied:
        left["lm_head.weight"] = left["model.embed_tokens.weight"]
    ours = {name: left.pop(theirs) for name, theirs in _WHOLE.items()}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}"
        for name, theirs in _IN_LAYER.items():
            if (value := left.pop(f"{prefix}.{theirs}.weight", None)) is not None:
                ours[f"layers.{layer}.{name}.weight"] = value
        for name, theirs in _OF_EXPERTS.items() if shape.experts else ():
            ours[f"layers.{layer}.moe.routed_experts.inner_experts.{name}"] = torch.stack(
                [
                    left.pop(f"{prefix}.mlp.experts.{number}.{theirs}.weight")
                    for number in range(shape.experts or 0)
                ]
            )
    if left:
        raise KeyError(next(iter(left)))
    return ours


def _split(name: str) -> tuple[str, str]:
    """("3", "attention.wo.weight") of "layers.3.attention.wo.weight"."""
    _, layer, own = name.split(".", 2)
    return layer, own
