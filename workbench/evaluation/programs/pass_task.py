"""HumanEval, MBPP and their plus versions, asked of a trained run: pass@k."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import InputError
from workbench.evaluation.complete import Completer, Writing
from workbench.evaluation.programs.confinement import Confinement, confine
from workbench.evaluation.programs.passing import PassCounts, count_passing
from workbench.evaluation.programs.problems import DEFAULT_SHOTS, PROBLEMS, Problem
from workbench.evaluation.question_files import digest
from workbench.generation.samplers import sampler_label
from workbench.training.validation import Estimate


@dataclass(frozen=True)
class PassOptions:
    """How many attempts a problem, and how many of them may be needed."""

    attempts: int = 1
    at: tuple[int, ...] = (1,)
    writing: Writing = field(default_factory=Writing)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: fewer attempts than an estimate needs, or attempts that are all the same.
        """
        if not self.at or min(self.at) < 1 or max(self.at) > self.attempts:
            raise InputError(
                f"--pass-at {','.join(map(str, self.at))}: expected 1 to --attempts "
                f"{self.attempts}."
            )
        if self.attempts > 1 and self.writing.temperature == 0:
            raise InputError(
                f"--attempts {self.attempts} at temperature 0 are all the same: give "
                "--temperature, say 0.8."
            )


@dataclass(frozen=True)
class PassTask:
    """One benchmark of programs, with a place to run them that has been tried."""

    name: str
    problems: list[Problem]
    confinement: Confinement
    shots: int
    mark: str
    """The beginning of the digest of its file."""

    def ask(
        self, completer: Completer, options: PassOptions
    ) -> Iterator[tuple[str, Estimate, str]]:
        """(metric, estimate, estimator) of each k."""
        writing = options.writing
        counts = self.count(completer, options)
        steps = f"/steps={writing.steps}" if writing.steps is not None else ""
        estimator = (
            f"pass@k/attempts={options.attempts}/temperature={writing.temperature:g}"
            f"/top_p={writing.top_p:g}/sampler={sampler_label(writing.sampler)}{steps}"
            f"/max_new={writing.max_new}/shots={self.shots}/seed={writing.seed}"
            f"/questions={len(self.problems)}/file={self.mark}"
        )
        for k in options.at:
            yield f"{self.name}_pass@{k}", counts.at(k), estimator

    def count(self, completer: Completer, options: PassOptions) -> PassCounts:
        """Let the model write, and run what it wrote."""
        attempts = options.attempts
        number = {problem.name: place for place, problem in enumerate(self.problems)}

        def complete(problem: Problem) -> list[str]:
            return completer.complete(
                problem.prompt,
                problem.stop,
                options.writing,
                count=attempts,
                first=number[problem.name] * attempts,
            )

        return count_passing(self.problems, complete, self.confinement, attempts=attempts)


def pass_task(name: str, path: Path, *, shots: int | None, limit: int | None) -> PassTask:
    """Read a benchmark's problems and check that programs can be confined here.

    Raises:
        InputError: the file is missing or damaged.
        CannotConfine: before anything is generated.
    """
    count = DEFAULT_SHOTS[name] if shots is None else shots
    problems = PROBLEMS[name](path, shots=count, limit=limit)
    uses_numpy = any(
        "import numpy" in text
        for problem in problems
        for text in (problem.tests.source, problem.tests.before)
    )
    confinement = confine(packages=("numpy",) if uses_numpy else ())
    return PassTask(name, problems, confinement, count, digest(path)[:8])
