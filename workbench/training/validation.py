"""Validation on fixed windows: NLL for AR, and for objectives with noise the NELBO, with the noise
of its estimate.

The windows are the same for every run of a study. Noise is drawn anew at each step, and is the same
for all runs at that step: see `Validation`.

Shape suffixes: N windows, D draws, B windows of one batch, L tokens a window.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from workbench.data.windows import HeldOutWindows, Ints, permuted
from workbench.runs.items import Items
from workbench.training.divergence import of_one_prediction
from workbench.training.hashing import stream_key
from workbench.training.head import logits_at
from workbench.training.logit_parts import in_parts
from workbench.training.mask_noise import mask_noise, total_variance
from workbench.training.masks import mask_form
from workbench.training.objectives.base import Corrupted, Objective, WindowNoise
from workbench.training.to_device import to_device
from workbench.training.trainer import (
    StudyTrainer,
    data_parallel_rank,
    sum_over_data_parallel,
)

UNIGRAM_SHARE = 0.8
"""How much of a token's unigram surprise the control variate takes from its NLL. Any number leaves
the estimate unbiased; the best one was 0.79 to 0.97 on small models of byte tokens."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error."""

    value: float
    stderr: float | None
    n: int
    draws: int | None = None
    """Noise draws an item; None where the number is exact."""
    noise_stderr: float | None = None
    """The part of the standard error that comes from noise draws."""
    documents: int | None = None
    """Documents that the standard error is over; None where it is over items."""

    def scaled(self, factor: float) -> "Estimate":
        """The same in another unit."""

        def times(error: float | None) -> float | None:
            return None if error is None else error * factor

        return replace(
            self,
            value=self.value * factor,
            stderr=times(self.stderr),
            noise_stderr=times(self.noise_stderr),
        )


def mean_estimate(total: float, squares: float, n: int) -> Estimate:
    """Mean and standard error from sums over n independent values."""
    mean = total / n
    if n < 2:
        return Estimate(mean, None, n)
    variance = max(squares - n * mean * mean, 0.0) / (n - 1)
    return Estimate(mean, math.sqrt(variance / n), n)


def estimate_of(items: Items, draws: int | None) -> Estimate:
    """The mean over an evaluation's items, with its standard error over their documents."""
    return Estimate(
        value=items.value,
        stderr=items.stderr,
        n=len(items.total_N),
        draws=draws,
        noise_stderr=items.noise_stderr,
        documents=items.documents,
    )


@torch.no_grad()
def position_nll(trainer: StudyTrainer, corrupted: Corrupted, *, first: int = 0) -> Tensor:
    """[B, L - first] float64: the loss at each position from `first` on, not weighted, in nats."""
    model, places = trainer.model_parts[0], slice(first, None)
    arguments = corrupted.network_arguments(mask_form(model))
    with trainer.train_context():
        logits_BLV = logits_at(model, corrupted.inputs_BL, places, **arguments)
        beside = (corrupted.targets_BL, *(corrupted.noised or ()))
        (nll_BL,) = in_parts(
            lambda *part: (trainer.loss_fn.nll(*part),),
            logits_BLV,
            *(every_BL[:, places] for every_BL in beside),
        )
    return nll_BL.double()


def sequence_nll(trainer: StudyTrainer, corrupted: Corrupted) -> Tensor:
    """[B] float64: each sequence's weighted NLL, summed over its positions, in nats."""
    # Of a sum over fewer numbers a CPU would give other bits.
    first = 0 if corrupted.inputs_BL.device.type == "cpu" else corrupted.first
    nll_BL = position_nll(trainer, corrupted, first=first)
    if corrupted.weights_BL is not None:
        nll_BL = nll_BL * corrupted.weights_BL[:, first:]
    return nll_BL.sum(dim=1)


@dataclass(frozen=True)
class Chunk:
    """One batch of one rank. `counts` is 0 where a row only fills up the batch."""

    rows: Tensor
    counts: Tensor
    on_host: Ints
    """`rows` in the host's memory."""


def rank_chunks(n: int, batch: int, rank: int, ranks: int, device: torch.device) -> Iterator[Chunk]:
    """Rows 0..n-1 in equal batches over equal ranks: collectives need the same calls on each."""
    for start in range(0, n, batch * ranks):
        first, last = start + rank * batch, start + (rank + 1) * batch
        rows = torch.arange(first, last, device=device)
        on_host = np.arange(first, last).clip(max=n - 1)
        yield Chunk(rows.clamp(max=n - 1), (rows < n).double(), on_host)


def tokens_of(windows_NL: NDArray[np.integer], chunk: Chunk, device: torch.device) -> Tensor:
    """[B, L] int64 on a device: a batch's windows, moved in the type that they are stored in."""
    return to_device(torch.from_numpy(windows_NL[chunk.on_host]), device).long()


