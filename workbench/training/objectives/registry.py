"""The class of an objective, and an objective made from a run's keys."""

import importlib

from workbench.recipe import TrainingConfig, objective_facts
from workbench.training.objectives.base import Objective, Vocab


def objective_class(name: str) -> type[Objective]:
    """The class that the table of objectives names, imported now.

    Raises:
        InputError: there is no such objective.
    """
    module, _, attribute = objective_facts(name).implementation.partition(":")
    found: type[Objective] = getattr(importlib.import_module(module), attribute)
    return found


def build_objective(training: TrainingConfig, vocab: Vocab) -> Objective:
    """The objective that `[training] objective` names, with its own keys read from the recipe."""
    return objective_class(training.objective).from_config(training, vocab)
