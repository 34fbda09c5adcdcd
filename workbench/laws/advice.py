"""What to train on the data and the compute at hand: objective, size and epochs.

For each objective a law predicts the loss of every size N and number of tokens D that 6 N D <= C
pays for; the lowest is its best. Compute need not be spent: where a law's loss turns upward,
training stops. The compute at which the better objective changes is the critical compute. Laws
come from a study's own runs, or from the literature.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.laws.critical_compute import PUBLISHED as CRITICAL
from workbench.laws.law import Floats, Rows
from workbench.laws.predictors import Predictor

_STEPS = 140  # of sizes, and of tokens, in the grid that is searched
_SIZES = (1e4, 1e13)  # parameters
_EPOCHS = (0.1, 1e5)
_ENOUGH = 1e-3  # of the loss


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
    sizes = np.geomspace(_SIZES[0], min(params_max or np.inf, _SIZES[1]), _STEPS)
    tokens = unique * np.geomspace(*_EPOCHS, _STEPS)
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


def advise(
    predictors: list[Predictor],
    unique: float,
    compute: float,
    params_max: float | None = None,
) -> dict[str, Any]:
    """Recommend objective, size and epochs for one amount of data and compute.

    If the two laws were not fitted to the same data, their losses cannot be compared. The choice
    then follows the published critical compute.

    Args:
        predictors: baseline first, then challenger.
        unique: unique tokens.
        compute: training FLOPs, as 6 N D.
        params_max: the largest size allowed.

    Raises:
        InputError: `compute` or `params_max` is below the smallest size considered.
    """
    least = 6 * _SIZES[0] * unique * _EPOCHS[0]
    if compute < least or (params_max is not None and params_max <= _SIZES[0]):
        raise InputError(
            f"--compute {compute:g}: too little: {_SIZES[0]:,.0f} parameters on a tenth of the "
            f"unique tokens are 6 N D = {least:.2g} FLOPs."
            if compute < least
            else f"--params-max {params_max:g}: expected more than {_SIZES[0]:,.0f}."
        )
    frontiers = [frontier(predictor, unique, params_max) for predictor in predictors]
    options = [
        _option(predictor, front, unique, compute)
        for predictor, front in zip(predictors, frontiers, strict=True)
    ]
    comparable = len({predictor.source for predictor in predictors}) == 1
    published = CRITICAL["k"] * unique ** CRITICAL["p"]
    if comparable:
        choice = min(options, key=lambda option: option["loss"])["objective"]
        critical = critical_compute(frontiers)
    else:
        choice = predictors[1 if compute > published else 0].objective
        critical = {"value": published, "status": "crossed", "ci95": None, "searched": None}
    return {
        "unique_tokens": unique,
        "compute": compute,
        "params_max": params_max,
        "choice": choice,
        "choice_from": "predicted losses" if comparable else "the published critical compute",
        "confidence": _confidence(frontiers, compute) if comparable else None,
        "options": options,
        "critical_compute": critical,
        "published_critical_compute": published,
        "notes": _notes(predictors, options, comparable, compute),
    }


def _option(predictor: Predictor, front: Frontier, unique: float, compute: float) -> dict[str, Any]:
    place = front.at(compute)
    n, tokens = float(front.n_params[0, place]), float(front.total_tokens[0, place])
    spent = 6 * n * tokens
    asked = {
        "n_params": n, "total_tokens": tokens, "unique_tokens": unique, "compute": spent,
        "epochs": tokens / unique,
    }  # fmt: skip
    return {
        "objective": predictor.objective,
        "n_params": n,
        "n_params_ci95": _interval(front.n_params[:, place]),
        "total_tokens": tokens,
        "epochs": tokens / unique,
        "epochs_ci95": _interval(front.total_tokens[:, place] / unique),
        "compute_spent": spent,
        "loss": float(front.loss[0, place]),
        "loss_ci95": _interval(front.loss[:, place]),
        "enough": _enough(front, place, unique),
        "estimator": predictor.estimator,
        "law": predictor.law.name,
        "source": predictor.source,
        "outside": {
            name: outside
            for name, value in asked.items()
            if (outside := _outside(value, predictor.fitted_range.get(name)))
        },
        "range_known": bool(predictor.fitted_range),
    }


def _enough(front: Frontier, place: int, unique: float) -> dict[str, float]:
    """The least compute that comes within a thousandth of the best loss."""
    least = int(np.argmax(front.loss[0, : place + 1] <= front.loss[0, place] * (1 + _ENOUGH)))
    tokens = float(front.total_tokens[0, least])
    return {
        "n_params": float(front.n_params[0, least]),
        "epochs": tokens / unique,
        "total_tokens": tokens,
        "compute": float(front.compute[least]),
        "loss": float(front.loss[0, least]),
    }


def _interval(values: Floats) -> list[float] | None:
    if len(values) < 20:
        return None
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return [float(low), float(high)]


def _outside(value: float, fitted: tuple[float, float] | None) -> str | None:
    """How far a value lies outside the range that a law was fitted to."""
    if fitted is None or fitted[0] <= value <= fitted[1]:
        return None
    if value > fitted[1]:
        return f"{value / fitted[1]:.3g} times above the largest fitted"
    return f"{fitted[0] / value:.3g} times below the smallest fitted"


def _confidence(fronts: list[Frontier], compute: float) -> float | None:
    """Share of resamples in which the choice is the same, or None without resamples."""
    draws = min(len(front.loss) for front in fronts)
    if draws < 20:
        return None
    table = np.stack([front.loss[:draws, front.at(compute)] for front in fronts])
    chosen = np.argmin(table, axis=0)
    return float((chosen[1:] == chosen[0]).mean())


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
    places = np.array([_crossing_place(np.log(compute), row) for row in lead])
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


def _crossing_place(x: Floats, lead: Floats) -> float:
    """Where the lead turns positive for good: inf where it never does, -inf where it is."""
    behind = np.flatnonzero(lead <= 0)
    if not len(behind):
        return -np.inf
    last = behind[-1]
    if last == len(lead) - 1:
        return np.inf
    share = -lead[last] / (lead[last + 1] - lead[last])
    return float(x[last] + share * (x[last + 1] - x[last]))


def _notes(
    predictors: list[Predictor], options: list[dict[str, Any]], comparable: bool, compute: float
) -> list[str]:
    notes = []
    if {predictor.estimator for predictor in predictors} == {"nll", "nelbo"}:
        notes.append(
            "diffusion's predicted loss is a NELBO, an upper bound of what AR's NLL measures: "
            "diffusion may be better than the comparison says, never worse"
        )
    if not comparable:
        notes.append(
            "the two laws were fitted to different corpora and tokenizers, so their losses are "
            "not compared; the choice follows C_crit = 2.12 x 10^1.956 x U^2.174 (Prabhudesai et "
            "al. 2025, arXiv:2507.15857), which was published without an interval"
        )
    notes += [
        f"{option['objective']} does not spend all the compute: its law promises less from more"
        for option in options
        if option["compute_spent"] < 0.8 * compute
    ]
    if any(not option["range_known"] for option in options):
        notes.append("for a law without a known fitted range, extrapolation cannot be detected")
    return notes


def advice_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Advice as table rows, one for each objective."""
    return [
        {
            "objective": option["objective"],
            "chosen": option["objective"] == answer["choice"],
            "parameters": _rounded(option["n_params"]),
            "epochs": _rounded(option["epochs"]),
            "predicted loss": option["loss"],
            "95 % interval": _interval_text(option["loss_ci95"]),
            "measures": "NELBO, a bound" if option["estimator"] == "nelbo" else "NLL",
            "within 0.1 % from (FLOPs)": _rounded(option["enough"]["compute"]),
            "outside the fitted range": ", ".join(
                f"{name}: {how}" for name, how in option["outside"].items()
            )
            or ("" if option["range_known"] else "range unknown"),
        }
        for option in answer["options"]
    ]


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if 1 <= value < 1e6 else f"{value:.3g}"


def _interval_text(interval: list[float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"


def advice_lines(answer: dict[str, Any]) -> list[str]:
    """The sentences that go with the table of advice: the choice, where it flips, notes."""
    critical = answer["critical_compute"]
    where = {
        "crossed": lambda: f"{critical['value']:.3g} FLOPs",
        "not_reached": lambda: f"above {critical['searched'][1]:.3g} FLOPs, if anywhere",
        "ahead_throughout": lambda: f"below {critical['searched'][0]:.3g} FLOPs, if anywhere",
    }[critical["status"]]()
    if critical["ci95"]:
        low, high = (f"{end:.3g}" if end else "unbounded" for end in critical["ci95"])
        where += f" (95 % interval {low} to {high})"
    lines = [
        f"Train {answer['choice']} (by {answer['choice_from']}).",
        f"On {answer['unique_tokens']:,.0f} unique tokens the choice flips at {where}; "
        f"{answer['compute']:.3g} are at hand.",
    ]
    if answer["confidence"] is not None:
        lines.append(f"{answer['confidence']:.0%} of resampled fits make the same choice.")
    return lines + [f"Note: {note}." for note in answer["notes"]]
