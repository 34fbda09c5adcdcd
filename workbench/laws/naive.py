"""Predictors without a law, which any law has to be better than."""

from collections.abc import Callable

import numpy as np

from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.law import Floats


def nearest_run(train: LossTable, test: LossTable) -> Floats:
    """The loss of the nearest fitted configuration, the mean of its runs: in the logarithms of
    parameters, tokens and unique tokens."""
    inputs = [
        np.column_stack([table.rows.log_n, table.rows.log_d, table.rows.log_u])
        for table in (train, test)
    ]
    distance = ((inputs[1][:, None] - inputs[0][None]) ** 2).sum(axis=2)
    nearest = distance <= distance.min(axis=1, keepdims=True) + 1e-9
    return np.exp((nearest * np.log(train.loss)).sum(axis=1) / nearest.sum(axis=1))


def compute_power_law(train: LossTable, test: LossTable) -> Floats:
    """a C^b of the training compute, fitted to log losses by least squares."""
    x = np.log(train.compute)
    if np.ptp(x) == 0:
        return np.full(len(test), np.exp(np.log(train.loss).mean()))
    slope, level = np.polyfit(x, np.log(train.loss), 1)
    return np.exp(level + slope * np.log(test.compute))


NAIVE: dict[str, Callable[[LossTable, LossTable], Floats]] = {
    "nearest run": nearest_run,
    "power law in compute": compute_power_law,
}
