"""Order-agnostic autoregressive diffusion (Hoogeboom et al. 2022, arXiv 2110.02037, section 3).

A model that predicts any token from any set of others has, along an order of the L places, the
chain rule's NLL. The mean over all orders bounds the NLL of their mixture from above (Jensen), and
it can be written as

    E_k E_M [ L/k * sum_{i in M} -log p(x_i | x outside M) ],   k uniform on 1..L,  |M| = k,

with every set M of k places as likely: the first place of an order's last k is any of them. So a
training step masks exactly k tokens of each sequence and weighs their losses by L/k. Masked
diffusion (`mdlm`) has the same bound, but there the number masked is random at each time.

Shape suffixes: B sequences, L tokens a sequence, A tokens of an answer.
"""

from typing import Self

import torch
from torch import Tensor

from workbench.recipe import TrainingConfig
from workbench.training.hashing import hash_uniform, stream_key
from workbench.training.objectives.base import (
    Corrupted,
    Objective,
    TokenBatch,
    Vocab,
    WindowNoise,
)
from workbench_example import ARDM

_ANSWER = stream_key("ardm answer")  # answers see the same noise whatever the training seed is


class OrderAgnostic(Objective):
    """Bidirectional prediction of k masked tokens, k uniform. Position i predicts token i."""

    facts = ARDM.facts

    def __init__(self, vocab: Vocab, *, seed: int, noise_samples: int = 1) -> None:
        self.vocab = vocab
        self.noise_samples = noise_samples
        self._key = stream_key("ardm", seed)

    @classmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> Self:
        return cls(vocab, seed=training.seed, noise_samples=training.noise_samples or 1)

    @property
    def train_estimator(self) -> str:
        return "nelbo" + (f"/samples={self.noise_samples}" if self.noise_samples > 1 else "")

    def corrupt(self, batch: TokenBatch) -> Corrupted:
        """Noise keyed by seed, step and places alone: the same on any number of ranks."""
        step_B = torch.full_like(batch.position_B, batch.step)
        shift_B = hash_uniform(self._key, step_B, batch.position_B)
        n_global = batch.batch_sample_G.numel()
        count_B = counts((batch.position_B + shift_B.double()) / n_global, batch.tokens_BL.shape[1])
        keys = batch.epoch_B[:, None], batch.sample_B[:, None]
        return self._masked(batch.tokens_BL, 0, count_B, self._key, *keys)

    def validation_inputs(self, tokens_BL: Tensor, noise: WindowNoise) -> Corrupted:
        """The number masked is stratified over a window's draws and over all windows."""
        count_B = counts(noise.fractions(), tokens_BL.shape[1])
        return self._masked(tokens_BL, 0, count_B, noise.key, noise.number_B[:, None])

    def masked_together(self, length: int) -> int | None:
        return length

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        """The same bound for the answer alone, the context clean."""
        shift_B = hash_uniform(_ANSWER, question_B, torch.full_like(question_B, -1))
        count_B = counts((draw + shift_B.double()) / n_draws, tokens_BL.shape[1] - answer_start)
        noise_B1 = (question_B * n_draws + draw)[:, None]
        return self._masked(tokens_BL, answer_start, count_B, _ANSWER, noise_B1)

    def _masked(
        self, tokens_BL: Tensor, start: int, count_B: Tensor, key: int, *counters: Tensor
    ) -> Corrupted:
        """Mask `count_B` places from `start` on, each set of them as likely."""
        n_open = tokens_BL.shape[1] - start
        place_A = torch.arange(n_open, device=tokens_BL.device)
        uniforms_BA = hash_uniform(key, *counters, place_A[None, :])
        rank_BA = uniforms_BA.argsort(dim=1, stable=True).argsort(dim=1)
        masked_BL = torch.zeros_like(tokens_BL, dtype=torch.bool)
        masked_BL[:, start:] = rank_BA < count_B[:, None]
        inputs_BL = torch.where(masked_BL, self.vocab.mask_id, tokens_BL)
        return Corrupted(inputs_BL, tokens_BL, masked_BL * (n_open / count_B[:, None]).float())


def counts(fraction_B: Tensor, length: int) -> Tensor:
    """[B] whole numbers 1..length, uniform where the fractions are uniform on (0, 1)."""
    return (fraction_B * length).long().clamp(max=length - 1) + 1
