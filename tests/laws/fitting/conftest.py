"""Designs to fit laws to, with known parameters."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.minimise import Minima
from workbench.laws.fitting.problem import Problem
from workbench.laws.fitting.read_table import read_table
from workbench.laws.law import Law, Rows
from workbench.laws.registry import LAWS

PUBLISHED_RUNS = Path(__file__).parents[4] / "shared" / "data" / "datablations_runs.csv"


def law(name: str) -> Law:
    scaling_law = LAWS[name]
    assert isinstance(scaling_law, Law)
    return scaling_law


def made_table(
    name: str,
    *,
    noise: float = 0.0,
    seed: int = 0,
    values: dict[str, float] | None = None,
    sizes: int = 8,
    once: bool = False,
    objective: str | None = None,
) -> LossTable:
    """Runs on a grid of sizes, unique tokens and epochs, with losses from a law."""
    scaling_law = law(name)
    n = np.geomspace(1e7, 3e9, sizes)
    unique = np.array([1e8, 4e8, 2e9, 1e10])
    epochs = np.array([1.0]) if once else np.array([1.0, 2.0, 5.0, 16.0, 60.0, 250.0])
    n, u, e = (grid.ravel() for grid in np.meshgrid(n, unique, epochs, indexing="ij"))
    d = u * e
    truth = values or scaling_law.published or law("data_constrained").published
    rng = np.random.default_rng(seed)
    loss = scaling_law.predict(truth, Rows.of(n, d, u)) * np.exp(rng.normal(0, noise, len(n)))
    return LossTable(
        source="made",
        name=np.array([f"run {i}" for i in range(len(n))]),
        n_params=n,
        total_tokens=d,
        unique_tokens=u,
        loss=loss,
        compute=6 * n * d,
        objective=None if objective is None else np.array([objective] * len(n)),
    )


def best_or_lost(problem: Problem, found: Minima) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which starts ended at the best objective, and which in a term that has vanished.

    A term that is a thousand times smaller than another has no slope left to bring it back. A
    start that passes near such a place may end there on one processor and not on another.
    """
    best = found.objective <= found.objective.min() * (1 + 1e-5)
    terms = problem.law.terms(found.theta, problem.rows, False)[0].mean(axis=1)
    return best, np.ptp(terms, axis=1) > np.log(1000)


@pytest.fixture(scope="session")
def published_runs() -> LossTable:
    if not PUBLISHED_RUNS.exists():
        pytest.skip("the published runs are not here")
    return read_table(PUBLISHED_RUNS)