class Validation:
    """The held-out windows of a run and the noise they are seen through.

    For objectives with noise, D draws of each window are averaged, the number masked stratified
    within the window. From each masked token's NLL a share of its unigram surprise -log p(token) is
    taken, and what that amounts to over the whole window is added again: the expectation stays, and
    most of what depends on which tokens happen to be masked goes. Where noise replaces tokens, the
    share is of what predicting the unigram frequencies would cost, whose expectation that is too.

    A step has noise of its own, so that what is off at one point of a curve is not off at all of
    them, and all runs share it, so that it cancels where two objectives with noise are compared.
    """

    def __init__(self, windows: HeldOutWindows, *, batch: int, draws: int) -> None:
        """Take the windows to the host's memory.

        Args:
            batch: windows a rank scores in one forward pass.
            draws: noise draws a window, for objectives with noise.
        """
        self.windows = windows
        counts_V = torch.from_numpy(np.bincount(windows.tokens_NL.ravel())).double() + 0.5
        self.surprise_V = -torch.log(counts_V / counts_V.sum())
        self.batch = batch
        self.draws = draws

    def evaluate(
        self, trainer: StudyTrainer, *, noise: int = 0, draws: int | None = None
    ) -> tuple[Estimate, Items]:
        """Mean loss in nats a token, with its standard error, and each window's part in it.

        Args:
            noise: another number, such as a step's, draws other noise.
            draws: instead of the usual number.
        """
        objective, device = trainer.objective, trainer.device
        n, length = self.windows.tokens_NL.shape
        draws = objective.answer_draws(draws or self.draws)
        # Neighbours in the text differ in noise.
        place_N = to_device(torch.from_numpy(permuted(np.arange(n), n, (n, noise))), device)
        self.surprise_V = to_device(self.surprise_V, device)
        sums_ND5 = torch.zeros(n, draws, 5, dtype=torch.float64, device=device)
        rank, ranks = data_parallel_rank(trainer)
        for chunk in rank_chunks(n, self.batch, rank, ranks, device):
            tokens_BL = tokens_of(self.windows.tokens_NL, chunk, device)
            for draw in range(draws):
                seen_through = WindowNoise(
                    place_N[chunk.rows], n, draw, draws, stream_key("validation", noise)
                )
                corrupted = objective.validation_inputs(tokens_BL, seen_through)
                sums_B5 = self._window_sums(trainer, tokens_BL, corrupted)
                sums_ND5[:, draw].index_add_(0, chunk.rows, sums_B5 * chunk.counts[:, None])
        sums_ND5 = sum_over_data_parallel(trainer, sums_ND5).cpu()
        has_noise = objective.answer_draws(2) > 1
        items = Items(
            document_N=self.windows.document_N,
            total_N=sums_ND5[..., 0].mean(dim=1).numpy(),
            count_N=np.full(n, float(length)),
            weight_N=self.windows.weight_N,
            noise_variance_N=self._noise_variance(objective, sums_ND5) if has_noise else None,
        )
        return estimate_of(items, draws if has_noise else None), items

    def _window_sums(
        self, trainer: StudyTrainer, tokens_BL: Tensor, corrupted: Corrupted
    ) -> Tensor:
        """[B, 5] one draw's estimate of each window's NLL, the control variate taken out, and the
        parts of its variance."""
        nll_BL = position_nll(trainer, corrupted)
        weights_BL = corrupted.weights_BL
        parts_B4 = nll_BL.new_zeros(len(nll_BL), 4)
        if weights_BL is None:
            return torch.cat([nll_BL.sum(dim=1, keepdim=True), parts_B4], dim=1)
        control_BL = UNIGRAM_SHARE * self.surprise_V[tokens_BL]
        if corrupted.noised is None:
            rest_BL = nll_BL - control_BL
        else:
            p_V = torch.exp(-self.surprise_V)
            p_V = F.pad(p_V, (0, trainer.objective.vocab.n_tokens - len(p_V)))
            of_unigrams_BL = of_one_prediction(p_V, tokens_BL, corrupted.noised)
            rest_BL = nll_BL - UNIGRAM_SHARE * of_unigrams_BL
        total_B1 = (weights_BL * rest_BL + control_BL).sum(dim=1, keepdim=True)
        size = trainer.objective.masked_together(tokens_BL.shape[1])
        if size is not None:
            parts_B4 = mask_noise(rest_BL, weights_BL, size).stacked()
        return torch.cat([total_B1, parts_B4], dim=1)

    def _noise_variance(self, objective: Objective, sums_ND5: Tensor) -> np.ndarray | None:
        """[N] variance of each window's mean over its draws that comes from the draws."""
        draws = sums_ND5.shape[1]
        if objective.masked_together(self.windows.tokens_NL.shape[1]) is not None:
            variance_ND = total_variance(sums_ND5[..., 1:])
            return np.asarray(variance_ND.sum(dim=1) / draws**2)
        return between_draws(sums_ND5[..., 0].numpy()) if draws > 1 else None


def between_draws(nll_ND: np.ndarray) -> np.ndarray:
    """[N] variance of each row's mean, from how much its draws differ.

    What all windows share of a difference between two draws is by design, and is taken out; that
    windows differ in it is not noise and yet counts as noise here, so that this is an upper limit.
    """
    draws = nll_ND.shape[1]
    rest_ND = nll_ND - nll_ND.mean(axis=0) - nll_ND.mean(axis=1, keepdims=True) + nll_ND.mean()
    variance_N: np.ndarray = (rest_ND**2).sum(axis=1) / ((draws - 1) * draws)
    return variance_N
