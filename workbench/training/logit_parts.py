"""Work on logits a few positions at a time: what it makes of them in float32 stays small."""

from collections.abc import Callable

import torch
from torch import Tensor

from workbench.planning.memory import LOGITS_AT_ONCE


def in_parts(
    work: Callable[..., tuple[Tensor, ...]], logits_BLV: Tensor, *beside_BL: Tensor
) -> tuple[Tensor, ...]:
    """[B, L] tensors, as `work(logits_BLV, *beside_BL)` returns them.

    Where there are more than `LOGITS_AT_ONCE` logits, `work` is called with the positions of some
    at a time, as if they were one sequence: it must look at each position by itself.
    """
    shape = logits_BLV.shape[:-1]
    # A power of two divides most batches of windows: compiled code is made for one shape.
    most = max(1, LOGITS_AT_ONCE // logits_BLV.shape[-1])
    positions = 1 << (most.bit_length() - 1)
    if positions >= shape.numel():
        return work(logits_BLV, *beside_BL)
    parts = [one.flatten(0, 1)[None].split(positions, dim=1) for one in (logits_BLV, *beside_BL)]
    made = [work(*part) for part in zip(*parts, strict=True)]
    return tuple(torch.cat(one, dim=1).view(shape) for one in zip(*made, strict=True))
