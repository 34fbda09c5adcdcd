"""What an objective is: how clean tokens become inputs, targets and weights.

Shape suffixes: B sequences, L tokens a sequence.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from workbench.recipe import TrainingConfig


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
class Corrupted:
    """What the network sees, what it must predict, and how much each prediction counts.

    The loss is sum(weights * NLL) / (B * L): a mean over all positions, whatever was masked.
    """

    inputs_BL: Tensor
    targets_BL: Tensor
    weights_BL: Tensor | None
    """None: every position counts 1."""


class Objective(ABC):
    """One training objective, with the estimator of its likelihood for evaluation."""

    name: ClassVar[str]
    causal: ClassVar[bool]
    """Whether attention is causal or bidirectional."""
    validation_estimator: ClassVar[str]
    """How `val_loss` is estimated: stored beside every value."""

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
        """Inputs, targets and weights of one training batch."""

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
