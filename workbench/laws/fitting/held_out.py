"""How well a law predicts the runs of most compute from the others."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.laws.fitting.check_table import configurations
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.search import search
from workbench.laws.fitting.starts import make_problem
from workbench.laws.law import Floats, Law


@dataclass(frozen=True)
class HeldOut:
    """Errors on rows that a fit has not seen: log prediction - log loss, so 0.01 is about 1 %."""

    rows: NDArray[np.intp]
    """Their places in the table that was split."""
    error: Floats
    compute: Floats
    fitted_rows: int

    def within(self, part: NDArray[np.intp]) -> "HeldOut | None":
        """Those in a part of the table, by their places there; None where it has none.

        Args:
            part: the part's rows, in ascending order.
        """
        kept = np.isin(self.rows, part)
        if not kept.any():
            return None
        places = np.searchsorted(part, self.rows[kept])
        return replace(self, rows=places, error=self.error[kept], compute=self.compute[kept])

    def document(self) -> dict[str, Any]:
        """The errors in short, as `--json` prints them."""
        return {
            "n": len(self.rows),
            "compute_from": float(self.compute.min()),
            "rmse_log": float(np.sqrt(np.mean(self.error**2))),
            "mean_abs_log": float(np.mean(np.abs(self.error))),
            "bias_log": float(np.mean(self.error)),
            "fitted_rows": self.fitted_rows,
        }


def held_out_error(
    law: Law, table: LossTable, options: FitOptions, split: NDArray[np.bool_] | None = None
) -> HeldOut | None:
    """The errors of a fit to the other rows; None where too few are left.

    Args:
        split: (n,), which rows are held out. Default: those of most compute, rows of one compute
            together.
    """
    split = held_out_rows(table, options.held_out_share) if split is None else split
    if split is None or not split.any():
        return None
    fitted, held_out = table.take(~split), table.take(split)
    problem = make_problem(law, fitted, options)
    if configurations(fitted, shared=bool(options.shared)) <= problem.free.sum():
        return None
    if options.shared and fitted.objectives != table.objectives:
        return None
    theta = search(problem, replace(options, starts=min(options.starts, 32)))[0].theta
    error = replace(
        make_problem(law, held_out, options),
        index=problem.index,
        group=_groups(fitted, held_out, options),
    ).residuals(theta[None])[0]
    return HeldOut(np.flatnonzero(split), error, held_out.compute, len(fitted))


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
