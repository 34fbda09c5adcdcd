"""A model opened for evaluation, what is asked of it, and an answer as it is recorded."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.data import PreparedData
from workbench.data.shard_checks import open_checked
from workbench.errors import InputError
from workbench.evaluation.allocator import keep_freed_memory
from workbench.evaluation.ensemble import ensemble
from workbench.evaluation.held_out_loss import extra_sets
from workbench.evaluation.programs.pass_task import PassOptions
from workbench.evaluation.question_files import digest
from workbench.evaluation.scorer import ModelScorer
from workbench.evaluation.staged_draws import EARLY
from workbench.evaluation.tasks import TASKS, Measured
from workbench.generation.samplers import SAMPLER_PLUGINS
from workbench.messages import suggestion
from workbench.metrics import RAW, of_weights
from workbench.recipe.task_names import PROGRAM_TASKS, TASK_DRAWS, TASK_PLUGINS, TEXT, file_names
from workbench.runs.evaluations import Evaluated
from workbench.runs.folder import RunFolder
from workbench.training.trained_model import RunModel, load_run_model

VALIDATION = "val_loss"
"""What every run records while it trains; here for other checkpoints, draws and ensembles."""


@dataclass(frozen=True)
class HarnessOptions:
    """Tasks that lm-evaluation-harness knows, or finds in a folder of task files."""

    tasks: tuple[str, ...] = ()
    include: Path | None = None


@dataclass(frozen=True)
class TextOptions:
    """Which texts the task `text` has a model make, and what judges them."""

    lengths: tuple[int, ...] | None = None
    """New tokens; half of the context where None."""
    per_step: tuple[int, ...] = (1,)
    """Tokens a denoising step, of samplers that take steps."""
    sampler: str | None = None
    """None for the objective's default."""
    temperature: float = 1.0
    judge: str | None = None
    """An AR run; None for the one of the runs' studies with the lowest held-out loss."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: none, or one below 1.
        """
        for option, values in (("--lengths", self.lengths), ("--per-step", self.per_step)):
            if values is not None and (not values or min(values) < 1):
                given = ",".join(map(str, values))
                raise InputError(f"{option} {given}: expected whole numbers above 0, such as 1,4.")


@dataclass(frozen=True)
class EvalOptions:
    """What to ask, and how carefully."""

    tasks: tuple[str, ...] = ()
    files: dict[str, Path] = field(default_factory=dict)
    questions: int | None = None
    """At most so many; None for all of a file, and 1,000 where they are drawn."""
    draws: int = TASK_DRAWS
    draws_given: bool = False
    """Whether they were asked for, and are not the default."""
    early: float | None = EARLY
    """As `TaskInputs.early`."""
    seed: int = 0
    shots: tuple[int, ...] | None = None
    threads: int | None = None
    """Forward passes at once on a CPU; one a core where None. No number depends on it."""
    passing: PassOptions = field(default_factory=PassOptions)
    harness: HarnessOptions = field(default_factory=HarnessOptions)
    texts: TextOptions = field(default_factory=TextOptions)

    def __post_init__(self) -> None:
        """Check the names and the numbers.

        Raises:
            InputError: a task or a file of an unknown name, or a number that makes no sense.
        """
        known = (VALIDATION, *TASKS, TEXT, *PROGRAM_TASKS)
        if not self.tasks and not self.harness.tasks:
            raise InputError(f"--tasks: name one or more of {', '.join(known)}.")
        for task in self.tasks:
            if task not in known:
                raise InputError(
                    f"--tasks {task}: no such task{suggestion(task, known) or '.'} Tasks are "
                    f"{', '.join(known)}."
                )
        files = (*file_names(self.tasks), *PROGRAM_TASKS)
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
class HeldOutSet:
    """Held-out text that a run's loss is measured on."""

    data: PreparedData
    tokens: int | None = None
    """How many of it; those of `data.validation_tokens` where None."""
    ending: str = ""
    """Of the names of its metrics, such as `@slowrun`."""


@dataclass(frozen=True)
class Opened:
    """A model, ready to be asked."""

    model: RunModel
    scorer: ModelScorer
    members: tuple[str, ...]
    """The runs that it is made of: more than one where their probabilities are averaged."""
    prepared: Callable[[], PreparedData]
    """Opens its held-out text; raises an InputError where there is none, or it is damaged."""
    extra: Callable[[], list[HeldOutSet]] = list
    """Opens its sets of `data.validation_extra`; raises as `prepared`."""


def open_run(
    *runs: RunFolder,
    step: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    weights: str = RAW,
) -> Opened:
    """Load a run's checkpoint for evaluation, or those of several as one model.

    Raises as `load_run_model` and `ensemble` do.
    """
    models = [
        load_run_model(run, device=device, step=step, dtype=dtype, weights=weights) for run in runs
    ]
    names = tuple(run.run_id for run in runs)
    model = models[0] if len(models) == 1 else ensemble(models, names)

    def prepared() -> PreparedData:
        return open_checked(runs[0].results / runs[0].config_json()["data"]["folder"])

    def extra() -> list[HeldOutSet]:
        sets = extra_sets(model.config, runs[0])
        return [HeldOutSet(open_checked(folder), tokens, end) for end, folder, tokens in sets]

    return replace(opened_model(model, names, prepared, threads=threads), extra=extra)


def opened_model(
    model: RunModel,
    names: tuple[str, ...],
    prepared: Callable[[], PreparedData],
    *,
    threads: int | None,
) -> Opened:
    """A loaded model with what asks it. Arguments as `Opened` and `EvalOptions` have them."""
    if threads is None:
        threads = len(os.sched_getaffinity(0))
    if model.device.type == "cpu":
        keep_freed_memory()
    return Opened(model, ModelScorer(model, threads=threads), names, prepared)


def evaluated(
    name: str,
    measured: Measured,
    options: EvalOptions,
    *,
    seconds: float,
    model: RunModel | None = None,
) -> Evaluated:
    """A task's number as it is recorded, with what its model computed on and in."""
    estimate = measured.estimate
    computed = {} if model is None else {"device": model.device.type, "dtype": model.dtype}
    other = f"/{model.dtype}" if model is not None and model.dtype != model.trained_in else ""
    return Evaluated(
        metric=of_weights(measured.metric, RAW if model is None else model.weights),
        value=estimate.value,
        stderr=estimate.stderr,
        n=estimate.n,
        estimator=f"{measured.estimator}{other}",
        task=name,
        draws=estimate.draws,
        noise_stderr=estimate.noise_stderr,
        documents=estimate.documents,
        items=measured.items,
        seed=options.seed,
        details={
            "seconds": seconds,
            **computed,
            "files": file_details(options.files),
            **_plugin_details(name, options),
        },
    )


def _plugin_details(task: str, options: EvalOptions) -> dict[str, Any]:
    """The plug-ins that a number came from; nothing where there are none."""
    plugins = [TASK_PLUGINS.find(task)]
    sampler = options.passing.writing.sampler if task in PROGRAM_TASKS else options.texts.sampler
    if task in (*PROGRAM_TASKS, TEXT) and sampler is not None:
        plugins.append(SAMPLER_PLUGINS.find(sampler))
    origins = [plugin.origin() for plugin in plugins if plugin]
    return {"plugins": origins} if origins else {}


def file_details(files: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Return the path and the digest of each file."""
    return {
        name: {"path": str(path.absolute()), "sha256": digest(path)} for name, path in files.items()
    }
