"""Tasks of lm-evaluation-harness asked of a trained run, their numbers recorded as ours are."""

import math
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.evaluation.tasks import Measured
from workbench.runs.evaluations import Evaluated
from workbench.training.validation import Estimate

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

    from workbench.evaluation.opened import EvalOptions, HarnessOptions, Opened

_RESAMPLES = 1000  # for standard errors that have no formula


def ask_harness(opened: "Opened", options: "EvalOptions") -> Iterator[Evaluated]:
    """Every number that the harness reports on its tasks.

    Raises:
        InputError: the harness is not installed, does not know a task, or a task runs programs.
    """
    from workbench.evaluation.opened import evaluated

    try:
        import lm_eval

        from workbench.evaluation.harness import WorkbenchLM
    except ImportError as error:
        raise InputError(
            f"--harness needs lm-evaluation-harness ({error}): pip install 'workbench[eval]'."
        ) from None
    asked = options.harness
    shots = options.shots
    if shots is not None and len(shots) != 1:
        raise InputError("--shots: --harness takes one number of them.")
    manager = _manager(asked)
    model = WorkbenchLM(opened, draws=options.draws, seed=options.seed)
    began = time.perf_counter()
    # Its pool of processes would fork one that has threads, and print.
    os.environ.setdefault("DISABLE_MULTIPROC", "1")
    try:
        report = lm_eval.simple_evaluate(
            model=model,
            tasks=list(asked.tasks),
            num_fewshot=shots[0] if shots else None,
            limit=options.questions,
            task_manager=manager,
            bootstrap_iters=_RESAMPLES,
            log_samples=False,
        )
    except ValueError as error:
        if "unsafe" not in str(error):
            raise
        raise InputError(
            f"--harness {','.join(asked.tasks)}: the harness would run programs here without "
            "confining them. `--tasks humaneval` and `--tasks mbpp` confine them."
        ) from None
    assert report is not None
    seconds = time.perf_counter() - began
    for number in measured(report, opened, options):
        yield evaluated("lm-eval", number, options, seconds=seconds, model=opened.model)


def _manager(asked: "HarnessOptions") -> "TaskManager":
    """Return the harness's index of tasks: of the given folder alone where that has them all, since
    the harness's own thousands of files take seconds to read."""
    from lm_eval.tasks import TaskManager

    if asked.include is not None:
        local = TaskManager(include_path=str(asked.include), include_defaults=False)
        if set(asked.tasks) <= set(local.all_tasks):
            return local
    _refuse_unless(_mentioned(asked.tasks, asked.include), asked.tasks)
    manager = TaskManager(include_path=str(asked.include) if asked.include else None)
    _refuse_unless(set(manager.all_tasks), asked.tasks)
    return manager


def _mentioned(tasks: Iterable[str], include: Path | None) -> set[str]:
    """Return the tasks whose names occur in any file of the harness, or of a folder.

    To search these for a name takes a second, to index them 20: too long for a mistyped name.
    """
    import lm_eval.tasks

    remaining, mentioned = set(tasks), set[str]()
    own = Path(lm_eval.tasks.__file__).parent
    for folder in [include, own] if include else [own]:
        for path in folder.rglob("*yaml*"):
            if not remaining:
                return mentioned
            with suppress(OSError):
                content = path.read_bytes()
                here = {name for name in remaining if name.encode() in content}
                mentioned |= here
                remaining -= here
    return mentioned


def _refuse_unless(known: Collection[str], tasks: Iterable[str]) -> None:
    unknown = [name for name in tasks if name not in known]
    if unknown:
        raise InputError(
            f"--harness {','.join(unknown)}: the harness knows no such task. Give the folder of "
            "its file with --include-path."
        )


def measured(
    report: dict[str, Any], opened: "Opened", options: "EvalOptions"
) -> Iterator[Measured]:
    """The numbers of a report of the harness, named as ours: `hellaswag_acc_norm`."""
    objective = opened.scorer.objective
    draws = objective.answer_draws(options.draws) if objective.answer_draws(2) > 1 else None
    for task, numbers in report["results"].items():
        n = report["n-samples"].get(task, {}).get("effective")
        shots = report["n-shot"].get(task)
        estimator = (
            f"{objective.validation_estimator}/seed={options.seed}/questions={n}/shots={shots}"
            f"/lm-eval={metadata.version('lm-eval')}"
        )
        for key, value in numbers.items():
            metric, comma, kind = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            stderr = numbers.get(f"{metric}_stderr,{kind}")
            known = isinstance(stderr, (int, float)) and math.isfinite(stderr)
            name = f"{task}_{metric}" if kind == "none" else f"{task}_{metric}_{kind}"
            estimate = Estimate(float(value), float(stderr) if known else None, n or 0, draws)
            yield Measured(name, estimate, estimator)
