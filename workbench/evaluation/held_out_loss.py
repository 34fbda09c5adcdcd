"""`val_loss` and `val_bpb`: of a run's own held-out text, and of its second validation sets.

A loss that rises on the training domain's held-out text may still fall on other text, and the order
of two models may differ (arXiv 2511.03276, section 5, which reports both).
"""

import math
from collections.abc import Iterator
from pathlib import Path

from workbench.data import PreparedData
from workbench.data.streams import validation_windows
from workbench.evaluation.tasks import Measured, TrainingTask
from workbench.recipe import RunConfig
from workbench.runs.folder import RunFolder
from workbench.training.trainer import StudyTrainer
from workbench.training.validation import Validation


def held_out_tasks(config: RunConfig, prepared: PreparedData, run: RunFolder) -> list[TrainingTask]:
    """One task for the held-out text, and one a set of `data.validation_extra`, whose metrics are
    called `val_loss@NAME` and `val_bpb@NAME`.

    Raises:
        InputError: a set's shards are missing.
    """
    tasks = [_task(config, prepared)]
    for ending, folder, n_tokens in extra_sets(config, run):
        tasks.append(_task(config, PreparedData.open(folder), n_tokens=n_tokens, ending=ending))
    return tasks


def extra_sets(config: RunConfig, run: RunFolder) -> Iterator[tuple[str, Path, int | None]]:
    """Of each set of `data.validation_extra`: what its metrics end in, the folder of its shards,
    and how many tokens of it are measured."""
    folders = run.config_json()["data"].get("validation_extra", {})
    for one in config.data.validation_extra or ():
        yield f"@{one.name}", run.results / folders[one.name]["folder"], one.tokens


def _task(
    config: RunConfig, data: PreparedData, *, n_tokens: int | None = None, ending: str = ""
) -> TrainingTask:
    evaluation = config.evaluation
    validation = Validation(
        validation_windows(data, config.data, n_tokens),
        batch=config.scored_at_once,
        draws=evaluation.validation_draws or 1,
    )

    def run(trainer: StudyTrainer) -> Iterator[Measured]:
        draws = evaluation.validation_draws_last if trainer.step >= config.steps else None
        return measured_loss(
            validation, trainer, data, noise=trainer.step, draws=draws, ending=ending
        )

    return run


def measured_loss(
    validation: Validation,
    trainer: StudyTrainer,
    data: PreparedData,
    *,
    noise: int,
    draws: int | None = None,
    ending: str = "",
) -> Iterator[Measured]:
    """The loss in nats a token, and in bits a byte. Arguments as `Validation.evaluate`.

    Args:
        data: whose windows are read: it knows how many bytes its tokens are.
        ending: of the metrics' names.
    """
    loss, items = validation.evaluate(trainer, noise=noise, draws=draws)
    estimator = trainer.objective.validation_estimator
    yield Measured(f"val_loss{ending}", loss, estimator, items)
    bits = loss.scaled(1 / (math.log(2) * data.bytes_per_token))
    yield Measured(f"val_bpb{ending}", bits, estimator)
