"""Recipes: a study as a TOML file, validated before anything starts."""

from workbench.recipe.loading import (
    Recipe,
    canonical_json,
    load_recipe,
    recipe_folder,
    run_config,
    shipped_recipes,
)
from workbench.recipe.models import (
    OBJECTIVES,
    TASKS,
    CompareConfig,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    ParallelismConfig,
    RunConfig,
    StudyConfig,
    TrainingConfig,
)

__all__ = [
    "OBJECTIVES",
    "TASKS",
    "CompareConfig",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "ParallelismConfig",
    "Recipe",
    "RunConfig",
    "StudyConfig",
    "TrainingConfig",
    "canonical_json",
    "load_recipe",
    "recipe_folder",
    "run_config",
    "shipped_recipes",
]
