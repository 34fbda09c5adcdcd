"""What an objective is: how clean tokens become inputs, targets and weights.

Shape suffixes: B sequences, L tokens a sequence.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from workbench.recipe import ObjectiveFacts, TrainingConfig


@dataclass(frozen=True)
class Vocab:
    """The ids that an objective needs. Ids from `n_tokens` on (MASK, BOS, padding) are never
    predicted: the softmax of every objective is over the first `n_tokens`."""

    n_tokens: int
    size: int
    mask_id: int
    bos_id: int


@dataclass(frozen=True)
class TokenBatch:
    """A rank's share of one global batch, with the counters that key its noise."""

    tokens_BL: Tensor
    """Clean tokens, int64."""
    epoch_B: Tensor
    sample_B: Tensor
    """Which unique window each sequence is, int64."""
    position_B: Tensor
    """Place of each sequence in the global batch, int64."""
    step: int
    """Optimizer step, from 1."""
    batch_epoch_G: Tensor
    """Epochs of the whole global batch, in order, on every rank."""
    batch_sample_G: Tensor


@dataclass(frozen=True)
class View:
    """Where T inputs stand and which of them each attends to, where the network's own order and
    mask are not meant. The first dimension is 1 where all sequences share it."""

    positions_BT: Tensor
    """int64, below the sequence length."""
    visible_BTT: Tensor
    """bool [B or 1, T, T]: whether input i (dimension 1) attends to input j (dimension 2)."""

    def network_arguments(self) -> dict[str, Tensor]:
        """As the network takes it, beside its inputs."""
        visible = self.visible_BTT[:, None]
        # Additive, once a batch: each layer would convert a boolean mask anew.
        mask = torch.zeros(visible.shape, device=visible.device)
        mask.masked_fill_(~visible, float("-inf"))
        return {"positions": self.positions_BT, "attention_masks": mask}


@dataclass(frozen=True)
class Corrupted:
    """What the network sees, what it must predict, and how much each prediction counts.

    The loss is sum(weights * NLL) / (B * L): a mean over all positions, whatever was masked.
    """

    inputs_BL: Tensor
    """[B, 2L] under an objective of two streams."""
    targets_BL: Tensor
    weights_BL: Tensor | None
    """None: every position counts 1."""
    view: View | None = None

    def network_arguments(self) -> dict[str, Tensor]:
        """What the network takes beside its inputs."""
        return {} if self.view is None else self.view.network_arguments()


_DRAW_BIT = 40
"""A draw's number stands in a sample's counter above this bit: no corpus has 2**40 windows."""


def repeated(batch: TokenBatch, n: int) -> TokenBatch:
    """The same sequences n times, as a batch of n times the size with noise of its own.

    The copies of one sequence lie a batch apart, so that times stratified over the n-fold batch
    are spread over each sequence's copies too. The first copy keeps the noise's keys.
    """
    size = batch.batch_sample_G.numel()

    def draw(rows: int) -> Tensor:
        return torch.arange(n, device=batch.tokens_BL.device).repeat_interleave(rows)

    local, whole = draw(batch.tokens_BL.shape[0]), draw(size)
    return replace(
        batch,
        tokens_BL=batch.tokens_BL.repeat(n, 1),
        epoch_B=batch.epoch_B.repeat(n),
        sample_B=batch.sample_B.repeat(n) + (local << _DRAW_BIT),
        position_B=batch.position_B.repeat(n) + local * size,
        batch_epoch_G=batch.batch_epoch_G.repeat(n),
        batch_sample_G=batch.batch_sample_G.repeat(n) + (whole << _DRAW_BIT),
    )


class Objective(ABC):
    """One training objective, with the estimator of its likelihood for evaluation."""

    facts: ClassVar[ObjectiveFacts]
    """Its entry in the table of objectives."""
    vocab: Vocab
    noise_samples: int = 1
    """How often a step presents each sequence, each time with noise of its own."""

    @property
    def validation_estimator(self) -> str:
        """How `val_loss` is estimated: stored beside every value."""
        return self.facts.estimator

    @classmethod
    @abstractmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> Self:
        """Build from the recipe's `[training]`."""

    @property
    @abstractmethod
    def train_estimator(self) -> str:
        """What `train_loss` measures: stored beside every value."""

    @abstractmethod
    def corrupt(self, batch: TokenBatch) -> Corrupted:
        """Inputs, targets and weights of one training batch, each sequence once."""

    def training_inputs(self, batch: TokenBatch) -> Corrupted:
        """What one step trains on: each sequence `noise_samples` times, their loss averaged."""
        n = self.noise_samples
        if n == 1:
            return self.corrupt(batch)
        corrupted = self.corrupt(repeated(batch, n))
        weights_BL = corrupted.weights_BL
        if weights_BL is None:
            weights_BL = torch.ones_like(corrupted.targets_BL, dtype=torch.float32)
        return replace(corrupted, weights_BL=weights_BL / n)

    @abstractmethod
    def validation_inputs(self, tokens_BL: Tensor, window_B: Tensor, n_windows: int) -> Corrupted:
        """Inputs, targets and weights whose weighted NLL estimates each sequence's likelihood.

        The noise depends on the window's number alone, so that every evaluation of every run
        sees the same, and is stratified over all `n_windows`.
        """

    @abstractmethod
    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        """One draw of the conditional likelihood of `tokens[:, answer_start:]` given the rest.

        Sequences with the same question number get the same noise, so that it cancels in the
        comparison of their answers. The mean over draws of sum(weights * NLL) estimates
        -log p(answer | context).
        """

    def answer_draws(self, n_draws: int) -> int:
        """How many of the requested draws the estimator can use (1 where it is exact)."""
        return n_draws
