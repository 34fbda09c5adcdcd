"""The options of a fit."""

from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.errors import InputError
from workbench.laws.fitting.problem import HUBER_DELTA
from workbench.laws.law import Law
from workbench.messages import suggestion

STAGES = ("search", "resamples", "profiles", "influence", "held-out error")
"""The stages of a fit, in order."""


@dataclass(frozen=True)
class FitOptions:
    """How a law is fitted.

    `fixed` fixes parameters at values. `tied` makes parameters equal, such as alpha and beta.
    `shared` parameters are the same for all objectives, which are then fitted together. `joint`
    fits all rows as if of one objective. `two_stage` first fits the law without repetition to runs
    of one epoch, and fixes those parameters in the second stage.
    """

    fixed: dict[str, float] = field(default_factory=dict)
    tied: tuple[tuple[str, str], ...] = ()
    shared: tuple[str, ...] = ()
    joint: bool = False
    two_stage: bool = False
    starts: int = 64
    resamples: int = 1000
    seed: int = 0
    held_out_share: float = 0.2
    delta: float | None = None
    """Huber's delta, of log loss. By default `HUBER_DELTA`, and for the parabolas of isoflop none:
    they are fitted by least squares, as the published ones."""
    diagnostics: bool = True
    """Whether to compute profiles, leave-one-out and held-out error. They take most of a fit's
    time and do not change its parameters and intervals."""
    cluster: str | None = None
    """The column, or several joined by commas, whose equal rows share their noise; "none" where
    each row is by itself. See `clusters.clusters_of`."""
    progress: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    """Called with the name of each stage of a fit, one of `STAGES`, as it begins."""

    def __post_init__(self) -> None:
        """Refuse numbers that no fit has.

        Raises:
            InputError: it names the number and what is allowed.
        """
        for name, least in (("starts", 1), ("resamples", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} = {value!r}: expected a whole number from {least} on.")

    @property
    def huber_delta(self) -> float:
        return HUBER_DELTA if self.delta is None else self.delta

    def report_stage(self, stage: str) -> None:
        if self.progress is not None:
            self.progress(stage)

    def check(self, law: Law) -> None:
        """Check the options against a law.

        Raises:
            InputError: the law has no such parameter, a value is outside its range, or tied
                parameters are fixed at different values.
        """
        for name in [*self.fixed, *self.shared, *(n for tie in self.tied for n in tie)]:
            if name not in law.names:
                raise InputError(
                    f"{law.name} has no parameter {name}{suggestion(name, law.names) or '.'} "
                    f"Parameters: {', '.join(law.names)}."
                )
        for name, value in self.fixed.items():
            parameter = law.parameter(name)
            low = 0.0 if parameter.log else parameter.low  # nearly 0 switches a term off
            if not low <= value <= parameter.high or (parameter.log and value == 0):
                allowed = f"{low:g} to {parameter.high:g}"
                if parameter.log:
                    allowed = f"more than 0, and at most {parameter.high:g}"
                raise InputError(f"--fixed {name}={value:g}: allowed is {allowed}.")
        for left, right in self.tied:
            first, second = law.parameter(left), law.parameter(right)
            if left == right or (first.log, first.high) != (second.log, second.high):
                raise InputError(f"--tie {left}={right}: tie two exponents, or two scales.")
            if len({self.fixed[n] for n in self.tied_sets(law)[left] if n in self.fixed}) > 1:
                raise InputError(f"--tie {left}={right}: they are fixed at different values.")
        if self.two_stage and not law.first_stage:
            raise InputError(f"--two-stage: {law.name} has one stage only.")
        if self.joint and self.shared:
            raise InputError("--joint and --share: a joint fit shares every parameter.")
        if self.two_stage and self.shared:
            raise InputError("--two-stage and --share: each objective has its own first stage.")

    def tied_sets(self, law: Law) -> dict[str, set[str]]:
        """Each parameter's set of equals, itself included: ties of ties are ties."""
        sets = {name: {name} for name in law.names}
        for name, other in self.tied:
            union = sets[name] | sets[other]
            sets |= dict.fromkeys(union, union)
        return sets

    def check_plain(self, law: str) -> None:
        """Check that no option is given that only laws fitted by the engine have.

        Raises:
            InputError: such an option is given.
        """
        given = {
            "--fixed": self.fixed, "--tie": self.tied, "--share": self.shared,
            "--two-stage": self.two_stage,
        }  # fmt: skip
        for option, value in given.items():
            if value:
                raise InputError(f"{option}: {law} has a fit of its own, without that option.")
