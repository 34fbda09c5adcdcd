"""The network of a model that the workbench has exported, for transformers.

This file lies beside the weights, and needs torch and transformers alone. A decoder with rotary
embeddings, RMSNorm and SwiGLU, its parameters named as Qwen3's, whose attention is to both sides,
causal, or by a mask. README.md beside it says what goes in and how to score and sample.

Shape suffixes: B sequences, L tokens a sequence, T inputs a sequence (2 L of a model of two
streams), N heads, H dimensions a head, D width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput


class WorkbenchConfig(PretrainedConfig):
    """The shape of the network, as config.json has it."""

    model_type = "workbench"

    def __init__(
        self,
        vocab_size: int = 264,
        hidden_size: int = 64,
        intermediate_size: int = 128,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        rms_norm_eps: float = 1e-6,
        rope_parameters: dict[str, Any] | None = None,
        qk_norm: bool = True,
        causal: bool = False,
        streams: int = 1,
        num_experts: int = 0,
        num_experts_per_tok: int = 2,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.rms_norm_eps = rms_norm_eps
        self.rope_parameters = rope_parameters or {"rope_type": "default", "rope_theta": 1e4}
        self.qk_norm = qk_norm
        self.causal = causal
        self.streams = streams
        self.num_experts = num_experts
        self.num_experts_per_tok = num_experts_per_tok
        self.tie_word_embeddings = tie_word_embeddings
        super().__init__(**kwargs)


class WorkbenchModel(PreTrainedModel):
    """The decoder with its output layer."""

    config_class = WorkbenchConfig
    base_model_prefix = ""
    _supports_sdpa = True

    def __init__(self, config: WorkbenchConfig) -> None:
        super().__init__(config)
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.model.norm = _Norm(config.hidden_size, config.rms_norm_eps)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed_tokens

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **_: Any,
    ) -> MaskedLMOutput:
        """Logits [B, L, V] of inputs [B, T].

        Args:
            attention_mask: [B, T], 0 where an input is padding; or [B or 1, T, T], true where one
                input sees another: that is all that it sees.
            position_ids: [B or 1, T]; 0, 1, ... where None.
        """
        config = self.config
        length = input_ids.shape[1]
        if position_ids is None:
            position_ids = torch.arange(length, device=input_ids.device)[None]
        visible, causal = None, config.causal
        if attention_mask is not None and attention_mask.ndim == 3:
            visible, causal = attention_mask.bool()[:, None], False
        elif attention_mask is not None and not attention_mask.all():
            visible = attention_mask.bool()[:, None, None, :].expand(-1, 1, length, -1)
            if causal:
                visible, causal = visible & visible.new_ones(length, length).tril(), False
        turn = self._rotation(position_ids)
        x = self.model.embed_tokens(input_ids)
        for layer in self.model.layers:
            x = layer(x, turn, visible, causal)
        x = self.model.norm(x[:, : length // config.streams])
        head = self.model.embed_tokens if config.tie_word_embeddings else self.lm_head
        return MaskedLMOutput(logits=F.linear(x, head.weight))

    def _rotation(self, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [B or 1, 1, T, H], the pairs (i, i + H / 2) turned alike."""
        head = self.config.hidden_size // self.config.num_attention_heads
        theta = self.config.rope_parameters["rope_theta"]
        step = torch.arange(0, head, 2, device=position_ids.device).float()
        angle = (position_ids[..., None].float() * (1.0 / theta ** (step / head))).repeat(1, 1, 2)
        return angle.cos()[:, None], angle.sin()[:, None]


class _Norm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class _Layer(nn.Module):
    def __init__(self, config: WorkbenchConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.input_layernorm = _Norm(width, config.rms_norm_eps)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = _Norm(width, config.rms_norm_eps)
        self.mlp = (_Mixture if config.num_experts else _SwiGLU)(config)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], visible: Tensor | None, causal: bool
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), turn, visible, causal)
        return x + self.mlp(self.post_attention_layernorm(x))


class _Attention(nn.Module):
    def __init__(self, config: WorkbenchConfig) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        if config.qk_norm:
            self.q_norm = _Norm(width // self.heads, config.rms_norm_eps)
            self.k_norm = _Norm(width // self.heads, config.rms_norm_eps)
        self.qk_norm = config.qk_norm

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], visible: Tensor | None, causal: bool
    ) -> Tensor:
        q, k, v = (
            product(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for product in (self.q_proj, self.k_proj, self.v_proj)
        )
        if self.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = _turned(q, turn), _turned(k, turn)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=causal)
        return self.o_proj(out.transpose(1, 2).flatten(2))


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """[B, N, T, H] turned by its positions, in float32."""
    cos, sin = turn
    a, b = x.float().chunk(2, dim=-1)
    return (x.float() * cos + torch.cat([-b, a], dim=-1) * sin).to(x.dtype)


class _SwiGLU(nn.Module):
    def __init__(self, config: WorkbenchConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class _Mixture(nn.Module):
    """The likeliest experts of each token, weighted by their probabilities, which are scaled to add
    up to 1 where there are several."""

    def __init__(self, config: WorkbenchConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.ModuleList(_SwiGLU(config) for _ in range(config.num_experts))
        self.top_k = config.num_experts_per_tok

    def forward(self, x: Tensor) -> Tensor:
        share, chosen = self.gate(x).float().softmax(dim=-1).topk(self.top_k, dim=-1)
        if self.top_k > 1:
            share = share / share.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            is_chosen = chosen == number
            tokens = is_chosen.any(dim=-1)
            weight = (share * is_chosen).sum(dim=-1)[tokens]
            out[tokens] += (weight[:, None] * expert(x[tokens])).to(x.dtype)
        return out


def blocks(noisy: Tensor, clean: Tensor, size: int) -> dict[str, Tensor]:
    """Arguments of `forward` for a model trained on blocks, of [B, L] noisy and clean tokens.

    A noisy token sees its own noisy block and the clean blocks before it.
    """
    block = torch.arange(clean.shape[1], device=clean.device) // size
    same, before = block[:, None] == block, block[:, None] > block
    rows = [torch.cat([same, before], 1), torch.cat([torch.zeros_like(same), before | same], 1)]
    return _two_streams(noisy, clean, torch.cat(rows)[None])


def in_order(clean: Tensor, rank: Tensor, mask_id: int) -> dict[str, Tensor]:
    """Arguments of `forward` for an any-order model, of [B, L] tokens and each one's rank in the
    order: a token is predicted from those of lower rank."""
    lower = rank[:, None, :] < rank[:, :, None]
    own = torch.eye(clean.shape[1], dtype=torch.bool, device=clean.device).expand_as(lower)
    rows = [torch.cat([own, lower], 2), torch.cat([torch.zeros_like(own), lower | own], 2)]
    return _two_streams(torch.full_like(clean, mask_id), clean, torch.cat(rows, 1))


def _two_streams(first: Tensor, second: Tensor, visible: Tensor) -> dict[str, Tensor]:
    place = torch.arange(first.shape[1], device=first.device).repeat(2)[None]
    return {
        "input_ids": torch.cat([first, second], dim=1),
        "attention_mask": visible,
        "position_ids": place,
    }
