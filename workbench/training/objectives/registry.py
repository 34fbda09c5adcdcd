"""The class of an objective, and an objective made from a run's keys."""

import importlib

from workbench.errors import InputError
from workbench.recipe import TrainingConfig, objective_facts
from workbench.recipe.objectives import OBJECTIVE_PLUGINS
from workbench.training.objectives.base import Objective, Vocab


def objective_class(name: str) -> type[Objective]:
    """The class that the table of objectives names, imported now.

    Raises:
        InputError: there is no such objective, or its plug-in cannot be used.
    """
    plugin = OBJECTIVE_PLUGINS.find(name)
    if plugin is not None:
        facts, code = objective_facts(name), plugin.code()
        if not (isinstance(code, type) and issubclass(code, Objective)) or code.facts != facts:
            raise InputError(
                f"the objective {name} ({plugin}) cannot be used: {facts.implementation} is no "
                "Objective with the declared facts."
            )
        return code
    module, _, attribute = objective_facts(name).implementation.partition(":")
    found: type[Objective] = getattr(importlib.import_module(module), attribute)
    return found


def build_objective(training: TrainingConfig, vocab: Vocab) -> Objective:
    """The objective that `[training] objective` names, with its own keys read from the recipe."""
    return objective_class(training.objective).from_config(training, vocab)
