"""Autoregressive language modelling (arXiv 2511.03276, equations 1 and 2)."""

from typing import Self

import torch
from torch import Tensor

from workbench.recipe import TrainingConfig
from workbench.training.objectives.base import Corrupted, Objective, TokenBatch, Vocab


class Autoregressive(Objective):
    """Teacher forcing. Position i predicts token i from BOS and the tokens before it, so that
    this objective and diffusion are scored on the same L tokens."""

    name = "ar"
    causal = True
    validation_estimator = "nll"

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    @classmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> Self:
        return cls(vocab)

    @property
    def train_estimator(self) -> str:
        return "nll"

    def _shift(self, tokens_BL: Tensor) -> Tensor:
        bos_B1 = tokens_BL.new_full((tokens_BL.shape[0], 1), self.vocab.bos_id)
        return torch.cat([bos_B1, tokens_BL[:, :-1]], dim=1)

    def corrupt(self, batch: TokenBatch) -> Corrupted:
        return Corrupted(self._shift(batch.tokens_BL), batch.tokens_BL, None)

    def validation_inputs(self, tokens_BL: Tensor, window_B: Tensor, n_windows: int) -> Corrupted:
        return Corrupted(self._shift(tokens_BL), tokens_BL, None)

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        weights_BL = torch.zeros_like(tokens_BL, dtype=torch.float32)
        weights_BL[:, answer_start:] = 1.0
        return Corrupted(self._shift(tokens_BL), tokens_BL, weights_BL)

    def answer_draws(self, n_draws: int) -> int:
        return 1
