"""How much a masked estimate scatters because other tokens might have been masked.

The draws of one window cannot be compared for this: they mask different numbers of tokens by
design, and windows differ in how much that costs. But of a group of S tokens exactly k are masked,
each set of k as likely, so that their mean is that of a simple random sample, whose variance one
sample shows: (1 - k/S) s^2 / k (Cochran 1977, section 2.6). The NLL of a token also depends on
which others are masked, the more so the more are: on trained models a share of about k/S more. So
the variance taken is (1 + k/S) (1 - k/S) s^2 / k.

Shape suffixes: B windows, L tokens a window, K groups a window, S tokens a group.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_FEW = 8


@dataclass(frozen=True)
class MaskNoise:
    """The variance of one draw's sum over each window, in two parts."""

    known_B: Tensor
    """Of groups with two masked tokens or more."""
    single_B: Tensor
    """Of groups with one: to be multiplied by the variance of a token in the others."""
    token_variance_B: Tensor
    """Summed over a window's groups with few masked tokens, but two or more; for the mean of
    `single_B`'s factor."""
    groups_B: Tensor
    """How many those are."""

    def stacked(self) -> Tensor:
        """[B, 4]"""
        parts = (self.known_B, self.single_B, self.token_variance_B, self.groups_B)
        return torch.stack(parts, dim=1)


def mask_noise(nll_BL: Tensor, weights_BL: Tensor, size: int) -> MaskNoise:
    """The noise of sum(weights * nll) over each window.

    Args:
        nll_BL: what is summed, each token's own part, not weighted.
        weights_BL: the same for all masked tokens of a group, and 0 where a token is not masked.
        size: S, tokens of a group.
    """
    n = len(nll_BL)
    weights_BKS = weights_BL.double().view(n, -1, size)
    masked_BKS = weights_BKS > 0
    count_BK = masked_BKS.sum(dim=2)
    values_BKS = nll_BL.view(n, -1, size) * masked_BKS
    mean_BK = values_BKS.sum(dim=2) / count_BK.clamp(min=1)
    squares_BK = ((values_BKS - mean_BK[:, :, None]) ** 2 * masked_BKS).sum(dim=2)
    variance_BK = squares_BK / (count_BK - 1).clamp(min=1)
    scale_BK = weights_BKS.amax(dim=2) ** 2 * count_BK * (1 - (count_BK / size) ** 2)
    several_BK = count_BK > 1
    few_BK = several_BK & (count_BK <= _FEW)
    return MaskNoise(
        known_B=(scale_BK * variance_BK * several_BK).sum(dim=1),
        single_B=(scale_BK * (count_BK == 1)).sum(dim=1),
        token_variance_B=(variance_BK * few_BK).sum(dim=1),
        groups_B=few_BK.sum(dim=1).double(),
    )


def total_variance(parts_ND4: Tensor) -> Tensor:
    """[N, D] variances from `MaskNoise.stacked` of N windows and D draws."""
    known_ND, single_ND, variance_ND, groups_ND = parts_ND4.unbind(dim=-1)
    a_token = variance_ND.sum() / groups_ND.sum().clamp(min=1)
    return known_ND + single_ND * a_token
