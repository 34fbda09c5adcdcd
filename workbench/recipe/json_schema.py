"""The JSON Schema of a whole recipe file, sweep included."""

from typing import Any

from pydantic import Field

from workbench.recipe.models import CompareConfig, RunConfig, StudyConfig
from workbench.recipe.slurm import LauncherConfig
from workbench.recipe.sweep import sweepable_keys


class RecipeFile(RunConfig):
    """A recipe: one study and the runs that answer it."""

    study: StudyConfig
    compare: CompareConfig = CompareConfig()
    launcher: LauncherConfig = LauncherConfig()
    sweep: dict[str, Any] = Field(
        default_factory=dict, description="Lists of values by dotted key; zip; exclude."
    )


def recipe_schema() -> dict[str, Any]:
    """JSON Schema for editors, with every key that a sweep can name."""
    schema = RecipeFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Workbench recipe"
    values = {"type": "array", "minItems": 1}
    keys = dict.fromkeys(sweepable_keys(), values)
    group = {"type": "object", "properties": keys}
    schema["properties"]["sweep"]["properties"] = {
        **keys,
        "zip": {"type": "array", "items": group},
        "exclude": {"type": "array", "items": {"type": "object"}},
    }
    return schema
