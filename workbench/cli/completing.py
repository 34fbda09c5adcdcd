"""What a shell completes: names from file names alone, so that a press of Tab takes no second.

Nothing here opens the store, and what cannot be read completes to nothing.
"""

import os
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import typer

ASKED_BY_A_SHELL = "_WORKBENCH_COMPLETE"
"""The environment variable by which a shell asks for words, and no command is run."""
_RUNS_READ = 3  # whose metrics are taken for those of a study


def studies(context: typer.Context, incomplete: str) -> list[str]:
    """Names of studies."""
    return _begin(_studies(_results(context)), incomplete)


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of runs."""
    return _begin(_runs(_results(context)), incomplete)


def targets(context: typer.Context, incomplete: str) -> list[str]:
    """Studies, and runs where no study begins so."""
    return studies(context, incomplete) or runs(context, incomplete)


def recipes(incomplete: str) -> list[str]:
    """Shipped recipes, and the .toml files and folders that a path goes on with."""
    from workbench.recipe import shipped_recipes

    folder, _, begun = incomplete.rpartition("/")
    place = Path(folder) if folder or not incomplete.startswith("/") else Path("/")
    here = []
    if place.is_dir():
        for path in sorted(place.iterdir()):
            if path.name.startswith(begun) and not path.name.startswith("."):
                whole = f"{folder}/{path.name}" if "/" in incomplete else path.name
                here += [f"{whole}/"] if path.is_dir() else []
                here += [whole] if path.suffix == ".toml" else []
    return _begin(shipped_recipes(), incomplete) + here


def metrics(context: typer.Context, incomplete: str) -> list[str]:
    """Metrics that the workbench measures, and those that the study's first runs have recorded."""
    from workbench.metrics import METRICS
    from workbench.runs.folder import RunFolder

    results = _results(context)
    found = dict.fromkeys(METRICS)
    there = set(_studies(results))
    names = [word for word in _words() if word in there]
    for run_id in islice(_runs_of(results, names), _RUNS_READ):
        found |= dict.fromkeys(RunFolder(results / "runs" / run_id).last_metrics())
    return _begin(found, incomplete)


def _words() -> list[str]:
    """The line as the shell has it: bash's name for it, then that of zsh and fish."""
    return (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()


def _results(context: typer.Context) -> Path:
    words = _words()
    named: list[Any] = [after for word, after in pairwise(words) if word in ("--results", "--from")]
    # Typer parses nothing of a line that ends with an option without its value.
    given = (named or [context.params.get("results")])[-1]
    given = given or os.environ.get("WORKBENCH_RESULTS") or "results"
    if str(given) == "shipped":
        from workbench.store.shipped import shipped_studies

        return shipped_studies()
    return Path(given)


def _studies(results: Path) -> list[str]:
    table = results / "studies" / "part-0.parquet"
    if table.is_file():  # a dataset's; a results folder has a file a study
        from workbench.runs.tables import read_parquet

        return sorted(read_parquet(table, ["study"])["study"])
    return sorted(path.stem for path in (results / "studies").glob("*.json"))


def _runs(results: Path) -> list[str]:
    folder = results / "runs"
    if not folder.is_dir() or (folder / "part-0.parquet").exists():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _runs_of(results: Path, names: list[str]) -> Iterable[str]:
    """Runs of these studies, or of all where none is given; nothing where they cannot be read."""
    import json

    if not names:
        yield from _runs(results)
    for name in names:
        try:
            document = json.loads((results / "studies" / f"{name}.json").read_bytes())
            yield from (run_id for run_id in document["run_ids"] if "/" not in run_id)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _begin(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
