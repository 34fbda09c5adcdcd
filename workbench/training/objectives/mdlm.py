"""Masked (absorbing) diffusion (arXiv 2511.03276, equation 3; LLaDA, MDLM).

The bound on a sequence's NLL is E_t E_{x_t} [ w(t) sum_{masked} -log p(x_0 | x_t) ]. Four
weightings of the masked positions' losses are known:

`elbo_t`        w(t), the bound as written.
`elbo_realized` rate(t) * L / (number masked): the expected number masked is replaced by the
                realised one. For the linear schedule this is the mean over a sequence's masked
                tokens, which is the order-agnostic bound up to O(1/L), at a far lower variance.
`maskgit`       1 / (fraction masked in the global batch): the unweighted mean over all masked
                tokens. Not a bound.
`clamped`       the weights of GIDD's form of the bound (arXiv 2503.04482), of which a place's NLL
                is one part, at most `CLAMP`. Not a bound.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from workbench.recipe import TrainingConfig, objective_facts
from workbench.training.hashing import hash_uniform, stream_key
from workbench.training.noise import SCHEDULES, NoiseSchedule, stratified_times
from workbench.training.objectives.base import (
    Corrupted,
    Objective,
    TokenBatch,
    Vocab,
    WindowNoise,
    repeated,
)


class MaskedDiffusion(Objective):
    """Bidirectional denoising of randomly masked tokens. Position i predicts token i."""

    facts = objective_facts("mdlm")

    def __init__(
        self,
        vocab: Vocab,
        *,
        schedule: NoiseSchedule,
        weighting: str,
        seed: int,
        noise_samples: int = 1,
    ) -> None:
        self.vocab = vocab
        self.schedule = schedule
        self.weighting = weighting
        self.noise_samples = noise_samples
        self._weigh = WEIGHTINGS[weighting]
        self._time_key = stream_key("time", seed)
        self._mask_key = stream_key("mask", seed)

    @classmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> "MaskedDiffusion":
        return cls(vocab, **noise_settings(training))

    @property
    def train_estimator(self) -> str:
        return self.weighting + (f"/samples={n}" if (n := self.noise_samples) > 1 else "")

    def times(self, step: int, position_B: Tensor, batch_size: int) -> Tensor:
        """[B] noise levels of a step, keyed by (seed, step, position in the global batch)."""
        step_ = torch.full_like(position_B, step)
        uniforms = hash_uniform(self._time_key, step_, position_B)
        return stratified_times(uniforms, position_B, batch_size)

    def mask_uniforms(self, epoch_B: Tensor, sample_B: Tensor, length: int) -> Tensor:
        """[B, L] uniforms, keyed by (seed, epoch, sample, place)."""
        place_L = torch.arange(length, device=epoch_B.device)
        return hash_uniform(self._mask_key, epoch_B[:, None], sample_B[:, None], place_L[None, :])

    def masks(self, t_B: Tensor, epoch_B: Tensor, sample_B: Tensor, length: int) -> Tensor:
        """[B, L] true where a token is masked."""
        return self.masked(self.mask_uniforms(epoch_B, sample_B, length), t_B)

    def masked(self, uniforms_BL: Tensor, t_B: Tensor) -> Tensor:
        """[B, L] true where a token's uniform lies below its sequence's chance."""
        masked_BL = uniforms_BL < self.schedule.move_chance(t_B)[:, None]
        if self._weigh is _elbo_realized:
            # A mean over no tokens is undefined: mask at least the likeliest one.
            first_BL = one_hot(uniforms_BL.argmin(dim=1), uniforms_BL.shape[1]).bool()
            masked_BL = torch.where(masked_BL.any(dim=1, keepdim=True), masked_BL, first_BL)
        return masked_BL

    def noise(
        self, batch: TokenBatch, position_B: Tensor, epoch_B: Tensor, sample_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Times [B] and masks [B, L] of some sequences of a batch, distinguished by their keys."""
        t_B = self.times(batch.step, position_B, batch.batch_sample_G.numel())
        return t_B, self.masks(t_B, epoch_B, sample_B, batch.tokens_BL.shape[1])

    def corrupt(self, batch: TokenBatch) -> Corrupted:
        t_B, masked_BL = self.noise(batch, batch.position_B, batch.epoch_B, batch.sample_B)
        weights_BL = self._weigh(self, t_B, masked_BL, batch)
        return self._corrupted(batch.tokens_BL, masked_BL, weights_BL)

    def counted(self, batch: TokenBatch) -> int | None:
        if type(self).corrupt is not MaskedDiffusion.corrupt:
            return None  # a plug-in's may count what is not masked
        if self.noise_samples > 1:
            batch = repeated(batch, self.noise_samples)
        _, masked_BL = self.noise(batch, batch.position_B, batch.epoch_B, batch.sample_B)
        return int(masked_BL.sum())

    def _corrupted(self, tokens_BL: Tensor, masked_BL: Tensor, weights_BL: Tensor) -> Corrupted:
        inputs_BL = torch.where(masked_BL, self.vocab.mask_id, tokens_BL)
        return Corrupted(inputs_BL, tokens_BL, weights_BL * masked_BL)

    def validation_inputs(self, tokens_BL: Tensor, noise: WindowNoise) -> Corrupted:
        """Exactly k of the L tokens masked, k drawn and weighted by `importance_counts`."""
        length = tokens_BL.shape[1]
        count_B, weight_B = importance_counts(noise.fractions(), length)
        masked_BL = smallest(count_B, place_uniforms(noise.key, noise.number_B, length))
        return self._corrupted(tokens_BL, masked_BL, weight_B[:, None])

    def masked_together(self, length: int) -> int | None:
        return length

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        n_answer = tokens_BL.shape[1] - answer_start
        # The draws of one question share an offset, and so stratify the number masked.
        offset_B = hash_uniform(ANSWER_KEY, question_B, torch.full_like(question_B, -1))
        count_B = counts((draw + offset_B) / n_draws, n_answer)
        noise_B = question_B * n_draws + draw
        masked_BA = smallest(count_B, place_uniforms(ANSWER_KEY, noise_B, n_answer))
        context = tokens_BL.new_zeros((tokens_BL.shape[0], answer_start), dtype=torch.bool)
        masked_BL = torch.cat([context, masked_BA], dim=1)
        corrupted = self._corrupted(tokens_BL, masked_BL, (n_answer / count_B)[:, None])
        return replace(corrupted, first=answer_start)


