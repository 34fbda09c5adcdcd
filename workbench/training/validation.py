"""Validation on fixed windows with fixed noise: NLL for AR, NELBO for diffusion.

Every evaluation of every run of a study sees the same windows and, for diffusion, the same
masks, so a difference between two points is a difference between two models.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.data.windows import permuted
from workbench.training.objectives.base import Corrupted
from workbench.training.trainer import (
    StudyTrainer,
    data_parallel_rank,
    sum_over_data_parallel,
)


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error."""

    value: float
    stderr: float | None
    n: int


def mean_estimate(total: float, squares: float, n: int) -> Estimate:
    """Mean and standard error from sums over n independent values."""
    mean = total / n
    if n < 2:
        return Estimate(mean, None, n)
    variance = max(squares - n * mean * mean, 0.0) / (n - 1)
    return Estimate(mean, math.sqrt(variance / n), n)


@torch.no_grad()
def sequence_nll(trainer: StudyTrainer, corrupted: Corrupted) -> Tensor:
    """[B] float64: each sequence's weighted NLL, summed over its positions, in nats."""
    with trainer.train_context():
        logits_BLV = trainer.model_parts[0](corrupted.inputs_BL, **corrupted.network_arguments())
        nll_BL = trainer.loss_fn.nll(logits_BLV, corrupted.targets_BL).double()
    if corrupted.weights_BL is not None:
        nll_BL = nll_BL * corrupted.weights_BL
    return nll_BL.sum(dim=1)


@dataclass(frozen=True)
class Chunk:
    """One batch of one rank. `counts` is 0 where a row only fills up the batch."""

    rows: Tensor
    counts: Tensor


def rank_chunks(n: int, batch: int, rank: int, ranks: int, device: torch.device) -> Iterator[Chunk]:
    """Rows 0..n-1 in equal batches over equal ranks: collectives need the same calls on each."""
    for start in range(0, n, batch * ranks):
        rows = torch.arange(start + rank * batch, start + (rank + 1) * batch, device=device)
        yield Chunk(rows.clamp(max=n - 1), (rows < n).double())


class Validation:
    """The held-out windows of a run and the noise they are seen through."""

    def __init__(self, windows_NL: np.ndarray, *, batch: int, draws: int) -> None:
        """Take the windows to the host's memory.

        Args:
            windows_NL: int64 [N, L] held-out windows.
            batch: windows a rank scores in one forward pass.
            draws: noise draws a window, for objectives with noise.
        """
        self.windows_NL = torch.from_numpy(windows_NL)
        self.batch = batch
        self.draws = draws

    def evaluate(self, trainer: StudyTrainer) -> Estimate:
        """Mean loss in nats a token, with its standard error over windows."""
        objective, device = trainer.objective, trainer.device
        n, length = self.windows_NL.shape
        draws = objective.answer_draws(self.draws)
        # Strata go to windows by a fixed shuffle: neighbours in the text differ in noise.
        noise = torch.from_numpy(permuted(np.arange(n * draws), n * draws, (n, draws)))
        noise_ND = noise.view(n, draws).to(device)
        rank, ranks = data_parallel_rank(trainer)
        sums = torch.zeros(2, dtype=torch.float64, device=device)
        for chunk in rank_chunks(n, self.batch, rank, ranks, device):
            tokens_BL = self.windows_NL[chunk.rows.cpu()].to(device)
            loss_B = torch.zeros_like(chunk.counts)
            for draw in range(draws):
                corrupted = objective.validation_inputs(
                    tokens_BL, noise_ND[chunk.rows, draw], n * draws
                )
                loss_B += sequence_nll(trainer, corrupted) / (length * draws)
            sums += torch.stack([(loss_B * chunk.counts).sum(), (loss_B**2 * chunk.counts).sum()])
        total, squares = sum_over_data_parallel(trainer, sums).tolist()
        return mean_estimate(total, squares, n)
