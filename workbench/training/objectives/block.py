"""Block diffusion (BD3-LM, arXiv 2503.09573): autoregressive over blocks, masked diffusion inside.

A sequence of L tokens is cut into blocks of S. Each block is denoised given the clean blocks
before it, so the bound of a sequence is the sum of its blocks' bounds (equation 3 of arXiv
2511.03276 in each block). Blocks of 1 token leave nothing to diffuse: the bound is tight, the
exact left-to-right NLL. One block of L tokens is masked diffusion, with the same noise.

One forward pass over 2L inputs, the noisy sequence and then the clean one, gives all blocks at
once: a noisy token sees its own noisy block and the clean blocks before it, a clean token sees
the clean tokens of its own block and of those before.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Self

import torch
from torch import Tensor

from workbench.recipe import TrainingConfig, objective_facts
from workbench.training.hashing import hash_uniform
from workbench.training.masks import Rule, dense
from workbench.training.noise import NoiseSchedule, stratified_times
from workbench.training.objectives.base import (
    Corrupted,
    TokenBatch,
    View,
    Vocab,
    WindowNoise,
)
from workbench.training.objectives.mdlm import (
    ANSWER_KEY,
    MaskedDiffusion,
    importance_counts,
    noise_settings,
    place_uniforms,
    smallest,
)


class BlockDiffusion(MaskedDiffusion):
    """Masked diffusion of each block given the blocks before it.

    Noise is that of `MaskedDiffusion` with a block in the place of a sequence. Shape suffixes:
    K blocks a sequence, N = B * K blocks in all, sequence by sequence, S tokens a block.
    """

    facts = objective_facts("block")

    def __init__(
        self,
        vocab: Vocab,
        *,
        block_size: int,
        schedule: NoiseSchedule,
        weighting: str,
        seed: int,
        noise_samples: int = 1,
    ) -> None:
        super().__init__(
            vocab,
            schedule=schedule,
            weighting=weighting,
            seed=seed,
            noise_samples=noise_samples,
        )
        self.block_size = block_size

    @property
    def validation_estimator(self) -> str:
        return "nll" if self.block_size == 1 else self.facts.estimator

    @classmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> Self:
        assert training.block_size is not None
        return cls(vocab, block_size=training.block_size, **noise_settings(training))

    def answer_draws(self, n_draws: int) -> int:
        return 1 if self.block_size == 1 else n_draws  # nothing is random in a block of one

    def noise(
        self, batch: TokenBatch, position_B: Tensor, epoch_B: Tensor, sample_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Times [N] and masks [N, S]. Every block has a time of its own, stratified over the
        global batch for each place of a block in its sequence."""
        size, length = batch.batch_sample_G.numel(), batch.tokens_BL.shape[1]
        block_K = self._blocks(length, position_B.device)
        key_BK = position_B[:, None] + (block_K << 40)  # the first block's is the sequence's
        step_ = torch.full_like(key_BK, batch.step)
        uniforms_N = hash_uniform(self._time_key, step_, key_BK).flatten()
        t_N = stratified_times(uniforms_N, _strata(position_B, size, block_K), size)
        uniforms_BL = self.mask_uniforms(epoch_B, sample_B, length)
        return t_N, self.masked(uniforms_BL.view(-1, self.block_size), t_N)

    def validation_inputs(self, tokens_BL: Tensor, noise: WindowNoise) -> Corrupted:
        """Exactly k of a block's S tokens masked, k as for a sequence and stratified over the draws
        and the windows for each place of a block."""
        length, size = tokens_BL.shape[1], self.block_size
        block_K = self._blocks(length, tokens_BL.device)
        part_N = block_K.repeat(len(tokens_BL))
        strata_N = _strata(noise.place_B, noise.n_windows, block_K)
        turn_N = part_N * noise.n_draws // len(block_K)
        fraction_N = noise.fractions(strata_N, turn_N=turn_N, part=part_N)
        count_N, weight_N = importance_counts(fraction_N, size)
        uniforms_BL = place_uniforms(noise.key, noise.number_B, length)
        masked_NS = smallest(count_N, uniforms_BL.view(-1, size))
        return self._corrupted(tokens_BL, masked_NS, weight_N[:, None])

    def masked_together(self, length: int) -> int | None:
        return self.block_size

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        """As for a whole sequence, in each block that holds tokens of the answer: k of its m
        answer tokens masked, k uniform on 1..m and stratified over the draws, weight m/k."""
        (n_rows, length), device = tokens_BL.shape, tokens_BL.device
        block_K = self._blocks(length + -length % self.block_size, device)  # the last may be cut
        place_KS = torch.arange(len(block_K) * self.block_size, device=device)
        place_KS = place_KS.view(len(block_K), self.block_size)
        m_K = ((place_KS >= answer_start) & (place_KS < length)).sum(dim=1)
        # Blocks take different strata in one draw, and every stratum over all draws.
        stratum_K = (draw + block_K * n_draws // len(block_K)) % n_draws
        offset_BK = hash_uniform(ANSWER_KEY, question_B[:, None], -1 - block_K)
        fraction_BK = (stratum_K + offset_BK) / n_draws
        count_BK = torch.minimum((fraction_BK * m_K).long(), m_K - 1) + 1  # 0 where m is 0
        noise_B = question_B * n_draws + draw
        uniforms = tokens_BL.new_full((n_rows, place_KS.numel()), 2, dtype=torch.float32)
        uniforms[:, answer_start:length] = place_uniforms(
            ANSWER_KEY, noise_B, length - answer_start
        )
        masked_NS = smallest(count_BK.flatten(), uniforms.view(-1, self.block_size))
        weights_N = (m_K / count_BK.clamp(min=1)).flatten()
        weights_NS = weights_N[:, None].expand_as(masked_NS)
        masked_BL, weights_BL = (
            every_NS.reshape(n_rows, -1)[:, :length] for every_NS in (masked_NS, weights_NS)
        )
        return replace(self._corrupted(tokens_BL, masked_BL, weights_BL), first=answer_start)

    def _blocks(self, length: int, device: torch.device) -> Tensor:
        return torch.arange(length // self.block_size, device=device)

    def _corrupted(self, tokens_BL: Tensor, masked_BL: Tensor, weights_BL: Tensor) -> Corrupted:
        weights = (weights_BL * masked_BL).view_as(tokens_BL)
        noisy_BL = torch.where(masked_BL.view_as(tokens_BL), self.vocab.mask_id, tokens_BL)
        view = block_view(tokens_BL.shape[1], self.block_size, tokens_BL.device)
        return Corrupted(torch.cat([noisy_BL, tokens_BL], dim=1), tokens_BL, weights, view)


@lru_cache(maxsize=8)
def block_view(length: int, block_size: int, device: torch.device) -> View:
    """What the 2L inputs see of each other: the same for every batch."""
    rule = _rule(length, block_size)
    place_1T = torch.arange(length, device=device).repeat(2)[None]
    return View(place_1T, dense(rule, 2 * length, device), rule)


def _rule(length: int, block_size: int) -> Rule:
    def sees(sequence: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        block_i, block_j = i % length // block_size, j % length // block_size
        clean_i, clean_j = i >= length, j >= length
        return ((block_i == block_j) & (clean_i == clean_j)) | ((block_j < block_i) & clean_j)

    return sees


def _strata(index_B: Tensor, n: int, block_K: Tensor) -> Tensor:
    """[N] strata of 0..n-1, every one once for each place of a block. The blocks of a sequence
    lie evenly apart."""
    offset_K = block_K * n // len(block_K)
    return ((index_B[:, None] + offset_K) % n).flatten()
