"""Autoregressive language modelling (arXiv 2511.03276, equations 1 and 2).

Two ways of training it on masked inputs, which are never masked in evaluation:

`input_mask`       each input token is MASK with this probability (the paper's Figure 5).
`mask_aux_weight`  the NLL on clean inputs, and this weight times the NLL on masked ones
                   (masked-input regularisation, arXiv 2606.06888).
"""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from workbench.recipe import TrainingConfig, objective_facts
from workbench.training.hashing import hash_uniform, stream_key
from workbench.training.objectives.base import (
    Corrupted,
    Objective,
    TokenBatch,
    Vocab,
    WindowNoise,
)


class Autoregressive(Objective):
    """Teacher forcing. Position i predicts token i from BOS and the tokens before it, so that
    this objective and diffusion are scored on the same L tokens."""

    facts = objective_facts("ar")

    def __init__(
        self,
        vocab: Vocab,
        *,
        input_mask: float = 0.0,
        mask_aux_weight: float = 0.0,
        noise_samples: int = 1,
        seed: int = 0,
    ) -> None:
        """Args:
        input_mask: probability that an input token is MASK in training.
        mask_aux_weight: 0 trains on masked inputs alone; above, on clean ones and, with this
            weight, on masked ones.
        """
        self.vocab = vocab
        self.input_mask = input_mask
        self.mask_aux_weight = mask_aux_weight
        self.noise_samples = noise_samples
        self._mask_key = stream_key("input_mask", seed)

    @classmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> Self:
        return cls(
            vocab,
            input_mask=training.input_mask or 0.0,
            mask_aux_weight=training.mask_aux_weight or 0.0,
            noise_samples=training.noise_samples or 1,
            seed=training.seed,
        )

    @property
    def train_estimator(self) -> str:
        if not self.input_mask:
            return "nll"
        clean = f"nll+{self.mask_aux_weight:g}*" if self.mask_aux_weight else ""
        samples = f"/samples={self.noise_samples}" if self.noise_samples > 1 else ""
        return f"{clean}nll/input_mask={self.input_mask:g}{samples}"

    def _shift(self, tokens_BL: Tensor) -> Tensor:
        bos_B1 = tokens_BL.new_full((tokens_BL.shape[0], 1), self.vocab.bos_id)
        return torch.cat([bos_B1, tokens_BL[:, :-1]], dim=1)

    def masks(self, epoch_B: Tensor, sample_B: Tensor, length: int) -> Tensor:
        """[B, L] true where an input is MASK, keyed by (seed, epoch, sample, place); never BOS."""
        place_L = torch.arange(length, device=epoch_B.device)
        uniforms_BL = hash_uniform(
            self._mask_key, epoch_B[:, None], sample_B[:, None], place_L[None, :]
        )
        return (uniforms_BL < self.input_mask) & (place_L > 0)

    def corrupt(self, batch: TokenBatch) -> Corrupted:
        inputs_BL = self._shift(batch.tokens_BL)
        if self.input_mask:
            masked_BL = self.masks(batch.epoch_B, batch.sample_B, inputs_BL.shape[1])
            inputs_BL = torch.where(masked_BL, self.vocab.mask_id, inputs_BL)
        return Corrupted(inputs_BL, batch.tokens_BL, None)

    def training_inputs(self, batch: TokenBatch) -> Corrupted:
        masked = super().training_inputs(batch)
        if not self.mask_aux_weight:
            return masked
        # Both losses in one forward pass: the clean sequences, then the masked ones.
        clean_BL = self._shift(batch.tokens_BL)
        weights_BL = masked.weights_BL
        if weights_BL is None:
            weights_BL = torch.ones_like(masked.targets_BL, dtype=torch.float32)
        ones_BL = torch.ones_like(clean_BL, dtype=torch.float32)
        return replace(
            masked,
            inputs_BL=torch.cat([clean_BL, masked.inputs_BL]),
            targets_BL=torch.cat([batch.tokens_BL, masked.targets_BL]),
            weights_BL=torch.cat([ones_BL, weights_BL * self.mask_aux_weight]),
        )

    def validation_inputs(self, tokens_BL: Tensor, noise: WindowNoise) -> Corrupted:
        return Corrupted(self._shift(tokens_BL), tokens_BL, None)

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        weights_BL = torch.zeros_like(tokens_BL, dtype=torch.float32)
        weights_BL[:, answer_start:] = 1.0
        return Corrupted(self._shift(tokens_BL), tokens_BL, weights_BL, first=answer_start)

    def answer_draws(self, n_draws: int) -> int:
        return 1
