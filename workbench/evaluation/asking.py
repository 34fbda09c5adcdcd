"""What `workbench eval` asks of a model: every task that is named, and its numbers."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from workbench import stages
from workbench.data.streams import validation_windows
from workbench.errors import InputError
from workbench.evaluation.complete import RunCompleter
from workbench.evaluation.held_out_loss import measured_loss
from workbench.evaluation.likelihood import SEED_STRIDE
from workbench.evaluation.opened import (
    VALIDATION,
    EvalOptions,
    HeldOutSet,
    Opened,
    evaluated,
)
from workbench.evaluation.programs.pass_task import PassTask, pass_task
from workbench.evaluation.tasks import TASKS, Measured, Task, TaskInputs, batch_for
from workbench.evaluation.text_quality import Judge, ask_texts
from workbench.generation.samplers import choose_sampler
from workbench.recipe import TrainingConfig, objective_facts
from workbench.recipe.task_names import PROGRAM_TASKS, default_shots
from workbench.runs.evaluations import Evaluated
from workbench.training.validation import Validation


def check_draws(trained: dict[str, TrainingConfig], options: EvalOptions) -> None:
    """Refuse a number of draws where no run has anything to draw.

    Raises:
        InputError: the likelihoods of all of them, by their names, are exact.
    """
    every = trained.values()
    if not trained or any(objective_facts(one.objective).is_bound(one) for one in every):
        return
    raise InputError(
        f"--draws {options.draws}: nothing is drawn for run {', '.join(trained)}, whose likelihood "
        f"is exact ({', '.join(sorted({one.objective for one in every}))}). Leave --draws out; "
        "beside runs whose loss is a bound it is for those."
    )


def answers_of(
    opened: Opened, options: EvalOptions, programs: list[PassTask], judge: Judge | None = None
) -> list[Evaluated]:
    """Every number that is asked for. Raises as the tasks do.

    Args:
        judge: of the task `text`.
    """
    return [answer for ask in _asking(opened, options, programs, judge) for answer in ask()]


def _asking(
    opened: Opened, options: EvalOptions, programs: list[PassTask], judge: Judge | None
) -> Iterator[Callable[[], list[Evaluated]]]:
    """The tasks, made one after another, each to be asked once."""
    after = f" after step {opened.model.step}" if opened.model.step else ""
    whose = f"of {' and '.join(opened.members)}{after}"
    for name, task in likelihood_tasks(opened, options).items():
        stages.doing(f"{name} {whose}")
        for note in task.notes:
            print(f"Note: {note}", file=sys.stderr)
        yield lambda name=name, task=task: list(ask(opened, name, task, options))  # type: ignore[misc]
    if VALIDATION in options.tasks:
        stages.doing(f"{VALIDATION} {whose}")
        yield lambda: list(ask_validation(opened, options))
    if judge is not None:
        yield lambda: list(ask_texts(opened, options, judge))
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
        early=options.early,
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
    answers = list(task.ask(opened.scorer, marks=f"/seed={options.seed}/questions={count}"))
    seconds = time.perf_counter() - began
    for measured in answers:
        yield evaluated(name, measured, options, seconds=seconds, model=opened.model)


def ask_validation(opened: Opened, options: EvalOptions) -> Iterator[Evaluated]:
    """`val_loss` and `val_bpb` on the windows that training measures them on, those of its further
    validation sets too, and with seed 0 through the noise of that step."""
    for held_out in (HeldOutSet(opened.prepared()), *opened.extra()):
        yield from _ask_held_out(opened, held_out, options)


def _ask_held_out(
    opened: Opened, held_out: HeldOutSet, options: EvalOptions
) -> Iterator[Evaluated]:
    validation = Validation(
        validation_windows(held_out.data, opened.model.config.data, held_out.tokens),
        batch=batch_for(opened.model.context),
        draws=options.draws,
    )
    noise = options.seed * SEED_STRIDE + opened.model.step
    began = time.perf_counter()
    trainer, ending = opened.scorer.trainer, held_out.ending
    answers = list(measured_loss(validation, trainer, held_out.data, noise=noise, ending=ending))
    seconds = time.perf_counter() - began
    for measured in answers:
        if options.seed:
            seeded = f"{measured.estimator}/seed={options.seed}"
            measured = replace(measured, estimator=seeded)
        yield evaluated(VALIDATION, measured, options, seconds=seconds, model=opened.model)


def pass_tasks(options: EvalOptions) -> list[PassTask]:
    """The tasks whose answers are programs.

    Raises:
        InputError: a file of problems is missing or damaged.
        CannotConfine: this machine cannot confine programs.
    """
    return [_pass_task(name, options) for name in options.tasks if name in PROGRAM_TASKS]


def _pass_task(name: str, options: EvalOptions) -> PassTask:
    shots = options.shots
    if shots is not None and len(shots) != 1:
        raise InputError(f"--shots {','.join(map(str, shots))}: {name} takes one number of them.")
    return pass_task(
        name, options.file(name), shots=shots[0] if shots else None, limit=options.questions
    )


def ask_programs(opened: Opened, task: PassTask, options: EvalOptions) -> Iterator[Evaluated]:
    """pass@k of one benchmark of programs."""
    options = _naming_plugin_sampler(opened, options)
    began = time.perf_counter()
    answers = [
        Measured(*number) for number in task.ask(RunCompleter(opened.model), options.passing)
    ]
    seconds = time.perf_counter() - began
    for measured in answers:
        yield evaluated(task.name, measured, options, seconds=seconds, model=opened.model)


def _naming_plugin_sampler(opened: Opened, options: EvalOptions) -> EvalOptions:
    """Name the default sampler where it is a plug-in's: its numbers belong to the estimator."""
    passing = options.passing
    if passing.writing.sampler is not None:
        return options
    default = choose_sampler(None, opened.model.config.training.objective)
    if default.numbers is None:
        return options
    writing = replace(passing.writing, sampler=default.name)
    return replace(options, passing=replace(passing, writing=writing))
