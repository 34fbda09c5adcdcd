"""A law is fitted, and tested on runs held out, where there are more configurations than
parameters."""

import numpy as np

from workbench.laws.fitting.check_table import configurations
from workbench.laws.fitting.loss_table import LossTable

TABLE = LossTable(
    source="made", name=np.array(list("abcdef")), n_params=np.full(6, 1e6),
    total_tokens=np.array([1e6, 1e6, 2e6, 1e6, 1e6, 2e6]),
    unique_tokens=np.array([1e5, 1e6, 1e5, 1e5, 1e6, 1e5]), loss=np.arange(1.0, 7),
    compute=np.ones(6), objective=np.array(["ar"] * 3 + ["mdlm"] * 3),
)  # fmt: skip


def test_runs_of_other_sizes_tokens_or_unique_tokens_are_other_configurations() -> None:
    assert configurations(TABLE, shared=False) == 3


def test_with_parameters_of_its_own_each_objective_has_configurations_of_its_own() -> None:
    assert configurations(TABLE, shared=True) == 6
