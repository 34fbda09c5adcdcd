"""What can be asked of a fit."""

from dataclasses import dataclass, field

from workbench.analysis.law import Law
from workbench.errors import InputError
from workbench.recipe.messages import suggestion


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
            if not (value > 0 if parameter.log else parameter.low <= value <= parameter.high):
                allowed = (
                    "more than 0" if parameter.log else (f"{parameter.low:g} to {parameter.high:g}")
                )
                raise InputError(f"--fixed {name}={value:g}: allowed is {allowed}.")
        for one, other in self.tied:
            if one == other or law.parameter(one).log != law.parameter(other).log:
                raise InputError(f"--tie {one}={other}: tie two exponents, or two scales.")
            if self.fixed.get(one, self.fixed.get(other)) != self.fixed.get(
                other, self.fixed.get(one)
            ):
                raise InputError(f"--tie {one}={other}: they are held at different values.")
        if self.two_stage and not law.first_stage:
            raise InputError(f"--two-stage: {law.name} has one stage only.")
        if self.joint and self.shared:
            raise InputError("--joint and --share: a joint fit shares every parameter.")

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
