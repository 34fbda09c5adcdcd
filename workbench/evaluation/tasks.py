"""The tasks that `[evaluation] tasks` can name. A new one is a function and an entry in `TASKS`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workbench.data import PreparedData
from workbench.evaluation import cloze
from workbench.recipe import RunConfig
from workbench.training.trainer import StudyTrainer
from workbench.training.validation import Estimate


@dataclass(frozen=True)
class Measured:
    """One number of one task."""

    metric: str
    estimate: Estimate
    estimator: str


Task = Callable[[StudyTrainer], Iterator[Measured]]


def _cloze(config: RunConfig, prepared: PreparedData) -> Task:
    evaluation = config.evaluation
    assert evaluation.cloze_questions is not None
    n_draws = evaluation.cloze_draws or 1  # no draws where the likelihood is exact
    questions = cloze.make_questions(
        prepared, seq_len=config.data.seq_len, count=evaluation.cloze_questions
    )
    batch = evaluation.validation_batch_size or config.training.batch_size

    def run(trainer: StudyTrainer) -> Iterator[Measured]:
        scores = cloze.score(trainer, questions, draws=n_draws, batch=batch)
        draws = trainer.objective.answer_draws(n_draws)
        estimator = f"{trainer.objective.validation_estimator}/draws={draws}"
        yield Measured("cloze_acc", scores.accuracy, estimator)
        yield Measured("cloze_nll_true", scores.nll_true, estimator)
        yield Measured("cloze_nll_other", scores.nll_other, estimator)

    return run


TASKS: dict[str, Callable[[RunConfig, PreparedData], Task]] = {"cloze": _cloze}
