"""Choosing tokens and places: temperature, top-p, and draws that depend on nothing but their key.

Shape suffixes: N draws, V tokens of the vocabulary; B sequences, R places of each.
"""

import torch
from torch import Tensor

from workbench.training.hashing import hash_uniform, stream_key

EQUALLY_SURE = 1e-4
"""Nats between two confidences that count as equal: rounding must not choose the place.

A network with rotary positions predicts the same at every masked place until a token is known.
Measured (384 wide, 8 layers, float32): its confidences are then up to 6e-6 apart, and up to 2e-5
from those of the same network on a processor with other vector units.
"""


def probabilities(
    logits_NV: Tensor, n_tokens: int, *, temperature: float = 1.0, top_p: float = 1.0
) -> Tensor:
    """[N, n_tokens] float64: the softmax over the first `n_tokens`, tempered, then cut to the
    nucleus.

    MASK, BOS and padding lie behind `n_tokens` and get no probability. Temperature 0 puts all of
    it on the likeliest token, the first of them where several are. The nucleus (Holtzman et al.
    2020) is the smallest set of likeliest tokens that holds `top_p`.

    Float64, because rounded probabilities draw like a lower temperature (Zheng et al. 2024,
    arXiv 2409.02908).
    """
    logits_NV = logits_NV[..., :n_tokens].double()
    if temperature == 0:
        best_N1 = logits_NV.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits_NV).scatter_(-1, best_N1, 1.0)
    p_NV = torch.softmax(logits_NV / temperature, dim=-1)
    if top_p < 1:
        sorted_NV, order_NV = p_NV.sort(dim=-1, descending=True, stable=True)
        before_NV = sorted_NV.cumsum(dim=-1) - sorted_NV
        kept_NV = torch.where(before_NV < top_p, sorted_NV, 0.0)
        p_NV = torch.zeros_like(p_NV).scatter_(-1, order_NV, kept_NV)
        p_NV = p_NV / p_NV.sum(dim=-1, keepdim=True)
    return p_NV


def draw(p_NV: Tensor, uniform_N: Tensor) -> Tensor:
    """[N] int64: the token at each uniform's quantile. One of probability 0 is never drawn."""
    cumulative_NV = p_NV.cumsum(dim=-1)
    target_N1 = (uniform_N * cumulative_NV[:, -1])[:, None]
    tokens_N = torch.searchsorted(cumulative_NV, target_N1, right=True)[:, 0]
    # Rounding can carry the target to the total: the last token with any probability has it.
    last_N = p_NV.shape[-1] - 1 - (p_NV > 0).flip(-1).to(torch.uint8).argmax(dim=-1)
    return torch.minimum(tokens_N, last_N)


def surest_first(log_p_BR: Tensor, tie_BR: Tensor) -> Tensor:
    """[B, R] indices of the places, the surest first.

    Places are equally sure where no step between neighbours in the order of confidence exceeds
    `EQUALLY_SURE`; those go by `tie_BR`, the lowest first.

    Args:
        log_p_BR: confidence in nats; -inf where a place is not sought, which comes last.
        tie_BR: from 0 to below 1.
    """
    sorted_BR, order_BR = log_p_BR.sort(dim=1, descending=True, stable=True)
    falls_BR = sorted_BR[:, :-1] - sorted_BR[:, 1:] > EQUALLY_SURE  # False between two of -inf
    level_BR = torch.zeros_like(tie_BR, dtype=torch.float64)
    level_BR[:, 1:] = falls_BR.cumsum(dim=1)
    level_BR = torch.empty_like(level_BR).scatter_(1, order_BR, level_BR)
    return (level_BR + tie_BR).argsort(dim=1, stable=True)


class Randomness:
    """Uniforms of a seed, keyed by what they are for and by counters: the same alone and in a
    batch, on any device."""

    def __init__(self, seed: int) -> None:
        self._token_keys = stream_key("sample token", seed), stream_key("sample token, low", seed)
        self._order_keys = stream_key("sample order", seed), stream_key("sample order, low", seed)

    def token(self, *counters: Tensor) -> Tensor:
        """float64 uniforms in (0, 1) that choose tokens."""
        return _uniform(self._token_keys, counters)

    def order(self, *counters: Tensor) -> Tensor:
        """float64 uniforms in (0, 1) that choose the order of places."""
        return _uniform(self._order_keys, counters)


def _uniform(keys: tuple[int, int], counters: tuple[Tensor, ...]) -> Tensor:
    """48 bits: 24 would never draw a token less likely than 6e-8, and tie among many places."""
    high, low = (hash_uniform(key, *counters).double() for key in keys)
    # `hash_uniform` gives (n + 1/2) / 2^24: take the half off the high part, keep it on the low.
    return high - 2.0**-25 + low * 2.0**-24
