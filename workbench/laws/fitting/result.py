"""The result of a fit."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.laws.fitting.held_out import HeldOut
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.ratios import Estimates, ratios_line
from workbench.laws.fitting.sharing import sharing_line
from workbench.laws.fitting.uncertainty import Profile
from workbench.laws.formula import with_numbers
from workbench.laws.law import Floats


@dataclass(frozen=True)
class Fit:
    """One fitted law. Parameters are in the law's own units, and named as in its formula.

    `ci95` has None on a side where the interval reaches the end of the parameter's range: it is
    unbounded there. `identified` says whether the profile likelihood bounds a parameter on
    both sides.
    """

    law: str
    objective_name: str | None
    n: int
    loss: float
    huber_delta: float | None
    """None where the fit is by least squares."""
    r2: float | None
    params: dict[str, float]
    ci95: dict[str, tuple[float | None, float | None] | None]
    identified: dict[str, bool]
    starts: int
    held_out: dict[str, Any] | None
    fixed: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    minima: tuple[dict[str, Any], ...] = ()
    ci_method: str | None = None
    influence: tuple[dict[str, Any], ...] | None = None
    checks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    formula: str = ""
    citation: str = ""
    at_bound: tuple[str, ...] = ()
    profiles: tuple[Profile, ...] = field(default=(), repr=False)
    table: LossTable | None = field(default=None, repr=False)
    predicted: Floats | None = field(default=None, repr=False)
    draws: dict[str, Floats] | None = field(default=None, repr=False)
    fitted_range: dict[str, tuple[float, float]] = field(default_factory=dict)
    unseen: HeldOut | None = field(default=None, repr=False)
    """Errors on this objective's held-out rows; the rows are places in `table`."""
    sharing: dict[str, Any] | None = None
    """Of a fit with shared parameters: see `sharing.sharing_test`."""
    ratios: dict[str, dict[str, Any]] | None = None
    """Parameters over those of AR, fitted by itself: see `ratios.parameter_ratios`."""

    def estimates(self) -> Estimates:
        return Estimates(self.params, self.ci95, self.identified)

    @property
    def residuals(self) -> Floats:
        """Of log loss, a row each, as large as those of runs that were not fitted."""
        assert self.table is not None
        assert self.predicted is not None
        rows, free = len(self.table), len(self.params) - len(self.fixed)
        return np.log(self.table.loss / self.predicted) * np.sqrt(rows / max(rows - free, 1))

    def row(self) -> dict[str, Any]:
        """The fit as `--json` prints it."""
        return {
            "law": self.law,
            "objective_name": self.objective_name,
            "fitted_to": None if self.table is None else self.table.described(),
            "n": self.n,
            "loss": self.loss,
            "huber_delta": self.huber_delta,
            "r2": self.r2,
            "params": self.params,
            "ci95": {name: list(ci) if ci else None for name, ci in self.ci95.items()},
            "identified": self.identified,
            "starts": self.starts,
            "held_out": self.held_out,
            "fixed": list(self.fixed),
            "shared": list(self.shared),
            "sharing": self.sharing,
            "ratios": self.ratios,
            "at_bound": list(self.at_bound),
            "minima": list(self.minima),
            "ci_method": self.ci_method,
            "influence": None if self.influence is None else list(self.influence),
            "fitted_range": {k: list(v) for k, v in self.fitted_range.items()},
            "checks": list(self.checks),
            "notes": list(self.notes),
            "formula": self.formula,
            "citation": self.citation,
        }


def r_squared(seen: Floats, predicted: Floats) -> float | None:
    """1 - residual over total sum of squares, of the losses themselves; None for one value."""
    total = ((seen - seen.mean()) ** 2).sum()
    return None if total == 0 else float(1 - ((seen - predicted) ** 2).sum() / total)


def fitted_range(table: LossTable) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of each input in the table."""
    columns = {"n_params": table.n_params, "total_tokens": table.total_tokens}
    columns["compute"] = table.compute
    if table.unique_tokens is not None:
        columns["unique_tokens"] = table.unique_tokens
        columns["epochs"] = table.total_tokens / table.unique_tokens
    return {name: (float(v.min()), float(v.max())) for name, v in columns.items()}


def parameter_rows(fits: list[Fit]) -> list[dict[str, Any]]:
    """Parameters as table rows, one each, with unbounded sides and unidentified values marked."""
    rows = []
    for fit in fits:
        for name, value in fit.params.items():
            row: dict[str, Any] = {"law": fit.law}
            if any(f.objective_name for f in fits):
                row["objective"] = fit.objective_name
            row |= {"parameter": name, "value": value, "95 % interval": _interval_text(fit, name)}
            row["identified"] = "fixed" if name in fit.fixed else fit.identified.get(name)
            rows.append(row)
    return rows


def _interval_text(fit: Fit, name: str) -> str | None:
    ends = fit.ci95.get(name)
    if ends is None:
        return None
    low, high = ends
    return (
        f"{'unbounded' if low is None else format(low, '.4g')} to "
        f"{'unbounded' if high is None else format(high, '.4g')}"
    )


def summary(fit: Fit) -> list[str]:
    """The lines that describe a fit beside its parameters: quality, minima, checks, notes."""
    who = fit.law + (f", {fit.objective_name}" if fit.objective_name else "")
    r2 = "" if fit.r2 is None else f", R2 {fit.r2:.4f}"
    kind = (
        "half squares" if fit.huber_delta is None else f"Huber losses (delta {fit.huber_delta:g})"
    )
    numbers = with_numbers(fit.formula, fit.params)
    lines = [f"{who}: {fit.formula}"]
    if numbers != fit.formula:
        lines.append(f"With the fitted numbers: {numbers}.")
    lines.append(f"{fit.n:,} rows, sum of {kind} {fit.loss:.8g}{r2}.")
    if fit.ci_method:
        lines.append(f"Intervals: {fit.ci_method}.")
    if len(fit.minima) > 1:
        others = ", ".join(f"{m['loss']:.6g}" for m in fit.minima[1:4])
        lines.append(
            f"{fit.starts} starts found {len(fit.minima)} distinct minima; the next best: {others}."
        )
    weak = [name for name, ok in fit.identified.items() if not ok]
    if weak:
        lines.append(
            f"Not identified by these data: {', '.join(weak)}. Other values fit as well; do not "
            "interpret them."
        )
    if fit.at_bound:
        lines.append(f"At the end of the allowed range: {', '.join(fit.at_bound)}.")
    if fit.held_out and "rmse_log" in fit.held_out:
        lines.append(
            f"Fitted to the other rows, the {fit.held_out['n']} of most compute (from "
            f"{fit.held_out['compute_from']:.3g} FLOPs) are predicted with an error of "
            f"{100 * fit.held_out['rmse_log']:.3g} % (root mean square)."
        )
    if fit.sharing:
        lines.append(sharing_line(fit.sharing))
    if fit.ratios:
        lines.append(ratios_line(fit.ratios))
    lines += [f"Check: {finding}" for finding in fit.checks]
    lines += [f"Note: {note}." for note in fit.notes]
    return lines
