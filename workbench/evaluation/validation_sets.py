"""Second validation sets: the same estimate on other text, such as text of another domain.

A loss that rises on the training domain's held-out text may still fall on other text, and the order
of two models may differ (arXiv 2511.03276, section 5, which reports both).
"""

import math
from collections.abc import Iterator

from workbench.data import PreparedData
from workbench.data.windows import ValidationWindows
from workbench.evaluation.tasks import Measured, TrainingTask
from workbench.recipe import RunConfig
from workbench.runs.folder import RunFolder
from workbench.training.trainer import StudyTrainer
from workbench.training.validation import Estimate, Validation


def validation_set_tasks(config: RunConfig, run: RunFolder) -> list[TrainingTask]:
    """One task a set of `data.validation_extra`: `val_loss@NAME` and `val_bpb@NAME`.

    Windows and noise are drawn as those of `val_loss` are, and are as fixed.

    Raises:
        InputError: a set's shards are missing.
    """
    folders = run.config_json()["data"].get("validation_extra", {})
    tasks = []
    for validation_set in config.data.validation_extra or ():
        data = PreparedData.open(run.results / folders[validation_set.name]["folder"])
        assert validation_set.tokens is not None
        tasks.append(_task(config, validation_set.name, validation_set.tokens, data))
    return tasks


def _task(config: RunConfig, name: str, n_tokens: int, data: PreparedData) -> TrainingTask:
    evaluation = config.evaluation
    windows = ValidationWindows(data.held_out(), seq_len=config.data.seq_len, n_tokens=n_tokens)
    validation = Validation(
        windows.tokens,
        batch=evaluation.validation_batch_size or config.training.batch_size,
        draws=evaluation.validation_draws or 1,
    )
    to_bits_a_byte = 1 / (math.log(2) * data.bytes_per_token)

    def run(trainer: StudyTrainer) -> Iterator[Measured]:
        loss = validation.evaluate(trainer)
        estimator = trainer.objective.validation_estimator
        stderr = None if loss.stderr is None else loss.stderr * to_bits_a_byte
        bits = Estimate(loss.value * to_bits_a_byte, stderr, loss.n)
        yield Measured(f"val_loss@{name}", loss, estimator)
        yield Measured(f"val_bpb@{name}", bits, estimator)

    return run
