"""Running a program that nobody has read, where it can do no harm, or not at all.

What confines it is in `jail.py`. Nothing is taken for granted: before the first program, a probe
tries from inside what must not be possible, and where any of it is, no program is run.

A program and its tests are two processes, each confined by itself, with a pipe each way between
them. The tests call the program's functions and compare what it answers, plain values alone
(`exchange.py`). That they came to their end is the verdict, and nothing that a program does to its
own process changes it.
"""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from workbench.evaluation.programs import seccomp
from workbench.evaluation.programs.exchange import PROGRAM_ENDED
from workbench.evaluation.programs.jobs import PRINTED, CannotConfine, Ended, Limits, jailed
from workbench.evaluation.programs.probe import PROBE


@dataclass(frozen=True)
class Suite:
    """What calls a program's functions, and is trusted: it comes with the benchmark."""

    before: str
    """Run first: what the tests use of the benchmark's own."""
    functions: tuple[str, ...]
    """Names that are the program's in what follows."""
    source: str


@dataclass(frozen=True)
class Outcome:
    """What became of a program."""

    passed: bool
    """Its tests ran to their end without an exception."""
    why: str
    """passed, timed out, killed by a signal, exited, or the last line of the output."""
    output: str
    """The last 4 KiB of what was printed."""


@dataclass(frozen=True)
class Confinement:
    """How to confine on this machine. Made once, by `confine`."""

    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ()
    """Installed packages that programs may import beside the standard library."""

    def test(self, program: str, tests: Suite) -> Outcome:
        """Test a program. Safe to call from several threads.

        Raises:
            CannotConfine: a step of the confinement failed; the program was not started.
        """
        work = [("answer", program), ("check", json.dumps(asdict(tests)))]
        with jailed(self.limits, self.packages, work) as (answering, checking):
            ended = checking.ended()
            passed = ended == Ended(0, False)
            if ended.exit_code == PROGRAM_ENDED:
                ended = answering.ended()
            printed = answering.printed() + checking.printed()
        return Outcome(passed, _why(ended, passed, printed), printed[-PRINTED:])

    def run(self, source: str) -> Outcome:
        """Run a program of one's own by itself: it passes where it ends with status 0.

        Raises:
            CannotConfine: as for `test`.
        """
        with jailed(self.limits, self.packages, [("run", source)]) as (running,):
            ended, printed = running.ended(), running.printed()
        passed = ended == Ended(0, False)
        return Outcome(passed, _why(ended, passed, printed), printed)


def confine(limits: Limits | None = None, *, packages: Sequence[str] = ()) -> Confinement:
    """Return a confinement that a probe has tried.

    Raises:
        CannotConfine: with what is missing here.
    """
    confinement = Confinement(limits or Limits(), tuple(packages))
    if sys.platform != "linux":
        raise CannotConfine(f"{sys.platform} has no namespaces; Linux 5.12 has")
    if not seccomp.knows(platform.machine()):
        raise CannotConfine(f"no filter of system calls for {platform.machine()}")
    outcome = confinement.run(PROBE)
    if outcome.passed:
        return confinement
    marked = [line for line in outcome.output.splitlines() if line.startswith("possible: ")]
    raise CannotConfine(*marked or [f"the probe {outcome.why}: {outcome.output[-500:]}"])


def _why(ended: Ended, passed: bool, printed: str) -> str:
    if passed:
        return "passed"
    if ended.timed_out:
        return "timed out"
    if ended.exit_code < 0:
        return f"killed by signal {-ended.exit_code}"
    lines = printed.strip().splitlines()
    if ended.exit_code == 1 and lines:
        return lines[-1][:200]
    return f"exited with status {ended.exit_code} before its end"
