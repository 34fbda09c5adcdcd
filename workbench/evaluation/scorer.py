"""What a likelihood needs of a model: a trainer has it while it trains, and so has a loaded run.

Shape suffixes: B sequences, L tokens a sequence.
"""

from typing import Protocol

import torch
from torch import Tensor

from workbench.evaluation.allocator import keep_freed_memory
from workbench.evaluation.predictions import Predictions
from workbench.training.loss import place_loss
from workbench.training.objectives.base import Corrupted, Objective
from workbench.training.trained_model import RunModel, as_trainer
from workbench.training.trainer import (
    StudyTrainer,
    data_parallel_rank,
    sum_over_data_parallel,
)
from workbench.training.validation import sequence_nll


class Scorer(Protocol):
    """A model that answers with likelihoods, on one rank or on several in step."""

    @property
    def objective(self) -> Objective: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def ranks(self) -> tuple[int, int]:
        """This rank and the number of ranks that see different sequences. All of them must make
        the same number of calls."""
        ...

    @property
    def threads(self) -> int:
        """Forward passes that may go on at once."""
        ...

    def nll(self, corrupted: Corrupted) -> Tensor:
        """[B] float64: each sequence's weighted NLL, in nats."""
        ...

    def total(self, values: Tensor) -> Tensor:
        """Element-wise sum over the ranks."""
        ...


class TrainerScorer:
    """The model of a run that trains, as it stands."""

    threads = 1

    def __init__(self, trainer: StudyTrainer) -> None:
        self._trainer = trainer
        self.objective = trainer.objective
        self.device = trainer.device

    @property
    def ranks(self) -> tuple[int, int]:
        return data_parallel_rank(self._trainer)

    def nll(self, corrupted: Corrupted) -> Tensor:
        return sequence_nll(self._trainer, corrupted)

    def total(self, values: Tensor) -> Tensor:
        return sum_over_data_parallel(self._trainer, values)


class ModelScorer:
    """A loaded run in this process, with the parts of a trainer that likelihoods need."""

    ranks = (0, 1)

    def __init__(self, run: RunModel, *, threads: int = 1) -> None:
        """Take a loaded run.

        Args:
            threads: forward passes at once, each on one core. Which batches there are does not
                depend on it, so neither does any bit of an answer.
        """
        self.run = run
        self.trainer = as_trainer(run)
        self.objective, self.device = self.trainer.objective, self.trainer.device
        self._predictions = Predictions(run.model)
        self.threads = threads if self.device.type == "cpu" else 1
        if self.device.type == "cpu":
            torch.set_num_threads(1)
            keep_freed_memory()

    @torch.no_grad()
    def nll(self, corrupted: Corrupted) -> Tensor:
        """See `Scorer.nll`. Logits are made only where a token counts."""
        targets_BL, weights_BL = corrupted.targets_BL, corrupted.weights_BL
        if weights_BL is None:
            weights_BL = torch.ones_like(targets_BL, dtype=torch.float64)
        row_N, position_N = weights_BL.nonzero(as_tuple=True)
        logits_NV = self._predictions.logits(corrupted, row_N, position_N)
        beside = (targets_BL, *(corrupted.noised or ()))
        targets_N, *noised = (every_BL[row_N, position_N] for every_BL in beside)
        nll_N = place_loss(logits_NV, targets_N, self.run.vocab.n_tokens, *noised)
        weighted_N = nll_N.double() * weights_BL[row_N, position_N]
        nll_B = weighted_N.new_zeros(len(targets_BL))
        return nll_B.index_add_(0, row_N, weighted_N)

    def total(self, values: Tensor) -> Tensor:
        return values
