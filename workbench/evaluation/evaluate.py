"""`workbench eval`: tasks asked of a trained run's checkpoint, their numbers saved with the run."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import stages
from workbench.data.streams import validation_windows
from workbench.errors import InputError, WorkbenchError
from workbench.evaluation.complete import RunCompleter
from workbench.evaluation.held_out_loss import measured_loss
from workbench.evaluation.likelihood import SEED_STRIDE
from workbench.evaluation.opened import VALIDATION, EvalOptions, Opened, evaluated, open_run
from workbench.evaluation.programs.pass_task import PassTask, pass_task
from workbench.evaluation.tasks import TASKS, Measured, Task, TaskInputs, batch_for
from workbench.evaluation.text_quality import Judge, ask_texts, find_judge
from workbench.generation.samplers import choose_sampler
from workbench.metrics import RAW
from workbench.recipe import TrainingConfig, objective_facts, run_config
from workbench.recipe.task_names import PROGRAM_TASKS, TEXT, default_shots
from workbench.runs.evaluations import Evaluated, record_evaluations
from workbench.runs.folder import RunFolder, list_runs
from workbench.runs.studies import find_run, studies_of
from workbench.store import ingest
from workbench.training.trained_model import RunModel, kept_steps
from workbench.training.validation import Validation


def evaluate_runs(
    results: Path,
    names: list[str],
    options: EvalOptions,
    *,
    step: int | None = None,
    all_checkpoints: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    record: bool = True,
    together: bool = False,
    weights: str = RAW,
) -> list[dict[str, Any]]:
    """Ask tasks of runs, save the answers run by run, and return them as rows.

    Args:
        names: run ids, or beginnings of them; or studies, for all of their finished runs.
        step: a checkpoint's; None for the newest.
        device, dtype: as `load_run_model`.
        all_checkpoints: ask every checkpoint that a run keeps (`training.checkpoint_points`).
        record: append to the runs' evaluations, and bring the store up to date.
        together: ask all runs as one model that averages their probabilities. The numbers are no
            run's, and are not saved.
        weights: as in `load_run_model`. Metrics of averages end in their names, as in training.

    Raises:
        InputError: no such run or checkpoint, a task that cannot be made, or draws asked for
            where nothing is drawn.
        CannotConfine: a task runs programs, and this machine cannot confine them.
    """
    rows = []
    runs = list({run.run_id: run for name in names for run in _named(results, name)}.values())
    # What cannot be done is refused before a model is loaded.
    programs = pass_tasks(options)
    if together and len(runs) < 2:
        raise InputError("--ensemble: name two runs or more; they may differ in training.seed.")
    record = record and not together
    if options.draws_given:
        trained = {
            run.run_id: run_config(run.config_json()).training
            for run in runs
            if not run.is_imported()
        }
        check_draws(trained, options)
    if all_checkpoints and step is not None:
        raise InputError("--all-checkpoints and --checkpoint: give one of them.")
    judge = None
    if TEXT in options.tasks:
        judge = find_judge(results, runs, options.texts.judge, device=device, dtype=dtype)
    groups = [runs] if together else [[run] for run in runs]
    steps = [kept_steps(group[0]) if all_checkpoints else [step] for group in groups]
    for group, at in ((group, at) for group, own in zip(groups, steps, strict=True) for at in own):
        stages.doing(f"loading {' + '.join(run.run_id for run in group)}")
        opened = open_run(
            *group, step=at, device=device, dtype=dtype, threads=options.threads, weights=weights
        )
        answers = answers_of(opened, options, programs, judge)
        if record:
            record_evaluations(group[0], opened.model.step, answers)
        rows += [row_of("+".join(opened.members), opened.model, answer) for answer in answers]
    if record:
        try:
            ingest(results, run_ids=[run.run_id for run in runs])
        except WorkbenchError as error:  # the numbers are with their runs, and here
            print(
                f"Note: saved with the runs, and not in the store yet: {error} `workbench ingest` "
                "brings the numbers in.",
                file=sys.stderr,
            )
    return rows


def _named(results: Path, name: str) -> list[RunFolder]:
    """The run of a name, or a study's finished runs.

    Raises:
        InputError: neither is called so, or the study has no run to ask.
    """
    members = studies_of(results).get(name)
    if members is None:
        return [find_run(results, name)]
    runs = [run for run in list_runs(results) if run.run_id in members]
    finished = [run for run in runs if run.status().state == "finished" and not run.is_imported()]
    if not finished:
        raise InputError(f"study {name}: none of its runs has finished here.")
    return finished


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
    """`val_loss` and `val_bpb` on the windows that training measures them on, and with seed 0
    through the noise of that step."""
    prepared, config = opened.prepared(), opened.model.config
    validation = Validation(
        validation_windows(prepared, config.data),
        batch=batch_for(opened.model.context),
        draws=options.draws,
    )
    noise = options.seed * SEED_STRIDE + opened.model.step
    began = time.perf_counter()
    answers = list(measured_loss(validation, opened.scorer.trainer, prepared, noise=noise))
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


def row_of(name: str, model: RunModel, answer: Evaluated) -> dict[str, Any]:
    """An answer as a row of the command's output."""
    return {
        "run_id": name,
        "objective": model.config.training.objective,
        "step": model.step,
        "metric": answer.metric,
        "value": answer.value,
        "stderr": answer.stderr,
        "n": answer.n,
        "estimator": answer.estimator,
        "draws": answer.draws,
        "noise_stderr": answer.noise_stderr,
        "documents": answer.documents,
    }
