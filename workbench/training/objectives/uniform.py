"""Uniform-state diffusion: noise puts a random token in a token's place, and never MASK (UDLM,
arXiv 2412.10193; Duo, arXiv 2506.10892).

At a level of noise a token is clean or drawn from all, and the network predicts at every place what
the token was. The bound of -log p in continuous time is the expectation, over levels and noise, of
a sum over all places (`training.divergence`), each weighted by the rate at which noise arrives at
what is seen there, over the chance of seeing it. It is minimal where position i predicts token i
from all other places, whatever stands at i itself.

A random token at little noise is rare, and counts as much more: of the loss at times that are drawn
evenly the variance has no limit. So times are a power of even fractions, and what is seen at them
counts as much less: the expectation stays.

The network takes no time, as under every objective here: it has to judge by the text how noisy it
is. The bound holds for any network, so it stays a bound, if a looser one: the best prediction does
depend on the level, where under masks alone it does not. UDLM and GIDD give theirs the time.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from workbench.recipe import objective_facts
from workbench.training.divergence import Noised
from workbench.training.hashing import hash_below, hash_uniform, stream_key
from workbench.training.noise import Mixing, NoiseSchedule, drawn_alone
from workbench.training.objectives.base import Corrupted, TokenBatch, Vocab, WindowNoise
from workbench.training.objectives.mdlm import (
    ANSWER_KEY,
    CLAMP,
    MaskedDiffusion,
    place_uniforms,
)

_LEVELS = 2.0**-60, 1 - 2.0**-20
"""The lowest and the highest. Where no token could be noise, or none clean, weights have no limit,
and what is beyond counts nothing: a share of the bound of some 1e-6."""
_TOKENS = -2  # the counter of drawn tokens, where a key is also that of the places


class UniformDiffusion(MaskedDiffusion):
    """Denoising of tokens of which some are random. Position i predicts token i."""

    facts = objective_facts("uniform")

    def __init__(
        self,
        vocab: Vocab,
        *,
        schedule: NoiseSchedule,
        weighting: str,
        seed: int,
        noise_samples: int = 1,
    ) -> None:
        super().__init__(
            vocab, schedule=schedule, weighting=weighting, seed=seed, noise_samples=noise_samples
        )
        self.marginals: Mixing = drawn_alone
        self.power = 2.0
        """Of a fraction, that gives a time. With a chance of t^a of a random token at time t, which
        counts 1 / t there, the variance is finite above 1 / a."""
        self._token_key = stream_key("drawn token", seed)

    def corrupt(self, batch: TokenBatch) -> Corrupted:
        length = batch.tokens_BL.shape[1]
        t_B = self.times(batch.step, batch.position_B, batch.batch_sample_G.numel())
        place_L = torch.arange(length, device=t_B.device)
        drawn_BL = hash_below(
            self.vocab.n_tokens,
            self._token_key,
            *(batch.epoch_B[:, None], batch.sample_B[:, None], place_L[None, :]),
        )
        uniforms_BL = self.mask_uniforms(batch.epoch_B, batch.sample_B, length)
        given = batch.tokens_BL, t_B, uniforms_BL, drawn_BL
        if self.weighting == "clamped":
            return self.noised(*given, most=CLAMP)
        return self.noised(*given, power=self.power)

    def noised(
        self,
        tokens_BL: Tensor,
        fraction_B: Tensor,
        uniforms_BL: Tensor,
        drawn_BL: Tensor,
        *,
        power: float = 1.0,
        most: float = math.inf,
    ) -> Corrupted:
        """Inputs and weights at times of the noise schedule.

        Args:
            fraction_B: times are their `power`.
            uniforms_BL: the lowest mask a token, those above put the drawn one in its place.
            most: the largest weight. Where there is one, the loss is no bound.
        """
        t_B = fraction_B**power
        density_B = power * fraction_B ** (power - 1)
        level_B = self.schedule.move_chance(t_B).clamp(*_LEVELS)
        at = self.marginals(level_B[:, None])
        each_B1 = at.drawn / self.vocab.n_tokens
        inputs_BL = torch.where(uniforms_BL < at.mask + at.drawn, drawn_BL, tokens_BL)
        masked_BL = uniforms_BL < at.mask
        inputs_BL = torch.where(masked_BL, self.vocab.mask_id, inputs_BL)
        rate_B1 = (density_B * self.schedule.rate(t_B))[:, None]
        right_B1 = at.drawn_rate / self.vocab.n_tokens / (at.clean + each_B1)
        weights_BL = torch.where(inputs_BL == tokens_BL, right_B1, at.drawn_rate / at.drawn)
        weights_BL = torch.where(masked_BL, at.mask_rate / at.mask, weights_BL)
        weights_BL = weights_BL.clamp(max=most)
        noised = Noised(
            at.clean.float().expand_as(tokens_BL), each_B1.float().expand_as(tokens_BL), inputs_BL
        )
        return Corrupted(inputs_BL, tokens_BL, (rate_B1 * weights_BL).float(), noised=noised)

    def counted(self, batch: TokenBatch) -> int | None:
        return None

    def masked_together(self, length: int) -> int | None:
        return None

    def validation_inputs(self, tokens_BL: Tensor, noise: WindowNoise) -> Corrupted:
        n, length = self.vocab.n_tokens, tokens_BL.shape[1]
        uniforms_BL = place_uniforms(noise.key, noise.number_B, length)
        drawn_BL = _drawn(n, noise.key, noise.number_B, length)
        fraction_B = noise.fractions()
        return self.noised(tokens_BL, fraction_B, uniforms_BL, drawn_BL, power=self.power)

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        """Noise on the answer alone. The bound is that of the reverse process that finds the
        context clean; training shows no such text, its noise being everywhere."""
        n_answer = tokens_BL.shape[1] - answer_start
        # The draws of one question share an offset, and so stratify the times.
        offset_B = hash_uniform(ANSWER_KEY, question_B, torch.full_like(question_B, -1)).double()
        noise_B = question_B * n_draws + draw
        uniforms_BL = tokens_BL.new_full(tokens_BL.shape, 2, dtype=torch.float32)
        uniforms_BL[:, answer_start:] = place_uniforms(ANSWER_KEY, noise_B, n_answer)
        drawn_BL = torch.zeros_like(tokens_BL)
        drawn_BL[:, answer_start:] = _drawn(self.vocab.n_tokens, ANSWER_KEY, noise_B, n_answer)
        fraction_B = (draw + offset_B) / n_draws
        corrupted = self.noised(tokens_BL, fraction_B, uniforms_BL, drawn_BL, power=self.power)
        assert corrupted.weights_BL is not None
        corrupted.weights_BL[:, :answer_start] = 0
        return replace(corrupted, first=answer_start)


def _drawn(n_tokens: int, key: int, noise_B: Tensor, length: int) -> Tensor:
    """[B, length] tokens, one a place, keyed by (key, noise, place)."""
    place_L = torch.arange(length, device=noise_B.device)
    kind = torch.full_like(place_L, _TOKENS)
    return hash_below(n_tokens, key, noise_B[:, None], place_L[None, :], kind[None, :])
