"""What an objective is: how clean tokens become inputs, targets and weights.

Shape suffixes: B sequences, L tokens a sequence.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.recipe import ObjectiveFacts, TrainingConfig
from workbench.training.divergence import Noised
from workbench.training.hashing import hash_uniform, stream_key
from workbench.training.masks import DENSE, Mask, MaskForm, Rule, additive, block_sparse


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
    rule: Rule | None = None
    """The same as a function, where all sequences share it."""

    @property
    def shared(self) -> bool:
        """Whether all sequences share places and mask."""
        return len(self.positions_BT) == len(self.visible_BTT) == 1

    def network_arguments(self, form: MaskForm = DENSE) -> dict[str, Any]:
        """As a network takes it, beside its inputs, its mask in the form of that network."""
        mask: Mask
        if form.sparse and self.rule is not None:
            mask = block_sparse(self.rule, self.visible_BTT.shape[-1], self.visible_BTT.device)
        else:
            mask = additive(self.visible_BTT, form.dtype)
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
    first: int = 0
    """Positions before this one count nothing: known without a look at the weights."""
    noised: Noised | None = None
    """Where noise also puts other tokens in a token's place: what is weighted is then no NLL but
    `training.divergence`."""

    def network_arguments(self, form: MaskForm = DENSE) -> dict[str, Any]:
        """What a network takes beside its inputs: see `View.network_arguments`."""
        return {} if self.view is None else self.view.network_arguments(form)


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


@dataclass(frozen=True)
class WindowNoise:
    """The noise that a batch of held-out windows is seen through: one draw of several."""

    place_B: Tensor
    """Each window's place in a shuffle of all `n_windows`, int64: it keys the window's noise, and
    is the stratum that the noise is drawn from."""
    n_windows: int
    draw: int = 0
    n_draws: int = 1
    key: int = stream_key("validation")
    """Other keys, other noise."""

    def fractions(
        self, stratum_N: Tensor | None = None, *, turn_N: Tensor | int = 0, part: Tensor | int = 0
    ) -> Tensor:
        """Fractions in (0, 1), float64, spread evenly over a window's draws and over all windows.

        Each is uniform. The draws of one window take one stratum of 1/n_draws each, and within
        them all windows take one of 1/n_windows each.

        Args:
            stratum_N: 0..n_windows-1; the windows' places where None.
            turn_N: moves which draw takes which of a window's strata.
            part: a number of the part of a window, where its parts have fractions of their own.
        """
        place_N = self.place_B if stratum_N is None else stratum_N
        uniforms_N = hash_uniform(self.key, place_N, torch.full_like(place_N, -1) - part)
        inner_N = (place_N + uniforms_N.double()) / self.n_windows
        return ((self.draw + turn_N) % self.n_draws + inner_N) / self.n_draws

    @property
    def number_B(self) -> Tensor:
        """The number of each of these draws among all draws of all windows, int64."""
        return self.place_B * self.n_draws + self.draw


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
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> "Objective":
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

    def counted(self, batch: TokenBatch) -> int | None:
        """How many weights of `training_inputs` are not 0, where many are; else None.

        Asked of a batch on the host, so that logits of the others need not be made: the number may
        be too high, and must not be too low.
        """
        return None

    @abstractmethod
    def validation_inputs(self, tokens_BL: Tensor, noise: WindowNoise) -> Corrupted:
        """Inputs, targets and weights of one draw.

        The mean over draws of sum(weights * NLL) estimates each sequence's -log p, or its bound.
        At every place the expected weight is 1, so that a function of the tokens alone can be
        subtracted from the NLLs and its known mean added again (`training.validation`).
        """

    def masked_together(self, length: int) -> int | None:
        """The number of neighbouring tokens of which `validation_inputs` masks exactly k, each set
        of k as likely and with one weight; None where its noise is of another kind.

        The noise of an estimate follows from it (`training.mask_noise`).
        """
        return None

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
