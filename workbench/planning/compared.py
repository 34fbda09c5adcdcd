"""What a recipe's `[compare]` names, against the runs that there will be."""

from contextlib import suppress
from pathlib import Path

from workbench.errors import InputError
from workbench.recipe import Recipe, RunConfig
from workbench.recipe.sides import Keys, require_key, require_runs
from workbench.recipe.sweep import dotted
from workbench.runs.folder import RunFolder
from workbench.runs.studies import imported_runs


def check_compared(recipe: Recipe, configs: list[RunConfig], results: Path) -> None:
    """Check that the keys of `[compare]` exist, and that its values are those of some runs.

    Sides that the recipe leaves out are not checked: a study of one objective compares nothing.

    Args:
        configs: the planned runs, their vocabularies known.

    Raises:
        InputError: names the key, what is near, and the values that the runs have.
    """
    compare = recipe.compare
    if not compare.model_fields_set:
        return
    runs: list[Keys] = [
        {**dotted(config.model_dump(mode="json")), "n_params": config.model.shape.n_params}
        for config in configs
    ]
    for run_id in imported_runs(results, recipe.study.name):  # they are compared with these
        with suppress(InputError, KeyError, TypeError):
            document = RunFolder(results / "runs" / run_id).config_json()
            keys = dotted(document["config"])
            runs.append({**keys, "n_params": document["derived"].get("n_params")})
    for name in ("baseline", "challenger"):
        if name in compare.model_fields_set:
            require_runs(getattr(compare, name), f"{recipe.origin}: compare.{name}", runs)
    for key in compare.match or ():
        require_key(key, f"{recipe.origin}: compare.match", runs)