ANSWER_KEY = stream_key("answer")
CLAMP = 2.0
"""The largest weight in GIDD's released configuration (`max_loss_weight`)."""


def noise_settings(training: TrainingConfig) -> dict[str, Any]:
    """What `[training]` says about noise, as arguments of `MaskedDiffusion`."""
    assert training.noise_schedule is not None
    assert training.loss_weighting is not None
    return {
        "schedule": SCHEDULES[training.noise_schedule],
        "weighting": training.loss_weighting,
        "seed": training.seed,
        "noise_samples": training.noise_samples or 1,
    }


def counts(fraction_B: Tensor, length: int) -> Tensor:
    """[B] numbers of tokens to mask: uniform on 1..length where fractions are uniform on (0, 1)."""
    return (fraction_B * length).long().clamp(max=length - 1) + 1


def importance_counts(fraction_B: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """[B] numbers of tokens to mask, and what each masked token's NLL counts, to estimate the bound
    of sequences of `length` tokens.

    The bound is the mean over k = 1..L of L times the mean NLL of k masked tokens. Few masked
    tokens scatter most, so k is drawn with a chance q(k) in proportion to 1/sqrt(k), and weighted
    by L/k * (1/L) / q(k): the expectation is the same.
    """
    chance_L = torch.arange(1, length + 1, dtype=torch.float64, device=fraction_B.device) ** -0.5
    chance_L /= chance_L.sum()
    index_B = torch.searchsorted(chance_L.cumsum(0), fraction_B).clamp(max=length - 1)
    count_B = index_B + 1
    return count_B, (1 / (count_B * chance_L[index_B])).float()


def place_uniforms(key: int, noise_B: Tensor, length: int) -> Tensor:
    """[B, length] uniforms, one a place, keyed by (key, noise, place)."""
    place_L = torch.arange(length, device=noise_B.device)
    return hash_uniform(key, noise_B[:, None], place_L[None, :])


def smallest(count_B: Tensor, uniforms_BL: Tensor) -> Tensor:
    """[B, L] true at the places of the `count_B` smallest: each set of that size is as likely."""
    rank_BL = uniforms_BL.argsort(dim=1, stable=True).argsort(dim=1)
    return rank_BL < count_B[:, None]


def _elbo_t(objective: MaskedDiffusion, t_B: Tensor, masked_BL: Tensor, _: TokenBatch) -> Tensor:
    return objective.schedule.weight(t_B)[:, None]


def _elbo_realized(
    objective: MaskedDiffusion, t_B: Tensor, masked_BL: Tensor, _: TokenBatch
) -> Tensor:
    n_masked_B = masked_BL.sum(dim=1)
    return (objective.schedule.rate(t_B) * masked_BL.shape[1] / n_masked_B)[:, None]


def _maskgit(
    objective: MaskedDiffusion, t_B: Tensor, masked_BL: Tensor, batch: TokenBatch
) -> Tensor:
    """The mean is over the masked tokens of the global batch. Masks are a pure function of their
    counters, so each rank counts them all itself and no rank has to ask another."""
    size, length = batch.batch_sample_G.numel(), batch.tokens_BL.shape[1]
    position_G = torch.arange(size, device=t_B.device)
    _, masked_GL = objective.noise(batch, position_G, batch.batch_epoch_G, batch.batch_sample_G)
    return (size * length / masked_GL.sum().clamp(min=1)).expand(t_B.shape[0], 1)


def _clamped(objective: MaskedDiffusion, t_B: Tensor, masked_BL: Tensor, _: TokenBatch) -> Tensor:
    """There a masked place costs (1 - level) NLL, 1 / (level (1 - level)) times."""
    level_B = objective.schedule.move_chance(t_B)
    most_B = torch.minimum(1 / level_B, CLAMP * (1 - level_B))
    return (objective.schedule.rate(t_B) * most_B)[:, None]


WEIGHTINGS: dict[str, Callable[[MaskedDiffusion, Tensor, Tensor, TokenBatch], Tensor]] = {
    "elbo_t": _elbo_t,
    "elbo_realized": _elbo_realized,
    "maskgit": _maskgit,
    "clamped": _clamped,
}
