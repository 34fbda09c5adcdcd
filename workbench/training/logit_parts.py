"""Work on logits a few positions at a time: what it makes of them in float32 stays small."""

from collections.abc import Callable

import torch
from torch import Tensor

from workbench.recipe.kernels import scored_positions


def in_parts(
    work: Callable[..., tuple[Tensor, ...]], logits_BLV: Tensor, *beside_BL: Tensor
) -> tuple[Tensor, ...]:
    """[B, L] tensors, as `work(logits_BLV, *beside_BL)` returns them.

    Where there are many logits, `work` is called with those of some positions at a time, as if they
    were one sequence: it must look at each position by itself.
    """
    shape = logits_BLV.shape[:-1]
    positions = scored_positions(logits_BLV.shape[-1])
    if positions >= shape.numel():
        return work(logits_BLV, *beside_BL)
    parts = [one.flatten(0, 1)[None].split(positions, dim=1) for one in (logits_BLV, *beside_BL)]
    made = [work(*part) for part in zip(*parts, strict=True)]
    return tuple(torch.cat(one, dim=1).view(shape) for one in zip(*made, strict=True))
