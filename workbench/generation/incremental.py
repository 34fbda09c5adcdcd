"""Left-to-right decoding with a KV cache, over the weights of titan's Qwen3 decoder.

Titan's attention (0.3.0) computes every position anew on each call. Here the same modules are
called for the new positions alone, with the keys and values of earlier ones kept: logits are
those of the full forward pass, up to rounding.

Shape suffixes: B sequences, N new positions, S positions so far, H heads, E dimensions a head,
D width, V entries of the vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CachedDecoder:
    """One batch of sequences of equal length, read from left to right."""

    def __init__(self, model: nn.Module, *, batch: int, length: int) -> None:
        """Args:
        model: a causal `Qwen3Model` in evaluation mode.
        batch: sequences.
        length: inputs that each can have at most, BOS among them.
        """
        decoder: Any = model
        self._model = decoder
        self._layers: list[Any] = list(decoder.layers.values())
        attention = self._layers[0].attention
        weight = next(model.parameters())
        shape = (len(self._layers), batch, attention.n_kv_heads, length, attention.head_dim)
        self._keys = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self._values = torch.empty_like(self._keys)
        self._seen = 0

    @torch.no_grad()
    def extend(self, tokens_BN: Tensor) -> Tensor:
        """Append inputs and give [B, V] logits of the token after the last of them."""
        return self._logits(self._hidden(tokens_BN)[:, -1])

    @torch.no_grad()
    def extend_all(self, tokens_BN: Tensor) -> Tensor:
        """Append inputs and give [B, N, V] logits of the token after each of them."""
        return self._logits(self._hidden(tokens_BN))

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._model.lm_head(self._model.norm(hidden))
        return logits

    def _hidden(self, tokens_BN: Tensor) -> Tensor:
        start, end = self._seen, self._seen + tokens_BN.shape[1]
        if end > self._keys.shape[3]:
            raise ValueError(f"{end} inputs in a cache for {self._keys.shape[3]}")
        positions = torch.arange(start, end, device=tokens_BN.device)[None, :]
        hidden_BND: Tensor = self._model.tok_embeddings(tokens_BN)
        for number, layer in enumerate(self._layers):
            attended_BND = self._attend(number, layer, hidden_BND, positions)
            hidden_BND = hidden_BND + attended_BND
            feed_forward = layer.moe if layer.moe_enabled else layer.feed_forward
            hidden_BND = hidden_BND + feed_forward(layer.ffn_norm(hidden_BND))
        self._seen = end
        return hidden_BND

    def _attend(self, number: int, layer: Any, hidden_BND: Tensor, positions: Tensor) -> Tensor:
        attention = layer.attention
        q_BNHE, k_BNHE, v_BNHE = attention.qkv_linear(layer.attention_norm(hidden_BND))
        if attention.q_norm is not None:
            q_BNHE, k_BNHE = attention.q_norm(q_BNHE), attention.k_norm(k_BNHE)
        q_BNHE, k_BNHE = attention.rope(q_BNHE, k_BNHE, positions)
        start, end = self._seen, self._seen + hidden_BND.shape[1]
        self._keys[number, :, :, start:end] = k_BNHE.transpose(1, 2)
        self._values[number, :, :, start:end] = v_BNHE.transpose(1, 2)
        new = end - start
        visible_NS = None
        if start and new > 1:  # each new position sees all before it, and itself
            visible_NS = torch.ones(new, end, dtype=torch.bool, device=hidden_BND.device)
            visible_NS = visible_NS.tril(diagonal=start)
        out_BHNE = F.scaled_dot_product_attention(
            q_BNHE.transpose(1, 2),
            self._keys[number, :, :, :end],
            self._values[number, :, :, :end],
            attn_mask=visible_NS,
            is_causal=start == 0 and new > 1,
            scale=attention.scaling,
            enable_gqa=attention.enable_gqa,
        )
        out_BND: Tensor = attention.wo(out_BHNE.transpose(1, 2).flatten(2))
        return out_BND
