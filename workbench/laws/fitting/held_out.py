"""How well a law predicts the runs of most compute from the others."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.search import search
from workbench.laws.fitting.starts import make_problem
from workbench.laws.law import Law


def held_out_error(law: Law, table: LossTable, options: FitOptions) -> dict[str, Any] | None:
    """The error on the rows of most compute of a fit to the others; None where too few are left.

    Rows of one compute stay together. Errors are of log loss, so 0.01 is about one percent.
    """
    split = held_out_rows(table, options.held_out_share)
    if split is None:
        return None
    fitted, held_out = table.take(~split), table.take(split)
    problem = make_problem(law, fitted, options)
    if len(np.unique(np.column_stack([fitted.n_params, fitted.total_tokens]), axis=0)) <= (
        problem.free.sum()
    ):
        return None
    if options.shared and fitted.objectives != table.objectives:
        return None
    theta = search(problem, replace(options, starts=min(options.starts, 32)))[0].theta
    error = replace(
        make_problem(law, held_out, options),
        index=problem.index,
        group=_groups(fitted, held_out, options),
    ).residuals(theta[None])[0]
    return {
        "n": len(held_out),
        "compute_from": float(held_out.compute.min()),
        "rmse_log": float(np.sqrt(np.mean(error**2))),
        "mean_abs_log": float(np.mean(np.abs(error))),
        "bias_log": float(np.mean(error)),
        "fitted_rows": len(fitted),
    }


def _groups(fitted: LossTable, held_out: LossTable, options: FitOptions) -> NDArray[np.intp]:
    if not options.shared or held_out.objective is None:
        return np.zeros(len(held_out), dtype=np.intp)
    return np.searchsorted(np.array(fitted.objectives, dtype=str), held_out.objective).astype(
        np.intp
    )


def held_out_rows(table: LossTable, share: float) -> NDArray[np.bool_] | None:
    """Which rows have the most compute: about `share` of them, at least two."""
    if len(table) < 5:
        return None
    threshold = np.quantile(table.compute, 1 - share)
    held_out = table.compute >= threshold * (1 - 1e-9)
    return held_out if 2 <= held_out.sum() <= len(table) // 2 else None
