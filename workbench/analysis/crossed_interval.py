"""The 95 % interval of a mean over seeds and documents, and the words for what it runs over."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from workbench.analysis.crossed import CrossedMean, Over
from workbench.analysis.texts import ONE_TEXT
from workbench.messages import choose


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, None where nothing is known of its uncertainty."""

    estimate: float
    ci95: list[float] | None
    dof: float | None
    method: str | None
    note: str | None = None
    """Why there is no interval, or what it does not hold."""
    over: Over | None = None
    """What the interval runs over."""


def known_over(mean: CrossedMean, over: Over) -> Over | None:
    """`over`, or what of it is known: documents alone with one seed, seeds alone without
    documents; None if nothing is."""
    choose("--over", over, get_args(Over))
    if mean.has(over):
        return over
    if over == "seeds+documents":
        for one in ("seeds", "documents"):
            if mean.has(one):
                return one
    return None


def method_text(mean: CrossedMean, over: Over, dof: float) -> str:
    """What an interval runs over, such as "t interval over 5 seeds and 284 documents (crossed),
    6.3 degrees of freedom"."""
    seeds = mean.draws
    documents = f"{mean.n_documents} documents"
    text = {
        "seeds+documents": f"{seeds} and {documents} (crossed)",
        "seeds": seeds,
        "documents": f"{documents} of {seeds}",
    }[over]
    return f"t interval over {text}, {degrees(dof)}"


def degrees(dof: float) -> str:
    """Degrees of freedom in words."""
    if not np.isfinite(dof):
        return "infinitely many degrees of freedom"
    number = f"{dof:.1f}".removesuffix(".0")
    return f"{number} degree{'' if number == '1' else 's'} of freedom"


def interval(mean: CrossedMean, over: Over = "seeds+documents", at: int = 0) -> Interval:
    """The 95 % interval at one point: over both, or over what of them is known.

    Its method names what it runs over; its note says what is missing. One seed has an interval
    over documents, which does not hold what another seed would change.
    """
    estimate = float(mean.value[at])
    known = known_over(mean, over)
    if known is None:
        what = "one seed" if over != "documents" else "no values of single documents"
        return Interval(estimate, None, None, None, f"{what}: no interval over {over}")
    half, dof = (float(one[at]) for one in mean.half_width(known))
    return Interval(
        estimate,
        [estimate - half, estimate + half],
        dof,
        method_text(mean, known, dof),
        missing_note(mean, over, known),
        known,
    )


def as_asked(answer: dict[str, Any], asked: Over, used: Over | None) -> dict[str, Any]:
    """An answer with "over", what its interval runs over (None where that is neither seeds nor
    documents), and "over_asked"; where the two differ, its "ci95_note" says so."""
    note = answer.get("ci95_note")
    reason_is_known = asked == "seeds" and answer.get("ci95") is None and note
    if asked != "seeds+documents" and used != asked and not reason_is_known:
        got = "there is none" if answer.get("ci95") is None else f"this one is over {used}"
        if used is None and answer.get("ci95") is not None:
            got = "this one is over neither seeds nor documents"
        note = "; ".join(filter(None, (f"an interval over {asked} was asked for: {got}", note)))
        if asked == "documents":
            note += (
                "; values of single documents are in the results folder in which the runs were "
                "trained, where this version did that"
            )
    return answer | {"ci95_note": note, "over": used, "over_asked": asked}


def missing_note(mean: CrossedMean, over: Over, known: Over) -> str | None:
    """What an interval over `known` lacks of one over `over`."""
    if mean.draws.one_text and known != "documents":
        return "; ".join(filter(None, (_missing(over, known), ONE_TEXT)))
    return _missing(over, known)


def _missing(over: Over, known: Over) -> str | None:
    if known == over:
        return None
    if known == "documents":
        return "one seed: what differs between seeds is not in the interval"
    return "no values of single documents: the choice of held-out text is not in the interval"
