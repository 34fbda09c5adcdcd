"""`workbench eval`: tasks asked of a trained run's checkpoint, their numbers saved with the run."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import stages
from workbench.errors import InputError, WorkbenchError
from workbench.evaluation.asking import answers_of, check_draws, pass_tasks
from workbench.evaluation.ensemble import check_members
from workbench.evaluation.opened import (
    EvalOptions,
    Opened,
    open_run,
)
from workbench.evaluation.text_quality import find_judge
from workbench.metrics import RAW
from workbench.recipe import run_config
from workbench.recipe.task_names import TEXT
from workbench.runs.evaluations import Evaluated, record_evaluations
from workbench.runs.folder import NO_MODEL, RunFolder, list_runs
from workbench.runs.studies import find_run, studies_of
from workbench.store import ingest
from workbench.training.trained_model import kept_steps


@dataclass(frozen=True)
class Loading:
    """Which checkpoints of runs to load, and how."""

    step: int | None = None
    """A checkpoint's; None for the newest."""
    all_checkpoints: bool = False
    """Every checkpoint that a run keeps (`training.checkpoint_points`)."""
    device: str = "auto"
    dtype: str = "auto"
    weights: str = RAW
    """As `load_run_model`. Metrics of averages end in their names, as in training."""

    def __post_init__(self) -> None:
        """Check that one of the two is asked for.

        Raises:
            InputError: both are.
        """
        if self.all_checkpoints and self.step is not None:
            raise InputError("--all-checkpoints and --checkpoint: give one of them.")

    def steps(self, run: RunFolder) -> list[int | None]:
        """Of the checkpoints to load of a run."""
        return list(kept_steps(run)) if self.all_checkpoints else [self.step]


def evaluate_runs(
    results: Path,
    names: list[str],
    options: EvalOptions,
    loading: Loading | None = None,
    *,
    record: bool = True,
) -> list[dict[str, Any]]:
    """Ask tasks of runs, save the answers run by run, and return them as rows.

    Args:
        names: run ids, or beginnings of them; or studies, for all of their finished runs.
        record: append to the runs' evaluations, and bring the store up to date.

    Raises:
        InputError: no such run or checkpoint, a task that cannot be made, or draws asked for
            where nothing is drawn.
        CannotConfine: a task runs programs, and this machine cannot confine them.
    """
    loading, rows = loading or Loading(), []
    runs = runs_named(results, names)
    # What cannot be done is refused before a model is loaded.
    asking = _Asking(results, runs, options, loading)
    for run in runs:
        for step in loading.steps(run):
            opened, answers = asking.ask([run], step)
            if record:
                record_evaluations(run, opened.model.step, answers)
            objective, at = opened.model.config.training.objective, opened.model.step
            rows += [row_of(run.run_id, objective, at, answer) for answer in answers]
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


@dataclass(frozen=True)
class MeasuredEnsemble:
    """What was measured of several runs as one model."""

    objective: str
    answers: dict[int, list[Evaluated]]
    """By the step of the members' checkpoints."""

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The answers as rows, under the name of a run or another one."""
        every = ((step, answer) for step, answers in self.answers.items() for answer in answers)
        return [row_of(name, self.objective, step, answer) for step, answer in every]


def members_of(results: Path, names: list[str], loading: Loading) -> list[RunFolder]:
    """The runs of an ensemble.

    Raises:
        InputError: no such run; there is only one; one has no configuration of a trained run; they
            differ in more than the seed of training; or they do not keep the same checkpoints,
            where all of them are asked.
    """
    runs = runs_named(results, names)
    ids = [run.run_id for run in runs]
    check_members([run_config(run.config_json()) for run in runs if has_model(run)], ids)
    if loading.all_checkpoints and len({tuple(kept_steps(run)) for run in runs}) > 1:
        raise InputError(
            "--all-checkpoints --ensemble: the runs do not keep checkpoints of the same steps."
        )
    return runs


def has_model(run: RunFolder) -> bool:
    """True for a run that was trained here.

    Raises:
        InputError: it was not.
    """
    if run.is_imported():
        raise InputError(f"run {run.run_id}: {NO_MODEL}.")
    return True


def evaluate_ensemble(
    results: Path, members: list[RunFolder], options: EvalOptions, loading: Loading | None = None
) -> MeasuredEnsemble:
    """Ask tasks of one model that averages the probabilities of several runs, as `members_of` has
    them.

    Raises:
        InputError: as `evaluate_runs`; or their checkpoints are of different steps.
    """
    loading = loading or Loading()
    asking = _Asking(results, members, options, loading)
    answers = {}
    for step in loading.steps(members[0]):
        opened, found = asking.ask(members, step)
        answers[opened.model.step] = found
    return MeasuredEnsemble(opened.model.config.training.objective, answers)


class _Asking:
    """What is asked of every model alike."""

    def __init__(
        self, results: Path, runs: list[RunFolder], options: EvalOptions, loading: Loading
    ) -> None:
        """Raises what makes the tasks impossible for any of the runs."""
        self.options, self.loading = options, loading
        self.programs = pass_tasks(options)
        self.judge = None
        if options.draws_given:
            trained = {
                run.run_id: run_config(run.config_json()).training
                for run in runs
                if not run.is_imported()
            }
            check_draws(trained, options)
        if TEXT in options.tasks:
            where = {"device": loading.device, "dtype": loading.dtype}
            self.judge = find_judge(results, runs, options.texts.judge, **where)

    def ask(self, runs: list[RunFolder], step: int | None) -> tuple[Opened, list[Evaluated]]:
        """The answers of a run, or of several as one model."""
        stages.doing(f"loading {' + '.join(run.run_id for run in runs)}")
        opened = open_run(
            *runs,
            step=step,
            device=self.loading.device,
            dtype=self.loading.dtype,
            threads=self.options.threads,
            weights=self.loading.weights,
        )
        return opened, answers_of(opened, self.options, self.programs, self.judge)


def runs_named(results: Path, names: list[str]) -> list[RunFolder]:
    """The runs of several names, each once. Raises as `_named`."""
    return list({run.run_id: run for name in names for run in _named(results, name)}.values())


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


def row_of(name: str, objective: str, step: int | None, answer: Evaluated) -> dict[str, Any]:
    """An answer as a row of the command's output."""
    return {
        "run_id": name,
        "objective": objective,
        "step": step,
        "metric": answer.metric,
        "value": answer.value,
        "stderr": answer.stderr,
        "n": answer.n,
        "estimator": answer.estimator,
        "draws": answer.draws,
        "noise_stderr": answer.noise_stderr,
        "documents": answer.documents,
    }
