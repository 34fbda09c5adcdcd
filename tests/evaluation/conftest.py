"""A trained run of seconds for each objective, and models whose likelihoods are known."""

import gc
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.conftest import RECIPE
from workbench.recipe import load_recipe
from workbench.runner import make_folders, prepare_study
from workbench.runs import RunFolder
from workbench.training import worker
from workbench.training.objectives import Corrupted, Vocab
from workbench.training.objectives.ar import Autoregressive

Study = dict[str, RunFolder]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Study:
    """A finished run of each objective, by its name."""
    folder = tmp_path_factory.mktemp("evaluated")
    path = folder / "tiny.toml"
    text = RECIPE.format(corpus=corpus).replace('["ar", "mdlm"]', '["ar", "mdlm", "block", "aoar"]')
    path.write_text(text.replace("lr = 3e-3", "lr = 3e-3\nblock_size = 8"))
    recipe = load_recipe(path)
    runs = {}
    for run in make_folders(recipe, prepare_study(recipe, folder), folder).values():
        assert worker.main(run.path) == worker.FINISHED
        runs[run.config_json()["config"]["training"]["objective"]] = run
    gc.enable()  # titan's trainer turns it off for its process
    return runs


class Unigram:
    """A model to which every token has a price, whatever stands before it."""

    ranks = (0, 1)
    threads = 1
    device = torch.device("cpu")

    def __init__(self, prices: Sequence[float]) -> None:
        self.prices = torch.tensor(prices, dtype=torch.float64)
        n = len(prices)
        self.objective = Autoregressive(Vocab(n, n + 2, n, n + 1))
        self.calls = 0

    def nll(self, corrupted: Corrupted) -> Tensor:
        self.calls += 1
        assert corrupted.weights_BL is not None
        return (self.prices[corrupted.targets_BL] * corrupted.weights_BL).sum(dim=1)

    def total(self, values: Tensor) -> Tensor:
        return values
