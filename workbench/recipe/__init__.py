"""Recipes: a study as a TOML file, validated before anything starts."""

from workbench.recipe.identity import canonical_json, numbers_json
from workbench.recipe.loading import (
    Recipe,
    load_recipe,
    load_recipe_text,
    recipe_folder,
    run_config,
    shipped_recipes,
)
from workbench.recipe.models import (
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
from workbench.recipe.objectives import OBJECTIVES, ObjectiveFacts, objective_facts

__all__ = [
    "OBJECTIVES",
    "TASKS",
    "CompareConfig",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "ObjectiveFacts",
    "ParallelismConfig",
    "Recipe",
    "RunConfig",
    "StudyConfig",
    "TrainingConfig",
    "canonical_json",
    "load_recipe",
    "load_recipe_text",
    "numbers_json",
    "objective_facts",
    "recipe_folder",
    "run_config",
    "shipped_recipes",
]
