"""Training a recipe's runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.arguments import public

if TYPE_CHECKING:
    from workbench.recipe import Recipe
    from workbench.running.run_report import RunReport


@public
def run(
    recipe: "str | Path | Mapping[str, Any] | Recipe",
    results: str | Path = "results",
    *,
    set: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    keep_going: bool = True,
    retry_failed: bool = False,
    ranks: int | None = None,
) -> "RunReport":
    """Train what a recipe's runs still lack: what is finished is skipped, what was interrupted goes
    on. Returns which runs finished, failed, and so on; `.ok` where all are finished.

    Lines of progress go to stderr. Each run trains in a process of its own: the notebook's memory
    and modules stay out of it, and a script needs no `if __name__ == "__main__"`.

    Args:
        recipe: a .toml file, a shipped recipe's name, or a dictionary of tables.
        results: the folder of runs and store.
        set: dotted key -> value, such as `{"training.lr": 1e-3}`.
        jobs: ranks at once; by default what GPUs or CPU cores hold.
        keep_going: whether others go on after a failed run.
        retry_failed: try failed and diverged runs again.
        ranks: ranks of each run, where not those of its [parallelism].

    Raises:
        InputError: the recipe, its data or the folder is wrong. Nothing has started.
        KeyboardInterrupt: after an interrupt, once every run has written a checkpoint: the same
            call goes on from there.
    """
    from workbench.recipe import Recipe
    from workbench.running.study import run_study

    return run_study(
        Recipe.load(recipe, set), Path(results), jobs=jobs, keep_going=keep_going,
        retry_failed=retry_failed, ranks=ranks,
    )  # fmt: skip
