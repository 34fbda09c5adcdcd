"""Which law predicts best the runs of most compute from the others."""

from collections.abc import Mapping
from typing import Any

from workbench.errors import InputError
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit
from workbench.laws.law import Law, Procedure


def tournament(
    laws: Mapping[str, Law | Procedure], table: LossTable, options: FitOptions
) -> tuple[list[Fit], list[str]]:
    """Fit every law that the table can determine.

    Returns:
        The fits, best held-out error first within each objective, and for each law that could
        not be fitted the reason.

    Raises:
        InputError: no law can be fitted.
    """
    fits: list[Fit] = []
    missing: list[str] = []
    for name in laws:
        try:
            fits += fit_law(laws[name], table, options)
        except InputError as error:
            missing.append(f"{name}: {error}")
    if not fits:
        raise InputError("no law can be fitted:\n" + "\n".join(missing))
    return sorted(fits, key=_rank), missing


def _rank(fit: Fit) -> tuple[str, float]:
    return (fit.objective_name or "", held_out_rmse(fit) or float("inf"))


def held_out_rmse(fit: Fit) -> float | None:
    """Root mean square error of log loss on held-out rows, where the law predicts losses."""
    return (fit.held_out or {}).get("rmse_log")


def standings(fits: list[Fit]) -> list[dict[str, Any]]:
    """The tournament as table rows."""
    return [
        {
            "law": fit.law,
            "objective": fit.objective_name,
            "rows": fit.n,
            "free": len([name for name in fit.params if name not in fit.fixed]),
            "held-out error (log loss)": held_out_rmse(fit),
            "held-out rows": (fit.held_out or {}).get("n"),
            "Huber objective": fit.loss,
            "R2": fit.r2,
            "not identified": ", ".join(n for n, ok in fit.identified.items() if not ok),
        }
        for fit in fits
    ]
