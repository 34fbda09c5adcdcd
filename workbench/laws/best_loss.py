"""The lowest loss that a law predicts for each amount of compute, and where the better law changes.

For each objective a law predicts the loss of every size N and number of tokens D that 6 N D <= C
pays for; the lowest is its best. The compute at which the better objective changes is the critical
compute.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.laws.critical_compute import PUBLISHED
from workbench.laws.critical_source import FITTED, INPUTS, Question, Source
from workbench.laws.law import Floats, Rows
from workbench.laws.predictors import Predictor

STEPS = 140  # of sizes, and of tokens, in the grid that is searched
SIZES = (1e4, 1e13)  # parameters
EPOCHS = (0.1, 1e5)


@dataclass(frozen=True)
class Frontier:
    """The lowest loss that a law predicts for each amount of compute.

    `compute` (m,) increases; `loss` (S, m) is the lowest up to there, at `n_params` and
    `total_tokens` (S, m).
    """

    compute: Floats
    loss: Floats
    n_params: Floats
    total_tokens: Floats

    def at(self, compute: float) -> int:
        """The index of the last element that the compute pays for."""
        return int(np.searchsorted(self.compute, compute * (1 + 1e-12), side="right")) - 1


def frontier(predictor: Predictor, unique: float, params_max: float | None = None) -> Frontier:
    """Search sizes and tokens on a grid, for every parameter vector of a predictor."""
    sizes = np.geomspace(SIZES[0], min(params_max or np.inf, SIZES[1]), STEPS)
    tokens = unique * np.geomspace(*EPOCHS, STEPS)
    n, d = (grid.ravel() for grid in np.meshgrid(sizes, tokens, indexing="ij"))
    order = np.argsort(6 * n * d, kind="stable")
    n, d = n[order], d[order]
    rows = Rows.of(n, d, np.full(len(n), unique))
    loss = np.empty((len(predictor.theta), len(n)))
    place = np.empty(loss.shape, dtype=np.intp)
    for s, theta in enumerate(predictor.theta):  # one at a time: the grid is large
        with np.errstate(over="ignore"):
            own = np.exp(predictor.law.log_loss(theta, rows)[0])
        loss[s] = np.minimum.accumulate(own)
        lower = np.r_[True, loss[s, 1:] < loss[s, :-1]]  # of equal losses the cheapest
        place[s] = np.maximum.accumulate(np.where(lower, np.arange(len(n)), 0))
    return Frontier(6 * n * d, loss, n[place], d[place])


def critical_compute(fronts: list[Frontier]) -> dict[str, Any]:
    """The compute from which on the challenger's best loss stays below the baseline's.

    Args:
        fronts: of the baseline and of the challenger, on one grid.

    Returns:
        "value" (FLOPs) or None with "status" not_reached or ahead_throughout over the range
        "searched"; "ci95" over resamples, None at an end that lies outside that range.
    """
    baseline, challenger = fronts
    draws = min(len(baseline.loss), len(challenger.loss))
    thinned = slice(0, None, 10)
    compute = baseline.compute[thinned]
    lead = (baseline.loss[:draws] - challenger.loss[:draws])[:, thinned]
    places = np.array([crossing_place(np.log(compute), row) for row in lead])
    status = {np.inf: "not_reached", -np.inf: "ahead_throughout"}.get(places[0], "crossed")
    interval = None
    if len(places) >= 20:
        low, high = np.quantile(places[1:], [0.025, 0.975], method="inverted_cdf")
        interval = [float(np.exp(end)) if np.isfinite(end) else None for end in (low, high)]
    return {
        "value": float(np.exp(places[0])) if status == "crossed" else None,
        "status": status,
        "ci95": interval,
        "searched": [float(compute[0]), float(compute[-1])],
    }


def crossing_place(x: Floats, lead: Floats) -> float:
    """Where the lead turns positive for good: inf where it never does, -inf where it is."""
    behind = np.flatnonzero(lead <= 0)
    if not len(behind):
        return -np.inf
    last = behind[-1]
    if last == len(lead) - 1:
        return np.inf
    share = -lead[last] / (lead[last + 1] - lead[last])
    return float(x[last] + share * (x[last + 1] - x[last]))


def fitted_source(
    predictors: list[Predictor], question: Question, critical: dict[str, Any] | None = None
) -> Source:
    """What laws of both objectives, fitted to one study, say.

    Args:
        critical: their critical compute, where it is known already.
    """
    if critical is None:
        critical = critical_compute([frontier(p, question.unique_tokens) for p in predictors])
    ranges = [predictor.fitted_range for predictor in predictors]
    data = {
        name: (min(r[name][0] for r in ranges), max(r[name][1] for r in ranges))
        for name in set.intersection(*(set(own) for own in ranges))
        if name in INPUTS
    }
    ends = critical["ci95"] or (None, None)
    notes = []
    if critical["value"] is None:
        notes.append(f"by the fitted laws the crossover is {critical['status'].replace('_', ' ')}")
    laws = " and ".join(dict.fromkeys(p.law.name for p in predictors))
    return Source(
        FITTED,
        f"{laws}, fitted to {predictors[0].source}",
        critical["value"],
        (ends[0], ends[1]),
        PUBLISHED["p"],
        data,
        question.outside(data),
        tuple(notes),
    )
