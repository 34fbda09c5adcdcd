"""What to train on the data and the compute at hand: objective, size and epochs.

Which objective follows from the compute at which diffusion overtakes AR, by the first source that
knows it (`laws.evidence`): measured crossovers, laws fitted to one study, the published law. Size
and epochs of each objective are those for which its law predicts the lowest loss; compute need not
be spent: where a law's loss turns upward, training stops. For a law that cannot turn upward, a note
has the epochs after which AR was measured to become worse.
"""

from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.laws.advice_notes import advice_notes
from workbench.laws.best_loss import (
    EPOCHS,
    SIZES,
    Frontier,
    critical_compute,
    fitted_source,
    frontier,
)
from workbench.laws.critical_source import (
    FITTED,
    MEASURED,
    PUBLISHED_LAW,
    Known,
    Question,
    evidence_lines,
    range_text,
)
from workbench.laws.evidence import Evidence, published
from workbench.laws.law import Floats
from workbench.laws.predictors import Predictor, outside_range
from workbench.messages import power_label, size_label

_CHOICE_FROM = {
    MEASURED: MEASURED,
    FITTED: "the critical compute of own fits",
    PUBLISHED_LAW: "the published critical compute",
}
_ENOUGH = 1e-3  # of the loss


def advise(
    predictors: list[Predictor],
    unique: float,
    compute: float,
    params_max: float | None = None,
    evidence: Evidence | None = None,
) -> dict[str, Any]:
    """Recommend objective, size and epochs for one amount of data and compute.

    If the two laws were not fitted to the same data, their losses cannot be compared, and they say
    nothing about which objective is better.

    Args:
        predictors: baseline first, then challenger.
        unique: unique tokens.
        compute: training FLOPs, as 6 N D.
        params_max: the largest size allowed.
        evidence: what was measured (`evidence.gather`); None for laws alone.

    Raises:
        InputError: `compute` or `params_max` is below the smallest size considered.
    """
    if not 1 <= unique < np.inf:
        raise InputError(f"--unique-tokens {unique:g}: expected 1 or more.")
    least = 6 * SIZES[0] * unique * EPOCHS[0]
    if not least <= compute < np.inf or (params_max is not None and not params_max > SIZES[0]):
        raise InputError(
            f"--compute {compute:g}: too little: {SIZES[0]:,.0f} parameters on a tenth of the "
            f"unique tokens are 6 N D = {least:.2g} FLOPs."
            if not compute >= least
            else f"--compute {compute:g}: expected a number of FLOPs."
            if not compute < np.inf
            else f"--params-max {params_max:g}: expected more than {SIZES[0]:,.0f}."
        )
    evidence = evidence or Evidence()
    frontiers = [frontier(predictor, unique, params_max) for predictor in predictors]
    options = [
        _option(predictor, front, unique, compute)
        for predictor, front in zip(predictors, frontiers, strict=True)
    ]
    comparable = len({predictor.source for predictor in predictors}) == 1
    fitted = critical_compute(frontiers) if comparable else None

    def ask(question: Question) -> Known:
        own = fitted_source(predictors, question, fitted) if comparable else None
        return evidence.about(question, own)

    known = ask(Question(unique, compute))
    if comparable and known.used.kind != MEASURED:  # by the losses themselves, at this compute
        chosen = min(options, key=lambda option: option["loss"])
        choice_from = "predicted losses"
    else:
        chosen = options[1 if compute > known.critical else 0]
        choice_from = _CHOICE_FROM[known.used.kind]
    known = ask(Question(unique, compute, chosen["n_params"], chosen["epochs"]))
    return {
        "unique_tokens": unique,
        "compute": compute,
        "params_max": params_max,
        "choice": chosen["objective"],
        "choice_from": choice_from,
        "confidence": _confidence(frontiers, compute) if comparable else None,
        "options": [
            option | {"reason": _reason(option, chosen, options, known, comparable, choice_from)}
            for option in options
        ],
        "critical_compute": _critical(known, fitted),
        "published_critical_compute": published(unique),
        "evidence": known.document(),
        "notes": advice_notes(predictors, options, known, comparable, evidence.near(unique)),
    }


def _reason(
    option: dict[str, Any],
    chosen: dict[str, Any],
    options: list[dict[str, Any]],
    known: Known,
    comparable: bool,
    choice_from: str,
) -> str:
    """Why an objective is chosen, or is not although its predicted loss is lower."""
    compute = known.question.compute or 0.0
    if option is chosen:
        if choice_from == "predicted losses":
            return "lowest predicted loss"
        side = "above" if compute > known.critical else "below"
        flips = power_label(known.critical)
        return f"{power_label(compute)} FLOPs are {side} the {flips} where the choice flips"
    if option["loss"] >= chosen["loss"]:
        return "higher predicted loss" if comparable else "its loss is of another law's data"
    why = "measured crossovers come before laws" if comparable else (
        "the two laws were fitted to different data, so their losses are not compared"
    )  # fmt: skip
    outside = ", and it is asked outside the range of its fit" if option["outside"] else ""
    return f"lower predicted loss, but {why}{outside}"


def _critical(known: Known, fitted: dict[str, Any] | None) -> dict[str, Any]:
    """Where the choice flips, by the source that is used. "range" is where it may lie; "ci95" is
    the interval of a fit at hand."""
    if fitted is not None and known.used.kind != MEASURED:
        return {**fitted, "range": fitted["ci95"]}
    value, ends = known.critical, list(known.used.range)
    return {"value": value, "status": "crossed", "ci95": None, "searched": None, "range": ends}


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
            if (outside := outside_range(value, predictor.fitted_range.get(name)))
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


def _confidence(fronts: list[Frontier], compute: float) -> float | None:
    """Share of resamples in which the choice is the same, or None without resamples."""
    draws = min(len(front.loss) for front in fronts)
    if draws < 20:
        return None
    table = np.stack([front.loss[:draws, front.at(compute)] for front in fronts])
    chosen = np.argmin(table, axis=0)
    return float((chosen[1:] == chosen[0]).mean())


def advice_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Advice as table rows, one for each objective."""
    return [
        {
            "objective": option["objective"],
            "chosen": option["objective"] == answer["choice"],
            "reason": option["reason"],
            "parameters": size_label(option["n_params"]),
            "epochs": _rounded(option["epochs"]),
            "predicted loss": option["loss"],
            "95 % interval": _interval_text(option["loss_ci95"]),
            "measures": "NELBO, a bound" if option["estimator"] == "nelbo" else "NLL",
            "within 0.1 % from (FLOPs)": power_label(option["enough"]["compute"]),
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
        "crossed": lambda: f"{power_label(critical['value'])} FLOPs",
        "not_reached": lambda: f"above {power_label(critical['searched'][1])} FLOPs, if anywhere",
        "ahead_throughout": lambda: (
            f"below {power_label(critical['searched'][0])} FLOPs, if anywhere"
        ),
    }[critical["status"]]()
    if critical["range"]:
        name = "95 % interval" if critical["ci95"] else "range"
        where += f" ({name} {range_text(*critical['range'])})"
    lines = [
        f"Train {answer['choice']} (by {answer['choice_from']}).",
        f"On {size_label(answer['unique_tokens'])} unique tokens the choice flips at {where}; "
        f"{power_label(answer['compute'])} are at hand.",
    ]
    if answer["confidence"] is not None:
        lines.append(f"{answer['confidence']:.0%} of resampled fits make the same choice.")
    lines += evidence_lines(answer["evidence"])
    return lines + [f"Note: {note}." for note in answer["notes"]]
