"""Dropout whose masks are a function of their place, not of a generator's state.

Where Megatron-LM, with which the paper's runs were trained, has its `hidden-dropout`: after the
embedding, and on the outputs of attention and feed-forward before they join the residual stream.
A mask is keyed by (seed, step, position in the global batch, token, layer and place, channel), so
it is the same on any number of ranks, after any resume, and when a layer is computed again for
activation checkpointing. Attention probabilities are not dropped: fused kernels draw those masks
from a generator.

Shape suffixes: B sequences, L tokens a sequence, D channels.
"""

import torch
from torch import Tensor, nn

from workbench.training.hashing import hash_bits, stream_key

_CHANNEL_BITS = 16
_CHANNELS_A_HASH = 64 // _CHANNEL_BITS
_LEVELS = 1 << _CHANNEL_BITS


def token_keys(seed: int, step: int, position_B: Tensor, token_L: Tensor) -> Tensor:
    """[B, L] int64: what every mask of a token's activations in one step derives from."""
    step_ = torch.full((), step, dtype=torch.int64, device=position_B.device)
    return hash_bits(stream_key("dropout", seed), step_, position_B[:, None], token_L[None, :])


def keep_mask(key_BL: Tensor, place: int, width: int, p: float) -> Tensor:
    """Return [B, L, width], true (keep) with probability 1 - p, rounded to 1 in 65,536.

    Four channels share the 64 bits of one hash: a mask costs a quarter of as many uniforms.
    """
    quartet = torch.arange(-(-width // _CHANNELS_A_HASH), device=key_BL.device)
    bits = hash_bits(key_BL[..., None], quartet + (place << 32))
    return bits.view(torch.int16)[..., :width] >= _dropped_levels(p) - _LEVELS // 2


def _dropped_levels(p: float) -> int:
    return min(round(p * _LEVELS), _LEVELS - 1)


def dropout(x_BLD: Tensor, key_BL: Tensor, place: int, p: float) -> Tensor:
    """Zero each activation with probability p and scale the others: the mean stays."""
    scale = _LEVELS / (_LEVELS - _dropped_levels(p))
    return x_BLD * (keep_mask(key_BL, place, x_BLD.shape[-1], p) * scale).to(x_BLD.dtype)


class DropoutKeys:
    """Hands a step's token keys to the layers that drop. Does nothing where none does."""

    def __init__(self, model: nn.Module, *, seed: int, tensor_rank: int, tensor_ranks: int) -> None:
        """Find the layers of a model that drop.

        Args:
            model: holds blocks with a `dropout` above 0.
            tensor_rank: which part of the sequence this rank's residual stream is, out of
                `tensor_ranks`; 0 of 1 without sequence parallelism.
        """
        self.seed = seed
        self.tensor_rank = tensor_rank
        self.tensor_ranks = tensor_ranks
        self.blocks = [m for m in model.modules() if getattr(m, "dropout", 0.0) > 0]

    def update(self, step: int, position_B: Tensor, inputs: Tensor) -> None:
        """Set the keys of a batch's tokens. Call before each forward pass in training.

        Args:
            position_B: places in the global batch.
            inputs: [n B, L] what the model is given: the batch once, or several times over,
                each time with masks of its own.
        """
        if not self.blocks:
            return
        rows, length = inputs.shape
        batch = position_B.shape[0]
        copy = torch.arange(rows, device=position_B.device) // batch
        position = position_B.repeat(rows // batch) + (copy << 32)
        part = length // self.tensor_ranks
        token_L = torch.arange(
            part * self.tensor_rank, part * (self.tensor_rank + 1), device=position_B.device
        )
        keys = token_keys(self.seed, step, position, token_L)
        for block in self.blocks:
            block.token_key_BL = keys
