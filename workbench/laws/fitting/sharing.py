"""Whether objectives have parameters in common: shared against separate fits on unseen rows."""

from dataclasses import replace
from typing import Any

import numpy as np

from workbench.laws.fitting.clusters import clusters_of
from workbench.laws.fitting.held_out import HeldOut, held_out_error, held_out_rows
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.margin import margin
from workbench.laws.fitting.options import FitOptions
from workbench.laws.law import Law


def sharing_test(
    law: Law, table: LossTable, options: FitOptions, shared: HeldOut | None
) -> dict[str, Any] | None:
    """The held-out error of a shared fit less that of a fit of each objective by itself.

    Both have seen the same rows. The shared fit, of fewer parameters, is preferred unless its error
    is the larger one for sure: unless the 95 % interval of the difference lies above 0.

    Args:
        shared: the errors of the shared fit; None gives None, as do rows that cannot determine a
            fit of each objective.
    """
    split = held_out_rows(table, options.held_out_share)
    if shared is None or split is None:
        return None
    separate = np.full(len(table), np.nan)
    for objective in table.objectives:
        own = np.flatnonzero(table.objective == objective)
        if not split[own].any():
            continue
        part = table.take(own)
        alone = held_out_error(law, part, replace(options, shared=()), split[own])
        if alone is None:
            return None
        separate[own[alone.rows]] = alone.error
    error = separate[shared.rows]
    clusters = clusters_of(table, options.cluster)
    if clusters is not None:
        clusters = replace(clusters, label=clusters.label[shared.rows])
    difference = margin(shared.error, error, clusters)
    return {
        "parameters": list(options.shared),
        "n": len(shared.rows),
        "rmse_log_shared": float(np.sqrt(np.mean(shared.error**2))),
        "rmse_log_separate": float(np.sqrt(np.mean(error**2))),
        **difference.document(),
        "preferred": "shared" if difference.is_tie or difference.value < 0 else "separate",
    }


def sharing_line(test: dict[str, Any]) -> str:
    """The test as a sentence."""
    ends = test["margin_ci95_log"]
    sure = (
        "of unknown uncertainty"
        if ends is None
        else (f"95 % interval {100 * ends[0]:.2g} to {100 * ends[1]:.2g}")
    )
    chosen = "shared" if test["preferred"] == "shared" else "each objective by itself"
    if test["preferred"] == "shared" and test["margin_log"] > 0:
        chosen += ", since the difference is not sure"
    return (
        f"Held-out error with {', '.join(test['parameters'])} shared "
        f"{100 * test['rmse_log_shared']:.3g} %, of each objective by itself "
        f"{100 * test['rmse_log_separate']:.3g} %, on the same {test['n']} rows; difference "
        f"{100 * test['margin_log']:.2g} ({sure}). Preferred: {chosen}."
    )
