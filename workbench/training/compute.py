"""Layers that compute in another precision than they keep, and several products as one.

Titan's mixed precision is FSDP2's, which at one rank copies every weight and gradient several times
to gather and reduce them among one. Here a weight stays one parameter in float32, for optimizer,
checkpoint and export, and is converted where it is used: 4 bytes read and 2 written a parameter and
pass, and its gradient the other way. The arithmetic is FSDP2's: products of bfloat16 weights, their
gradients in bfloat16, added up in float32.

One product for queries, keys and values, and one for both inputs of SwiGLU: the weights are put
side by side as they are converted, so that names, shapes and initial values of parameters are those
of the separate layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchtitan.models import common


class _Computes(nn.Module):
    """A layer of one weight."""

    weight: Tensor
    compute_dtype: torch.dtype | None = None
    """What it computes in; None for the weight's own type."""

    def computed(self) -> Tensor:
        """The weight as it is used."""
        return self.weight if self.compute_dtype is None else self.weight.to(self.compute_dtype)


class Linear(common.Linear, _Computes):
    """Titan's, without a bias."""

    @dataclass(kw_only=True, slots=True)
    class Config(common.Linear.Config):
        pass

    def forward(self, input: Tensor) -> Tensor:  # titan's sharding knows arguments by name
        return F.linear(input, self.computed())


class Embedding(common.Embedding, _Computes):
    @dataclass(kw_only=True, slots=True)
    class Config(common.Embedding.Config):
        pass

    def forward(self, input: Tensor) -> Tensor:
        if self.compute_dtype is None:
            out: Tensor = super().forward(input)
            return out
        return F.embedding(input, self.computed())


class RMSNorm(common.RMSNorm, _Computes):
    normalized_shape: tuple[int, ...]
    eps: float | None

    @dataclass(kw_only=True, slots=True)
    class Config(common.RMSNorm.Config):
        pass

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.rms_norm(x, self.normalized_shape, self.computed(), self.eps)
        return out


class QKV(common.QKVLinear):
    """Queries, keys and values, of one product where `as_one`."""

    @dataclass(kw_only=True, slots=True)
    class Config(common.QKVLinear.Config):
        pass

    as_one = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not self.as_one:
            separate: tuple[Tensor, Tensor, Tensor] = super().forward(x)
            return separate
        weights = [layer.computed() for layer in (self.wq, self.wk, self.wv)]
        parts = F.linear(x, torch.cat(weights)).split([len(w) for w in weights], dim=-1)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)) for part in parts)
        return q, k, v


class SwiGLU(common.FeedForward):
    """w2(silu(w1 x) * w3 x), w1 and w3 in one product where `as_one`."""

    @dataclass(kw_only=True, slots=True)
    class Config(common.FeedForward.Config):
        pass

    as_one = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.as_one:
            separate: Tensor = super().forward(x)
            return separate
        gate, up = F.linear(x, torch.cat([self.w1.computed(), self.w3.computed()])).chunk(2, -1)
        out: Tensor = self.w2(F.silu(gate) * up)
        return out


def compute_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Have every layer compute in `dtype` with weights that stay what they are."""
    for module in model.modules():
        if isinstance(module, _Computes):
            module.compute_dtype = dtype


def products_as_one(model: nn.Module) -> None:
    """Have every layer take its products of one input together."""
    for module in model.modules():
        if isinstance(module, QKV | SwiGLU):
            module.as_one = True
