"""What can be asked of a fit."""

from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.errors import InputError
from workbench.laws.law import Law
from workbench.messages import suggestion

STAGES = ("search", "resamples", "profiles", "influence", "held-out error")
"""What a fit does, in this order."""


@dataclass(frozen=True)
class FitOptions:
    """`fixed` holds parameters at values; `tied` makes parameters equal, as alpha and beta;
    `shared` are the same for all objectives, which are then fitted together; `joint` fits all
    rows as if of one objective; `two_stage` fits the law without repetition to runs of one
    epoch first and holds what it found."""

    fixed: dict[str, float] = field(default_factory=dict)
    tied: tuple[tuple[str, str], ...] = ()
    shared: tuple[str, ...] = ()
    joint: bool = False
    two_stage: bool = False
    starts: int = 64
    resamples: int = 1000
    seed: int = 0
    held_out_share: float = 0.2
    delta: float = 1e-3
    diagnostics: bool = True
    """Profiles, leave-one-out and held-out error: most of a fit's time, and nothing to its
    parameters and intervals."""
    progress: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    """Told the name of each stage of a fit, one of `STAGES`, as it begins."""

    def tell(self, stage: str) -> None:
        if self.progress is not None:
            self.progress(stage)

    def check(self, law: Law) -> None:
        """Raises:
        InputError: a parameter that the law does not have, a value outside its range, a tie of
            parameters that are held at different values.
        """
        for name in [*self.fixed, *self.shared, *(n for tie in self.tied for n in tie)]:
            if name not in law.names:
                raise InputError(
                    f"{law.name} has no parameter {name}{suggestion(name, law.names) or '.'} "
                    f"Parameters: {', '.join(law.names)}."
                )
        for name, value in self.fixed.items():
            parameter = law.parameter(name)
            low = 0.0 if parameter.log else parameter.low  # a term may be held away at nearly 0
            if not low <= value <= parameter.high or (parameter.log and value == 0):
                allowed = f"{low:g} to {parameter.high:g}"
                if parameter.log:
                    allowed = f"more than 0, and at most {parameter.high:g}"
                raise InputError(f"--fixed {name}={value:g}: allowed is {allowed}.")
        for one, other in self.tied:
            first, second = law.parameter(one), law.parameter(other)
            if one == other or (first.log, first.high) != (second.log, second.high):
                raise InputError(f"--tie {one}={other}: tie two exponents, or two scales.")
            if len({self.fixed[n] for n in self.tied_sets(law)[one] if n in self.fixed}) > 1:
                raise InputError(f"--tie {one}={other}: they are held at different values.")
        if self.two_stage and not law.first_stage:
            raise InputError(f"--two-stage: {law.name} has one stage only.")
        if self.joint and self.shared:
            raise InputError("--joint and --share: a joint fit shares every parameter.")
        if self.two_stage and self.shared:
            raise InputError("--two-stage and --share: each objective has its own first stage.")

    def tied_sets(self, law: Law) -> dict[str, set[str]]:
        """Each parameter's set of equals, itself included: ties of ties are ties."""
        sets = {name: {name} for name in law.names}
        for one, other in self.tied:
            union = sets[one] | sets[other]
            sets |= dict.fromkeys(union, union)
        return sets

    def check_plain(self, law: str) -> None:
        """Raises:
        InputError: an option that only laws fitted by the engine understand.
        """
        given = {
            "--fixed": self.fixed, "--tie": self.tied, "--share": self.shared,
            "--two-stage": self.two_stage,
        }  # fmt: skip
        for option, value in given.items():
            if value:
                raise InputError(f"{option}: {law} has a fit of its own, without that option.")
