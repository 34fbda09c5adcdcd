"""Decoding with a KV cache, over the weights of titan's Qwen3 decoder.

Titan's attention (0.3.0) computes every position anew on each call. Here the same modules are
called for the new inputs alone, with the keys and values of earlier ones cached: logits are those
of the full forward pass, up to rounding.

Shape suffixes: B sequences, R of them, N new inputs, S inputs so far, G inputs a group, H heads,
E dimensions a head, D width, V entries of the vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.training.looped import loops_of


@dataclass(frozen=True)
class _Reading:
    """New inputs: their places, and which of them each attends to beside the cached ones."""

    place_BN: Tensor
    """First dimension 1 where all sequences share it."""
    visible_NS: Tensor | None
    """None: all, unless `causal`."""
    causal: bool
    row_R: Tensor | None
    """The sequences that are read, where not all are: of these nothing is cached."""


class _Cache:
    """One batch of sequences of equal length, with the keys and values cached so far."""

    def __init__(self, model: nn.Module, *, batch: int, length: int) -> None:
        """Allocate an empty cache.

        Args:
            model: a `Qwen3Model` in evaluation mode.
            batch: sequences.
            length: inputs that each can have at most.
        """
        decoder: Any = model
        self._model = decoder
        self._layers: list[Any] = list(decoder.layers.values()) * loops_of(model)
        attention = self._layers[0].attention
        weight = next(model.parameters())
        shape = (len(self._layers), batch, attention.n_kv_heads, length, attention.head_dim)
        self._keys = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self._values = torch.empty_like(self._keys)
        self._seen = 0

    def _logits(self, hidden: Tensor) -> Tensor:
        # Not through `lm_head` itself: that of a model of two streams leaves out the second half.
        logits: Tensor = F.linear(self._model.norm(hidden), self._model.lm_head.weight)
        return logits

    def _hidden(
        self,
        tokens_BN: Tensor,
        place_BN: Tensor,
        *,
        group: int = 1,
        n_cached: int,
        row_R: Tensor | None = None,
    ) -> Tensor:
        """Return [B, N, D] of new inputs in groups, and cache the first `n_cached` of them.

        Each input sees everything in the cache, its own group and the groups before it.
        """
        start, end = self._seen, self._seen + tokens_BN.shape[1]
        if end > self._keys.shape[3]:
            raise ValueError(f"{end} inputs in a cache for {self._keys.shape[3]}")
        visible_NS, causal = _visible(start, end, group, tokens_BN.device)
        reading = _Reading(place_BN, visible_NS, causal, row_R)
        hidden_BND: Tensor = self._model.tok_embeddings(tokens_BN)
        for number, layer in enumerate(self._layers):
            attended_BND = self._attend(number, layer, hidden_BND, reading)
            hidden_BND = hidden_BND + attended_BND
            feed_forward = layer.moe if layer.moe_enabled else layer.feed_forward
            hidden_BND = hidden_BND + feed_forward(layer.ffn_norm(hidden_BND))
        self._seen += n_cached
        return hidden_BND

    def _attend(self, number: int, layer: Any, hidden_BND: Tensor, reading: _Reading) -> Tensor:
        attention = layer.attention
        q_BNHE, k_BNHE, v_BNHE = attention.qkv_linear(layer.attention_norm(hidden_BND))
        if attention.q_norm is not None:
            q_BNHE, k_BNHE = attention.q_norm(q_BNHE), attention.k_norm(k_BNHE)
        q_BNHE, k_BNHE = attention.rope(q_BNHE, k_BNHE, reading.place_BN)
        k_BHNE, v_BHNE = k_BNHE.transpose(1, 2), v_BNHE.transpose(1, 2)
        out_BHNE = F.scaled_dot_product_attention(
            q_BNHE.transpose(1, 2),
            self._with_cached(self._keys[number], k_BHNE, reading.row_R),
            self._with_cached(self._values[number], v_BHNE, reading.row_R),
            attn_mask=reading.visible_NS,
            is_causal=reading.causal,
            scale=attention.scaling,
            enable_gqa=attention.enable_gqa,
        )
        out_BND: Tensor = attention.wo(out_BHNE.transpose(1, 2).flatten(2))
        return out_BND

    def _with_cached(self, cache: Tensor, new_BHNE: Tensor, row_R: Tensor | None) -> Tensor:
        """Keys or values so far and the new ones."""
        start, end = self._seen, self._seen + new_BHNE.shape[2]
        if row_R is not None:
            return torch.cat([cache[row_R, :, :start], new_BHNE], dim=2)
        cache[:, :, start:end] = new_BHNE
        return cache[:, :, :end]


def _visible(start: int, end: int, group: int, device: torch.device) -> tuple[Tensor | None, bool]:
    """What inputs `start` to `end` see of all: as a mask, or as "causal" where that is enough."""
    new = end - start
    if new <= group:
        return None, False
    if group == 1 and start == 0:
        return None, True
    group_N = torch.arange(new, device=device) // group
    visible_NS = torch.ones(new, end, dtype=torch.bool, device=device)
    visible_NS[:, start:] = group_N[:, None] >= group_N[None, :]
    return visible_NS, False


class CachedDecoder(_Cache):
    """Reads from left to right, with a causal model: BOS is the first of its inputs."""

    @torch.no_grad()
    def extend(self, tokens_BN: Tensor) -> Tensor:
        """Append inputs and give [B, V] logits of the token after the last of them."""
        return self._logits(self._append(tokens_BN)[:, -1])

    @torch.no_grad()
    def extend_all(self, tokens_BN: Tensor) -> Tensor:
        """Append inputs and give [B, N, V] logits of the token after each of them."""
        return self._logits(self._append(tokens_BN))

    def _append(self, tokens_BN: Tensor) -> Tensor:
        new = tokens_BN.shape[1]
        place_1N = torch.arange(self._seen, self._seen + new, device=tokens_BN.device)[None, :]
        return self._hidden(tokens_BN, place_1N, n_cached=new)


class GroupDecoder(_Cache):
    """Reads groups of tokens, with a model of two streams (objectives `block` and `aoar`).

    What the second stream is in training, clean tokens of earlier blocks or of lower rank, is
    cached here; the first stream, in which tokens are sought, is one group at a time and is not.
    """

    def __init__(self, model: nn.Module, *, batch: int, length: int, group: int) -> None:
        """Allocate an empty cache.

        Args:
            group: the block size; 1 for any-order AR.
        """
        super().__init__(model, batch=batch, length=length)
        self._group = group

    @torch.no_grad()
    def predict(self, tokens_BN: Tensor, place_BN: Tensor, row_R: Tensor | None = None) -> Tensor:
        """Append clean groups, and return logits of one more, which is not cached.

        Args:
            tokens_BN: clean groups in order, then one with MASK where a token is sought.
            place_BN: places in the sequence; first dimension 1 where all share them.
            row_R: indices of the sequences to read, where not all. Then there must be nothing
                to append.

        Returns:
            [B, G, V] of the last group; [R, G, V] with `row_R`.
        """
        n_cached = tokens_BN.shape[1] - self._group
        if n_cached and row_R is not None:
            raise ValueError("some sequences alone cannot append")
        hidden = self._hidden(
            tokens_BN, place_BN, group=self._group, n_cached=n_cached, row_R=row_R
        )
        return self._logits(hidden[:, n_cached:])


class WholeDecoder:
    """Reads from left to right with a model that is not ours: every token passes through it anew
    each time, since caches differ from model to model."""

    def __init__(self, model: nn.Module, *, drop_first: bool) -> None:
        """Begin with nothing read.

        Args:
            drop_first: leave out BOS, the first input, where other inputs come with it.
        """
        self._model = model
        self._drop_first = drop_first
        self._seen_BN: Tensor | None = None

    @torch.no_grad()
    def extend(self, tokens_BN: Tensor) -> Tensor:
        """Append inputs and give [B, V] logits of the token after the last of them."""
        if self._seen_BN is None:
            alone = tokens_BN.shape[1] == 1
            self._seen_BN = tokens_BN[:, 1:] if self._drop_first and not alone else tokens_BN
        else:
            self._seen_BN = torch.cat([self._seen_BN, tokens_BN], dim=1)
        logits_BV: Tensor = self._model(self._seen_BN)[:, -1]
        return logits_BV
