"""`workbench eval`: tasks asked of a trained run's checkpoint, their numbers kept with the run."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.control import find_run
from workbench.data import PreparedData
from workbench.data.streams import validation_windows
from workbench.errors import InputError, WorkbenchError
from workbench.evaluation.completing import RunCompleter
from workbench.evaluation.ensemble import ensemble
from workbench.evaluation.files import digest
from workbench.evaluation.memory import keep_freed_memory
from workbench.evaluation.programs.task import PassOptions, PassTask, pass_task
from workbench.evaluation.scorer import ModelScorer
from workbench.evaluation.tasks import TASKS, Measured, Task, TaskInputs, batch_for
from workbench.evaluations import Evaluated, record_evaluations
from workbench.recipe.messages import suggestion
from workbench.recipe.tasks import FILE_NAMES, PROGRAM_TASKS, TASK_DRAWS, default_shots
from workbench.runs import RunFolder
from workbench.store import ingest
from workbench.training.loaded import RunModel, load_run_model
from workbench.training.validation import Estimate, Validation

VALIDATION = "val_loss"
"""What every run records while it trains; here for other checkpoints, draws and ensembles."""


@dataclass(frozen=True)
class HarnessOptions:
    """Tasks that lm-evaluation-harness knows, or finds in a folder of task files."""

    tasks: tuple[str, ...] = ()
    include: Path | None = None


@dataclass(frozen=True)
class EvalOptions:
    """What to ask, and how carefully."""

    tasks: tuple[str, ...] = ()
    files: dict[str, Path] = field(default_factory=dict)
    questions: int | None = None
    """At most so many; None for all of a file, and 1,000 where they are drawn."""
    draws: int = TASK_DRAWS
    seed: int = 0
    shots: tuple[int, ...] | None = None
    threads: int | None = None
    """Forward passes at once on a CPU; one a core where None. No number depends on it."""
    passing: PassOptions = field(default_factory=PassOptions)
    harness: HarnessOptions = field(default_factory=HarnessOptions)

    def __post_init__(self) -> None:
        """Raises:
        InputError: a task or a file of an unknown name, or a number that makes no sense.
        """
        known = (VALIDATION, *TASKS, *PROGRAM_TASKS)
        if not self.tasks and not self.harness.tasks:
            raise InputError(f"--tasks: name one or more of {', '.join(known)}.")
        for task in self.tasks:
            if task not in known:
                raise InputError(
                    f"--tasks {task}: no such task{suggestion(task, known) or '.'} Tasks are "
                    f"{', '.join(known)}."
                )
        files = (*FILE_NAMES, *PROGRAM_TASKS)
        for name, path in self.files.items():
            if name not in files:
                raise InputError(
                    f"--task-file {name}={path}: no such file{suggestion(name, files) or '.'} "
                    f"Files are {', '.join(files)}."
                )
        if self.seed >= 2**15:
            raise InputError(f"--seed {self.seed}: expected less than {2**15}.")

    def file(self, name: str) -> Path:
        if name not in self.files:
            raise InputError(f"{name}: where are its problems? Give --task-file {name}=PATH.")
        return self.files[name]


@dataclass(frozen=True)
class Opened:
    """A run with its model, ready to be asked."""

    run: RunFolder
    model: RunModel
    scorer: ModelScorer
    members: tuple[str, ...]
    """The runs that it is made of: more than one where their probabilities are averaged."""

    def prepared(self) -> PreparedData:
        """The run's held-out text.

        Raises:
            InputError: its shards are gone.
        """
        folder = self.run.config_json()["data"]["folder"]
        return PreparedData.open(self.run.path.parent.parent / folder)


def open_run(
    *runs: RunFolder, step: int | None = None, device: str = "auto", threads: int | None = None
) -> Opened:
    """Load a run's checkpoint for evaluation, or those of several as one model.

    Raises as `load_run_model` and `ensemble` do.
    """
    models = [load_run_model(run, device=device, step=step) for run in runs]
    names = tuple(run.run_id for run in runs)
    model = models[0] if len(models) == 1 else ensemble(models, names)
    if threads is None:
        threads = len(os.sched_getaffinity(0))
    if model.device.type == "cpu":
        keep_freed_memory()
    return Opened(runs[0], model, ModelScorer(model, threads=threads), names)


def evaluate_runs(
    results: Path,
    names: list[str],
    options: EvalOptions,
    *,
    step: int | None = None,
    device: str = "auto",
    record: bool = True,
    together: bool = False,
) -> list[dict[str, Any]]:
    """Ask tasks of runs and keep the answers, run by run: rows for people and programs.

    Args:
        names: run ids, or beginnings of them.
        step: a checkpoint's; None for the newest.
        record: append to the runs' evaluations, and bring the store up to date.
        together: ask all runs as one model that averages their probabilities. The numbers are no
            run's, and no run keeps them.

    Raises:
        InputError: no such run or checkpoint, or a task that cannot be made.
        CannotConfine: a task runs programs, and this machine cannot confine them.
    """
    rows = []
    runs = [find_run(results, name) for name in names]
    # What cannot be done is said before a model is loaded.
    programs = [_pass_task(name, options) for name in options.tasks if name in PROGRAM_TASKS]
    if together and len(runs) < 2:
        raise InputError("--ensemble: name two runs or more; they may differ in training.seed.")
    record = record and not together
    for some in [runs] if together else [[run] for run in runs]:
        opened = open_run(*some, step=step, device=device, threads=options.threads)
        found: list[Evaluated] = []
        for ask in _asking(opened, options, programs):
            found += ask()
        if record:
            record_evaluations(opened.run, opened.model.step, found)
        rows += [_row(opened, one) for one in found]
    if record:
        try:
            ingest(results, run_ids=[run.run_id for run in runs])
        except WorkbenchError as error:  # the numbers are with their runs, and here
            print(
                f"Note: kept with the runs, and not in the store yet: {error} `workbench ingest` "
                "brings the numbers in.",
                file=sys.stderr,
            )
    return rows


def _asking(
    opened: Opened, options: EvalOptions, programs: list[PassTask]
) -> Iterator[Callable[[], list[Evaluated]]]:
    """The tasks, made one after another, each to be asked once."""
    for name, task in likelihood_tasks(opened, options).items():
        for note in task.notes:
            print(f"Note: {note}", file=sys.stderr)
        yield lambda name=name, task=task: list(ask(opened, name, task, options))  # type: ignore[misc]
    if VALIDATION in options.tasks:
        yield lambda: list(ask_validation(opened, options))
    for passing in programs:
        yield lambda passing=passing: list(ask_programs(opened, passing, options))  # type: ignore[misc]
    if options.harness.tasks:
        from workbench.evaluation.harness_tasks import ask_harness

        yield lambda: list(ask_harness(opened, options))


def likelihood_tasks(opened: Opened, options: EvalOptions) -> dict[str, Task]:
    """The tasks scored by likelihood, made from their files or from the run's held-out text.

    Raises:
        InputError: a file is missing or damaged, or there is too little text.
    """
    names = tuple(name for name in options.tasks if name in TASKS)
    inputs = TaskInputs(
        context=opened.model.context,
        tokenizer=lambda: opened.model.tokenizer,
        prepared=opened.prepared,
        questions=options.questions,
        draws=options.draws,
        seed=options.seed,
        shots=default_shots(names) if options.shots is None else options.shots,
        files=options.files,
        batch=batch_for(opened.model.context),
    )
    return {name: TASKS[name](inputs) for name in names}


def ask(opened: Opened, name: str, task: Task, options: EvalOptions) -> Iterator[Evaluated]:
    """Numbers of one task scored by likelihood."""
    count = len(next(iter(task.questions.values())))
    began = time.perf_counter()
    found = list(task.ask(opened.scorer, marks=f"/seed={options.seed}/questions={count}"))
    seconds = time.perf_counter() - began
    draws = opened.scorer.objective.answer_draws(options.draws)
    for one in found:
        yield evaluated(name, one, options, draws=draws, seconds=seconds)


def ask_validation(opened: Opened, options: EvalOptions) -> Iterator[Evaluated]:
    """`val_loss` and `val_bpb` on the windows that training measures them on."""
    prepared, config = opened.prepared(), opened.model.config
    validation = Validation(
        validation_windows(prepared, config.data),
        batch=batch_for(opened.model.context),
        draws=options.draws,
    )
    began = time.perf_counter()
    loss = validation.evaluate(opened.scorer.trainer)
    seconds = time.perf_counter() - began
    objective = opened.scorer.objective
    draws = objective.answer_draws(options.draws)
    estimator = f"{objective.validation_estimator}/draws={draws}"
    for metric, scale in (
        ("val_loss", 1.0),
        ("val_bpb", 1 / (math.log(2) * prepared.bytes_per_token)),
    ):
        stderr = None if loss.stderr is None else loss.stderr * scale
        one = Measured(metric, Estimate(loss.value * scale, stderr, loss.n), estimator)
        yield evaluated(VALIDATION, one, options, draws=draws, seconds=seconds)


def _pass_task(name: str, options: EvalOptions) -> PassTask:
    shots = options.shots
    if shots is not None and len(shots) != 1:
        raise InputError(f"--shots {','.join(map(str, shots))}: {name} takes one number of them.")
    return pass_task(
        name, options.file(name), shots=shots[0] if shots else None, limit=options.questions
    )


def ask_programs(opened: Opened, task: PassTask, options: EvalOptions) -> Iterator[Evaluated]:
    """pass@k of one benchmark of programs."""
    began = time.perf_counter()
    found = [Measured(*one) for one in task.ask(RunCompleter(opened.model), options.passing)]
    seconds = time.perf_counter() - began
    for one in found:
        yield evaluated(task.name, one, options, draws=None, seconds=seconds)


def evaluated(
    name: str, one: Measured, options: EvalOptions, *, draws: int | None, seconds: float
) -> Evaluated:
    """A task's number as it is kept."""
    return Evaluated(
        metric=one.metric,
        value=one.estimate.value,
        stderr=one.estimate.stderr,
        n=one.estimate.n,
        estimator=one.estimator,
        task=name,
        draws=draws,
        seed=options.seed,
        details={"seconds": seconds, "files": file_details(options.files)},
    )


def file_details(files: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Where files lie and what they hold."""
    return {
        name: {"path": str(path.absolute()), "sha256": digest(path)} for name, path in files.items()
    }


def _row(opened: Opened, one: Evaluated) -> dict[str, Any]:
    return {
        "run_id": "+".join(opened.members),
        "objective": opened.model.config.training.objective,
        "step": opened.model.step,
        "metric": one.metric,
        "value": one.value,
        "stderr": one.stderr,
        "n": one.n,
        "estimator": one.estimator,
    }
