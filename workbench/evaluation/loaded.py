"""A checkpoint in the place of a trainer, for measurements that only look at the model."""

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import cast

from torch import Tensor

from workbench.generation.loading import RunModel
from workbench.training.loss import token_nll
from workbench.training.objectives import build_objective
from workbench.training.trainer import StudyTrainer


class LoadedTrainer:
    """What measurements ask of a `StudyTrainer`, of one whole model on one device."""

    def __init__(self, loaded: RunModel) -> None:
        self.model_parts = [loaded.model]
        self.objective = build_objective(loaded.config.training, loaded.vocab)
        self.device = loaded.device
        self.parallel_dims = SimpleNamespace(dp_enabled=False)
        self.loss_fn = _Loss(loaded.vocab.n_tokens)

    def train_context(self) -> AbstractContextManager[None]:
        return nullcontext()


class _Loss:
    def __init__(self, n_tokens: int) -> None:
        self.n_tokens = n_tokens

    def nll(self, logits_BLV: Tensor, targets_BL: Tensor) -> Tensor:
        return token_nll(logits_BLV, targets_BL, self.n_tokens)


def as_trainer(loaded: RunModel) -> StudyTrainer:
    """A loaded run for functions that take a trainer."""
    return cast(StudyTrainer, LoadedTrainer(loaded))
