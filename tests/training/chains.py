"""Diffusion whose noise masks and replaces tokens, by enumeration of every noisy text: what its
bound and its sampler must come to.

Shape suffixes: X texts, Z noisy texts, L places, V tokens, S states of a place: tokens and MASK.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from tests.training.toy import VOCAB, V
from workbench.training.noise import Mixing

S = V + 1
Predictions = Tensor | Callable[[Tensor], Tensor]
"""[Z, L, V] what a network predicts of every noisy text, or that from a level of noise."""


class Chain:
    """All texts of a length under one kind of noise."""

    def __init__(self, mixing: Mixing, length: int) -> None:
        self.mixing, self.length = mixing, length
        self.texts_XL = torch.tensor(list(itertools.product(range(V), repeat=length)))
        self.noisy_ZL = torch.tensor(list(itertools.product(range(S), repeat=length)))

    @torch.no_grad()
    def predictions(self, model: nn.Module) -> Tensor:
        """[Z, L, V] in float64."""
        shown = torch.where(self.noisy_ZL == V, VOCAB.mask_id, self.noisy_ZL)
        predicted: Tensor = model(shown)[..., :V].double().softmax(-1)
        return predicted

    def level(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The chance that a token is clean, and [S] those of what noise puts in its place."""
        at = self.mixing(t)
        drawn = (at.drawn / V).expand(V)
        return at.clean, torch.cat([drawn, at.mask[None]])

    def under_noise(self, p_V: Tensor, t: Tensor) -> Tensor:
        """[..., S] the distribution of a token under noise, from that of the token, [..., V]."""
        clean, noise_S = self.level(t)
        return torch.nn.functional.pad(clean * p_V, (0, 1)) + noise_S

    def seen_XZ(self, t: Tensor) -> Tensor:
        """The chance of every noisy text, given the text."""
        law_VS = self.under_noise(torch.eye(V, dtype=torch.float64), t)
        return law_VS[self.texts_XL[:, None], self.noisy_ZL[None]].prod(-1)

    def bound(self, predicted: Predictions, nodes: int = 60) -> Tensor:
        """[X] the bound in continuous time, by quadrature over u of times sin(pi u / 2)^4: with the
        roots and logarithms that there are at both ends, the integrand is smooth in u."""
        x, w = np.polynomial.legendre.leggauss(nodes)
        total = torch.zeros(len(self.texts_XL), dtype=torch.float64)
        for angle, weight in zip((x + 1) * np.pi / 4, w * np.pi / 4, strict=True):
            t = torch.tensor(np.sin(angle) ** 4, dtype=torch.float64)
            p_ZLV = predicted if isinstance(predicted, Tensor) else predicted(t)
            total += (
                weight * 4 * np.sin(angle) ** 3 * np.cos(angle) * self._rate_of_divergence(p_ZLV, t)
            )
        return total

    def _rate_of_divergence(self, p_ZLV: Tensor, t: Tensor) -> Tensor:
        """[X] from the rates of the two reverse chains: sum over states s that z came from of
        r log(r / r') - r + r', r being the rate given the text and r' the network's."""
        at = self.mixing(t)
        arriving_S = torch.cat([(at.drawn_rate / V).expand(V), at.mask_rate[None]])
        a_VS = self.under_noise(torch.eye(V, dtype=torch.float64), t)
        b_ZLS = self.under_noise(p_ZLV, t)
        z_ZL1 = self.noisy_ZL[:, :, None]
        ratio_ZLS = b_ZLS / b_ZLS.gather(2, z_ZL1)
        a_XZLS = a_VS[self.texts_XL][:, None].expand(-1, len(self.noisy_ZL), -1, -1)
        z_XZL1 = z_ZL1[None].expand(len(self.texts_XL), -1, -1, -1)
        true_XZLS = a_XZLS / a_XZLS.gather(3, z_XZL1)
        cost_XZLS = torch.xlogy(true_XZLS, true_XZLS / ratio_ZLS) - true_XZLS + ratio_ZLS
        cost_XZLS = cost_XZLS.nan_to_num(nan=0.0)  # states that never occur
        cost_XZ = (arriving_S[self.noisy_ZL] * cost_XZLS.sum(-1)).sum(-1)
        return (self.seen_XZ(t) * cost_XZ.nan_to_num(nan=0.0)).sum(-1)

    def step(self, p_ZLV: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """[Z, L, S] the sampler's law of each place at s, given a noisy text at t."""
        (clean_t, noise_t), (clean_s, noise_s) = self.level(t), self.level(s)
        left = clean_t / clean_s
        arriving_ZL = (noise_t - left * noise_s)[self.noisy_ZL]
        stayed_ZLS = torch.nn.functional.one_hot(self.noisy_ZL, S) * left
        law = (stayed_ZLS + arriving_ZL[..., None]) * self.under_noise(p_ZLV, s)
        return law / law.sum(-1, keepdim=True).clamp(min=1e-300)

    def sampled(self, p_ZLV: Tensor, times: Tensor, known: dict[int, int] | None = None) -> Tensor:
        """[Z] the distribution after steps through these times, from 1 to 0; `known` places are
        clean all along."""
        start_S = self.level(times[0])[1]
        law_Z = self._restricted(start_S[self.noisy_ZL], known).prod(-1)
        for t, s in itertools.pairwise(times):
            by_place_ZLS = self.step(p_ZLV, t, s)
            to_ZZL = by_place_ZLS.gather(
                2, self.noisy_ZL.T[None].expand(len(self.noisy_ZL), -1, -1)
            ).transpose(1, 2)
            law_Z = law_Z @ self._restricted(to_ZZL, known).prod(-1)
        return law_Z

    def _restricted(self, chances: Tensor, known: dict[int, int] | None) -> Tensor:
        """[..., Z, L] where known places have one state."""
        chances = chances.clone()
        for place, token in (known or {}).items():
            chances[..., place] = (self.noisy_ZL[:, place] == token).double()
        return chances

    def discrete_bound(self, p_ZLV: Tensor, steps: int) -> Tensor:
        """[X] the bound of the sampler of so many steps, term by term: KL of its step from that
        given the text."""
        times = 1 - torch.arange(steps + 1, dtype=torch.float64) / steps
        total = torch.zeros(len(self.texts_XL), dtype=torch.float64)
        known_VV = torch.eye(V, dtype=torch.float64)
        for t, s in itertools.pairwise(times):
            ours_ZLS = self.step(p_ZLV, t, s)
            # Given token x at every place: [V, Z, L, S], of which each text takes its own.
            theirs = torch.stack([self.step(x_V.expand_as(p_ZLV), t, s) for x_V in known_VV])
            kl_VZL = torch.xlogy(theirs, theirs / ours_ZLS).nan_to_num(nan=0.0).sum(-1)
            place_L = torch.arange(self.length)
            kl_XLZ = kl_VZL.transpose(1, 2)[self.texts_XL, place_L[None, :]]
            total += (self.seen_XZ(t) * kl_XLZ.sum(1)).sum(-1)
        return total

    def text_index(self) -> Tensor:
        """[X] where each text stands among the noisy ones."""
        radix = torch.tensor([S**i for i in reversed(range(self.length))])
        return (self.texts_XL * radix).sum(-1)
