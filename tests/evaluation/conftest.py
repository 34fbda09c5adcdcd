"""Trained runs of seconds, and models whose likelihoods are known."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from tests.conftest import TrainedRuns
from workbench.runs.folder import RunFolder
from workbench.training.objectives.ar import Autoregressive
from workbench.training.objectives.base import Corrupted, Objective, Vocab

Study = dict[str, RunFolder]


@pytest.fixture(scope="session")
def study(trained: TrainedRuns) -> Study:
    """A finished run of each objective, by its name."""
    return {name: run for name, run in trained.items() if name != "untrained"}


class Unigram:
    """A model to which every token has a price, whatever stands before it."""

    ranks = (0, 1)
    threads = 1
    device = torch.device("cpu")

    def __init__(
        self,
        prices: Sequence[float],
        objective: Callable[[Vocab], Objective] = Autoregressive,
    ) -> None:
        self.prices = torch.tensor(prices, dtype=torch.float64)
        n = len(prices)
        self.objective = objective(Vocab(n, n + 2, n, n + 1))
        self.calls = 0
        self.asked: list[Corrupted] = []

    def nll(self, corrupted: Corrupted) -> Tensor:
        self.calls += 1
        self.asked.append(corrupted)
        assert corrupted.weights_BL is not None
        return (self.prices[corrupted.targets_BL] * corrupted.weights_BL).sum(dim=1)

    def total(self, values: Tensor) -> Tensor:
        return values
