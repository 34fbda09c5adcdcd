"""Which law predicts best the runs of most compute from the others, and which do as well."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.laws.fitting.clusters import Clusters, clusters_of
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.margin import Margin, margin
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit
from workbench.laws.law import Law, Procedure


def tournament(
    laws: Mapping[str, Law | Procedure], table: LossTable, options: FitOptions
) -> tuple[list[Fit], list[str]]:
    """Fit every law that the table can determine.

    Each fit's held-out error comes with its margin to the best of its objective, paired over the
    held-out rows; whether that is a tie; and whether it is the simplest law within one standard
    error of the best.

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
    fits = sorted(fits, key=_rank)
    objectives = dict.fromkeys(fit.objective_name for fit in fits)
    own = [[fit for fit in fits if fit.objective_name == name] for name in objectives]
    return [fit for part in own for fit in compared(part, options)], missing


def _rank(fit: Fit) -> tuple[str, float]:
    return (fit.objective_name or "", held_out_rmse(fit) or float("inf"))


def compared(fits: list[Fit], options: FitOptions) -> list[Fit]:
    """Fits to the same rows, the best first, with their margins to it in `held_out`."""
    fits = sorted(fits, key=_rank)
    best = fits[0]
    margins = [_margin(fit, best, options) for fit in fits]
    near = [
        fit
        for fit, one in zip(fits, margins, strict=True)
        if one is not None and one.within_one_error
    ]
    simplest = min(near, key=lambda fit: (free_parameters(fit), held_out_rmse(fit)), default=None)
    return [
        fit
        if one is None
        else replace(
            fit,
            held_out={
                **(fit.held_out or {}),
                **one.document(),
                "tie": one.is_tie,
                "simplest": fit is simplest,
            },
        )
        for fit, one in zip(fits, margins, strict=True)
    ]


def _margin(fit: Fit, best: Fit, options: FitOptions) -> Margin | None:
    """None where a fit predicts no losses, or was held out on other rows."""
    own, other = fit.unseen, best.unseen
    if own is None or other is None or not np.array_equal(own.rows, other.rows):
        return None
    return margin(own.error, other.error, _clusters(fit, options))


def _clusters(fit: Fit, options: FitOptions) -> Clusters | None:
    """The clusters of a fit's held-out rows."""
    assert fit.table is not None
    assert fit.unseen is not None
    try:
        clusters = clusters_of(fit.table, options.cluster)
    except InputError:  # one objective's rows may all be in one cluster of a shared fit
        clusters = Clusters(np.zeros(len(fit.table), dtype=np.intp), str(options.cluster))
    return clusters and replace(clusters, label=clusters.label[fit.unseen.rows])


def held_out_rmse(fit: Fit) -> float | None:
    """Root mean square error of log loss on held-out rows, where the law predicts losses."""
    return (fit.held_out or {}).get("rmse_log")


def free_parameters(fit: Fit) -> int:
    return len([name for name in fit.params if name not in fit.fixed])


def standings(fits: list[Fit]) -> list[dict[str, Any]]:
    """The tournament as table rows."""
    best: dict[str | None, Fit] = {}
    for fit in fits:
        best.setdefault(fit.objective_name, fit)
    return [_standing(fit, fit.held_out or {}, best[fit.objective_name]) for fit in fits]


def _reason(fit: Fit, held_out: dict[str, Any], best: Fit) -> str:
    """Why a law stands where it does: a lower loss of its own rows is no merit by itself."""
    if fit is best:
        return "lowest held-out error"
    if held_out.get("tie") is None:
        return "no error on the same held-out rows"
    if held_out["tie"]:
        return "as good as the best, within noise"
    closer = fit.n == best.n and fit.loss < best.loss
    return "errs more on held-out rows" + (", though it fits its own more closely" * closer)


def _standing(fit: Fit, held_out: dict[str, Any], best: Fit) -> dict[str, Any]:
    return {
        "law": fit.law,
        "objective": fit.objective_name,
        "rows": fit.n,
        "free": free_parameters(fit),
        "held-out error (log loss)": held_out_rmse(fit),
        "above best": held_out.get("margin_log"),
        "standard error": held_out.get("margin_stderr_log"),
        "tie": held_out.get("tie"),
        "reason": _reason(fit, held_out, best),
        "held-out rows": held_out.get("n"),
        "Huber objective": fit.loss,
        "R2": fit.r2,
        "not identified": ", ".join(n for n, ok in fit.identified.items() if not ok),
    }


def verdicts(fits: list[Fit]) -> list[str]:
    """Of each objective, the law of the lowest held-out error, its ties, and the one to take."""
    lines = []
    for objective in dict.fromkeys(fit.objective_name for fit in fits):
        ranked = [
            (fit.law, fit.held_out)
            for fit in fits
            if fit.objective_name == objective and fit.held_out and "margin_log" in fit.held_out
        ]
        if not ranked:
            continue
        ties = ", ".join(law for law, held_out in ranked[1:] if held_out["tie"])
        simplest = next(law for law, held_out in ranked if held_out["simplest"])
        lines.append(
            f"{objective or 'All rows'}: {ranked[0][0]} has the lowest held-out error; ties with "
            f"it: {ties or 'none'}. Simplest within one standard error: {simplest}."
        )
    return lines
