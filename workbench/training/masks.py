"""Attention masks of an objective's own, in the form that a network's attention takes.

A dense mask is added to the scores. It must have the type of the queries: of torch's kernels on
GPUs one refuses another type, and one reads float32 as if it were bfloat16. FlexAttention takes a
rule instead, and leaves out the tiles in which nothing is seen: of the two streams of `block` and
`aoar`, three quarters. It has no backward pass on a CPU.

Shape suffixes: B sequences, T inputs a sequence, N heads, H dimensions a head.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from torchtitan.models.common.attention import FlexAttention

from workbench.training.titan_patches import compile_flex_attention_untuned

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Whether an input sees another: of sequence, head, the input's place among the T and the other's,
int64, to bool. The same for all sequences and heads."""
Mask = Tensor | BlockMask

_HEAD_DIMS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class MaskForm:
    """What a network's attention takes."""

    dtype: torch.dtype = torch.float32
    """What the queries are computed in."""
    sparse: bool = False
    """Rules where there are any."""


DENSE = MaskForm()


def mask_form(model: nn.Module) -> MaskForm:
    """The form that a model was given, or else a dense one in the type of its weights."""
    given = getattr(model, "mask_form", None)
    if isinstance(given, MaskForm):
        return given
    weights = next(model.parameters(), None)
    return MaskForm() if weights is None else MaskForm(weights.dtype)


def form_for(dtype: torch.dtype, *, device: str, head_dim: int) -> MaskForm:
    """Return the form for a model that computes in `dtype` on "cpu" or "cuda".

    Rules need a GPU, a C compiler for Triton, and heads of a size that its kernels know.
    """
    sparse = device == "cuda" and head_dim in _HEAD_DIMS and _has_compiler()
    if sparse:
        compile_flex_attention_untuned()
    return MaskForm(dtype, sparse)


def _has_compiler() -> bool:
    names = [os.environ.get("CC"), "cc", "gcc", "clang"]
    return any(shutil.which(name) for name in names if name)


def dense(rule: Rule, length: int, device: torch.device) -> Tensor:
    """[1, T, T] bool: what a rule says of every pair of inputs."""
    place_T, any_ = torch.arange(length, device=device), torch.zeros((), device=device)
    return rule(any_, any_, place_T[:, None], place_T[None, :])[None]


def additive(visible_BTT: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, 1, T, T]: 0 where an input is seen and -inf where not."""
    visible = visible_BTT[:, None]
    # Made once a batch: each layer would convert a boolean mask anew.
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, float("-inf"))


@lru_cache(maxsize=8)
def block_sparse(rule: Rule, length: int, device: torch.device) -> BlockMask:
    """The tiles of a mask in which anything is seen. Kept: making it waits for the device."""
    return create_block_mask(rule, None, None, length, length, device=device)


def sparse_attention(
    q_BTNH: Tensor, k_BTNH: Tensor, v_BTNH: Tensor, mask: BlockMask, scale: float | None
) -> Tensor:
    """[B, T, N, H] attention over the tiles of a mask, by titan's compiled FlexAttention."""
    out: Tensor = _FLEX(q_BTNH, k_BTNH, v_BTNH, attention_masks=mask, scale=scale)
    return out


_FLEX = FlexAttention(FlexAttention.Config())
