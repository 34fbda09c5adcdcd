"""What to know before following advice: where it is unsure, and what its laws cannot say."""

from typing import Any

import numpy as np

from workbench.laws.critical_source import Known
from workbench.laws.law import Rows
from workbench.laws.measured_crossovers import MeasuredCrossover
from workbench.laws.predictors import Predictor
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import BASELINE

_WORTH = 4.0
"""Epochs that are worth about as much as new text (Muennighoff et al. 2023, arXiv:2305.16264)."""


def advice_notes(
    predictors: list[Predictor],
    options: list[dict[str, Any]],
    known: Known,
    comparable: bool,
    near: list[MeasuredCrossover],
) -> list[str]:
    """Sentences on what advice may not be relied on for, without a full stop.

    Args:
        predictors, options: of both objectives, in one order.
        comparable: whether the laws were fitted to the same data.
        near: crossovers measured near the question.
    """
    notes = []
    compute = known.question.compute or 0.0
    low, high = known.used.range
    if (low, high) != (None, None) and (low or 0.0) < compute < (high or np.inf):
        notes.append(
            "the compute at hand lies where crossovers may be: by some metric either may be ahead"
        )
    if {predictor.estimator for predictor in predictors} == {"nll", "nelbo"}:
        notes.append(
            "diffusion's predicted loss is a NELBO, an upper bound of what AR's NLL measures: "
            "diffusion may be better than the comparison says, never worse"
        )
    if not comparable:
        notes.append(
            "the two laws were fitted to different corpora and tokenizers, so their losses are "
            "not compared"
        )
    notes += [
        f"{option['objective']} does not spend all the compute: its law promises less from more"
        for option in options
        if option["compute_spent"] < 0.8 * compute
    ]
    for predictor, option in zip(predictors, options, strict=True):
        notes += _epochs_note(predictor, option, known.question.unique_tokens, near)
    if any(not option["range_known"] for option in options):
        notes.append("for a law without a known fitted range, extrapolation cannot be detected")
    return notes


def _epochs_note(
    predictor: Predictor, option: dict[str, Any], unique: float, near: list[MeasuredCrossover]
) -> list[str]:
    """A warning of many epochs by a law whose loss cannot turn upward there, if there is one."""
    epochs = option["epochs"]
    if epochs <= _WORTH or _turns(predictor, option, unique):
        return []
    note = (
        f"{option['objective']}: {epochs:,.3g} epochs come from {option['law']}, whose loss does "
        "not turn upward with more of them"
    )
    turned = [
        point
        for point in near
        if point.baseline_best_epochs is not None and not higher_is_better(point.metric)
    ]
    if predictor.objective == BASELINE and turned:
        least, most = (pick(p.baseline_best_epochs or 0.0 for p in turned) for pick in (min, max))
        between = f"{least:,.3g}" if least == most else f"{least:,.3g} to {most:,.3g}"
        studies = ", ".join(sorted({point.study for point in turned}))
        note += f"; measured loss was best after {between} epochs, and then rose ({studies})"
    return [note]


def _turns(predictor: Predictor, option: dict[str, Any], unique: float) -> bool:
    """Whether the law's loss rises anywhere on further epochs, at the size of the option."""
    tokens = option["total_tokens"] * np.geomspace(1.0, 1e4, 200)
    rows = Rows.of(np.full_like(tokens, option["n_params"]), tokens, np.full_like(tokens, unique))
    with np.errstate(over="ignore"):
        log_loss = predictor.law.log_loss(predictor.theta[0], rows)[0]
    return bool((np.diff(log_loss) > 1e-9).any())
