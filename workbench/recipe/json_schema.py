"""The JSON Schema of a whole recipe file, sweep included."""

from typing import Any

from pydantic import Field

from workbench.recipe.models import CompareConfig, RunTables, StudyConfig
from workbench.recipe.objectives import OBJECTIVE_PLUGINS, OBJECTIVES
from workbench.recipe.plugins_used import CORPUS_PLUGINS
from workbench.recipe.slurm import LauncherConfig
from workbench.recipe.sweep import SEED, sweepable_keys
from workbench.recipe.task_names import TASK_PLUGINS
from workbench.recipe.tracking import TrackingConfig


class RecipeFile(RunTables):
    """A recipe: one study and the runs that answer it."""

    study: StudyConfig
    compare: CompareConfig = CompareConfig()
    launcher: LauncherConfig = LauncherConfig()
    tracking: TrackingConfig | list[TrackingConfig] = Field(
        default_factory=list, description="A table, or a list of tables."
    )
    sweep: dict[str, Any] = Field(
        default_factory=dict, description="Lists of values by dotted key; zip; exclude."
    )


def recipe_schema() -> dict[str, Any]:
    """JSON Schema for editors, with every key that a sweep can name."""
    schema = RecipeFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Workbench recipe"
    _name_plugins(schema["$defs"])
    values = {"type": "array", "minItems": 1}
    keys = dict.fromkeys([*sweepable_keys(), SEED], values)
    group = {"type": "object", "properties": keys}
    schema["properties"]["sweep"]["properties"] = {
        **keys,
        "zip": {"type": "array", "items": group},
        "exclude": {"type": "array", "items": {"type": "object"}},
    }
    return schema


def _name_plugins(tables: dict[str, Any]) -> None:
    """Add the plug-ins that can be used to what keys can be."""
    objective = tables["TrainingConfig"]["properties"]["objective"]
    objective["enum"] = list(OBJECTIVES.usable())
    evaluation, data = tables["EvaluationConfig"], tables["DataConfig"]
    for properties, key, plugins in (
        (evaluation["properties"], "tasks", TASK_PLUGINS),
        (data["properties"], "corpus", CORPUS_PLUGINS),
    ):
        names = plugins.usable_names()
        if names:
            properties[key]["description"] += f" Of plug-ins: {', '.join(names)}."


def plugin_problems() -> list[str]:
    """Why plug-ins that a recipe could name are not in the schema."""
    return [
        problem
        for plugins in (OBJECTIVE_PLUGINS, CORPUS_PLUGINS, TASK_PLUGINS)
        for problem in plugins.problems().values()
    ]
