"""What data are worth: effective unique tokens, and the epoch from which repeats hurt."""

from dataclasses import dataclass, field
from typing import Any

from workbench.api.answers import Answer, Interval, Trends
from workbench.arguments import public


@dataclass(frozen=True)
class TextQuality:
    """Generated texts of one configuration, made in one way; or held-out text after the same
    prompts."""

    study: str
    objective: str | None
    group: dict[str, Any]
    sampler: str | None
    """None for held-out text."""
    temperature: float | None
    weights: str | None
    """ema or stable, where an average of the weights made them."""
    tokens: int
    steps: int | None
    """Of denoising; None for samplers without."""
    seeds: int
    nll: dict[str, Any] | None
    """Nats a token by the judge. A dictionary with mean, ci95, ci95_method and ci95_note, as are
    `entropy`, `distinct`, `copied` and `flops` (of inference, a token)."""
    entropy: dict[str, Any] | None
    distinct: dict[str, Any] | None
    copied: dict[str, Any] | None
    flops: dict[str, Any] | None
    estimators: list[str] = field(repr=False)
    """Judge, seed, prompts and sampler of the numbers."""
    runs: list[str] = field(repr=False)


@dataclass(frozen=True)
class EffectiveData:
    """How many unique tokens the baseline needs to be as good as the challenger on fewer."""

    study: str
    metric: str
    at: str
    baseline: Any
    challenger: Any
    group: dict[str, Any]
    unique_tokens: int
    """The challenger's."""
    value: float
    """What it reaches with them."""
    effective_unique_tokens: float | None
    """What the baseline needs for that; None outside its range."""
    ratio: float | None
    bound: str | None
    """lower or upper: on which side of the baseline's range the answer lies; None inside."""
    ratio_lower_bound: float | None
    ratio_upper_bound: float | None
    ci95: Interval
    """In unique tokens."""
    ci95_method: str | None
    ci95_note: str | None
    range: list[float]
    """The baseline's smallest and largest number of unique tokens."""
    baseline_values: list[list[float]] = field(repr=False)
    """Unique tokens and value of each of its budgets."""
    seeds: int
    runs: dict[str, list[str]] = field(repr=False)
    run_seeds: dict[str, list[Any]] = field(repr=False)
    unfinished: list[str]
    imported: bool
    note: str | None
    over: str | None
    """What the interval runs over; None where that is neither seeds nor documents."""
    over_asked: str


@dataclass(frozen=True)
class Onset:
    """The epoch of the lowest loss of one configuration, after which it rises."""

    study: str
    metric: str
    group: dict[str, Any]
    """Unique tokens, parameters, objective, and the other keys that distinguish it."""
    status: str
    """reached or not_reached."""
    epochs: float | None
    """The geometric mean over seeds; None unless all have reached it."""
    tokens: float | None
    lower_bound: float | None
    """In epochs, where it is not reached."""
    last_epoch: float
    rise: float
    """The last loss less the lowest, over seeds."""
    ci95: Interval
    """In epochs, over seeds."""
    ci95_method: str | None
    ci95_note: str | None
    seeds: int
    imported: bool
    runs: list[dict[str, Any]] = field(repr=False)


@public
@dataclass(frozen=True)
class Onsets(Answer[Onset]):
    """Where configurations begin to overfit, one row each."""

    def trends(self, against: str) -> Trends:
        """How onsets move along a key, such as `unique_tokens`: a power law, bounds counted in.

        Raises:
            InputError: no group has the key.
        """
        from workbench.analysis.overfitting import onset_trends

        found = onset_trends(self.document, against)
        return Trends(tuple(found), found, self.notes)
