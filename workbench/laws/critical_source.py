"""What one source says of the critical compute, and what several of them say together.

Answers hold these as plain dictionaries ("evidence"), for programs and for the sentences here.
"""

from dataclasses import dataclass
from typing import Any

from workbench.messages import power_label

Range = tuple[float | None, float | None]
MEASURED, FITTED, PUBLISHED_LAW = "measured crossovers", "own fits", "the published law"
INPUTS = {
    "unique_tokens": "unique tokens",
    "n_params": "parameters",
    "epochs": "epochs",
    "compute": "compute",
}
"""What a question and a source's data have, and what it is called."""
_READ_AS = {"point": "point by point", "best_so_far": "against AR's best so far"}


@dataclass(frozen=True)
class Question:
    """Where advice is asked for; None for what is not part of the question."""

    unique_tokens: float
    compute: float | None = None
    n_params: float | None = None
    epochs: float | None = None

    def outside(self, data: dict[str, tuple[float, float]]) -> dict[str, float]:
        """How many times beyond the nearest of the data each number lies; only those outside."""
        factors = {}
        for name, (low, high) in data.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                factors[name] = float(value / high if value > high else low / value)
        return factors


@dataclass(frozen=True)
class Source:
    """What one source says of the critical compute (FLOPs) at U."""

    kind: str
    text: str
    """What it is made of."""
    expected: float | None
    """None where it has no more than bounds."""
    range: Range
    """None at an end that is not known."""
    exponent: float
    """How the critical compute grows with U there."""
    data: dict[str, tuple[float, float]]
    """The ranges of the `INPUTS` that it was made from, of those that are known."""
    outside: dict[str, float]
    """See `Question.outside`."""
    notes: tuple[str, ...] = ()
    readings: tuple[dict[str, Any], ...] = ()
    """At the nearest unique tokens that were measured: metric, definition, the least and the
    greatest compute of those that crossed, and the greatest lower bound; None where there is
    none."""

    def document(self) -> dict[str, Any]:
        """The source as `--format json` prints it."""
        return {
            "kind": self.kind,
            "text": self.text,
            "expected_flops": self.expected,
            "range": list(self.range),
            "data": {name: list(ends) for name, ends in self.data.items()},
            "outside": self.outside,
            "readings": list(self.readings),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Known:
    """All that the sources say on one question, in the order in which they count."""

    question: Question
    sources: tuple[Source, ...]

    @property
    def used(self) -> Source:
        """The first that gives a value."""
        return next(source for source in self.sources if source.expected is not None)

    @property
    def critical(self) -> float:
        """The critical compute that the used source expects, in FLOPs."""
        assert self.used.expected is not None
        return self.used.expected

    @property
    def disagreement(self) -> float | None:
        """The greatest value of a source over the least; None where only one gives a value."""
        values = [source.expected for source in self.sources if source.expected is not None]
        return max(values) / min(values) if len(values) > 1 else None

    def document(self) -> dict[str, Any]:
        """Keys for an answer in JSON."""
        return {
            "used": self.used.kind,
            "sources": [source.document() for source in self.sources],
            "disagreement": self.disagreement,
        }


def evidence_lines(evidence: dict[str, Any]) -> list[str]:
    """The sentences that say what was used, how far outside it speaks, and what disagrees.

    Args:
        evidence: what `Known.document` returned.
    """
    ordered = sorted(evidence["sources"], key=lambda source: source["kind"] != evidence["used"])
    lines = []
    for number, source in enumerate(ordered):
        value = source["expected_flops"]
        what = "no value" if value is None else f"{power_label(value)} FLOPs"
        lines.append(
            f"{'Also' if number else 'Used'}: {source['kind']} ({source['text']}): {what}, "
            f"{range_text(*source['range'])}; {_place(source['outside'])}."
        )
        if source["readings"]:
            lines.append(_readings_line(source["readings"]))
    if evidence["disagreement"] is not None:
        lines.append(f"These sources disagree by a factor of {evidence['disagreement']:.3g}.")
    return lines + [f"Note: {note}." for source in ordered for note in source["notes"]]


def _place(outside: dict[str, float]) -> str:
    """Where the question lies; factors below 1.1 are not worth a word."""
    beyond = [f"{x:.3g} times in {INPUTS[name]}" for name, x in outside.items() if x >= 1.1]
    return f"outside its data by {', '.join(beyond)}" if beyond else "within its data"


def _readings_line(readings: list[dict[str, Any]]) -> str:
    """What was measured at the nearest unique tokens, metric by metric."""
    texts = []
    for reading in readings:
        low, high, bound = reading["low"], reading["high"], reading["lower_bound"]
        found = [] if low is None else [f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"]
        found += [] if bound is None else [f"not by {power_label(bound)}"]
        how = _READ_AS[reading["definition"]]
        texts.append(f"{reading['metric']} {how} {' or '.join(found) or 'ahead throughout'}")
    return f"Measured (FLOPs) at {_places(readings)} unique tokens: {'; '.join(texts)}."


def _places(readings: list[dict[str, Any]]) -> str:
    return " and ".join(f"{place:,.0f}" for place in {r["unique_tokens"]: 0 for r in readings})


def range_text(low: float | None, high: float | None) -> str:
    """A range of FLOPs in words."""
    if low is None and high is None:
        return "without a range"
    ends = ("unbounded" if end is None else power_label(end) for end in (low, high))
    return " to ".join(ends)
