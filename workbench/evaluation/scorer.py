"""What a likelihood needs of a model: a trainer has it while it trains, and so has a loaded run.

Shape suffixes: B sequences, L tokens a sequence.
"""

from typing import Protocol

import torch
from torch import Tensor

from workbench.training.loaded import RunModel, as_trainer
from workbench.training.objectives import Corrupted, Objective
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
        """Args:
        threads: forward passes at once, each on one core. Which batches there are does not
            depend on it, so neither does any bit of an answer.
        """
        self.run = run
        self.trainer = as_trainer(run)
        self.objective, self.device = self.trainer.objective, self.trainer.device
        self.threads = threads if self.device.type == "cpu" else 1
        if self.device.type == "cpu":
            torch.set_num_threads(1)

    def nll(self, corrupted: Corrupted) -> Tensor:
        return sequence_nll(self.trainer, corrupted)

    def total(self, values: Tensor) -> Tensor:
        return values
