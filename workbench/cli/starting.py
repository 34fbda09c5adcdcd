"""Commands to begin with: a recipe of one's own, and those that ship."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench import stages
from workbench.cli.options import RESULTS, Format, FormatOption, ResultsOption
from workbench.cli.root import app


@app.command()
def init(
    path: Annotated[
        Path, typer.Argument(metavar="[FILE.toml]", help="The recipe to write.")
    ] = Path("study.toml"),
) -> None:
    """Write a commented recipe that runs as it is, to change into one's own."""
    from workbench.recipe.starting import write_template

    name = write_template(path)
    print(path)
    print(
        f"Next: `workbench plan {path}`, `workbench run {path}`, `workbench crossover {name}`.",
        file=sys.stderr,
    )


@app.command()
def recipes(
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show the recipes that ship: what each asks, what it costs, whether it was run here."""
    from workbench.cli.output import emit
    from workbench.recipe import shipped_recipes
    from workbench.store import query
    from workbench.store.shipped import shipped_studies

    shipped = set(query(shipped_studies(), "SELECT study FROM studies")["study"])
    rows = [_about(name, results, shipped) for name in shipped_recipes()]
    emit([_for_people(row) for row in rows] if fmt == Format.table else rows, fmt)
    if fmt == Format.table:
        print(
            "`workbench plan NAME` shows a recipe's runs, `workbench run NAME` trains them. Any "
            "command answers from results that ship with --from shipped.",
            file=sys.stderr,
        )


def _about(name: str, results: Path, shipped: set[str]) -> dict[str, Any]:
    """What a shipped recipe asks and costs, and how many of its study's runs are in which state."""
    from workbench.planning.plan import plan_study
    from workbench.recipe import load_recipe
    from workbench.runs.folder import RunFolder
    from workbench.runs.studies import studies_of

    stages.doing(f"planning {name}")
    recipe = load_recipe(name)
    planned = plan_study(recipe, results)
    there = studies_of(results).get(recipe.study.name, []) if results.is_dir() else []
    folders = [RunFolder(results / "runs" / run_id) for run_id in there]
    states = Counter(folder.status().state for folder in folders if folder.path.exists())
    return {
        "recipe": name,
        "study": recipe.study.name,
        "question": recipe.study.question,
        "runs": len(planned.runs),
        "total_tokens": planned.total_tokens,
        "train_flops": planned.total_train_flops,
        "runs_here": sum(states.values()),
        "finished_here": states["finished"],
        "results_ship": recipe.study.name in shipped,
    }


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    from workbench.messages import size_label

    here = f"{row['finished_here']} of {row['runs_here']} finished" if row["runs_here"] else ""
    return {
        "recipe": row["recipe"],
        "question": row["question"],
        "runs": row["runs"],
        "tokens": size_label(row["total_tokens"]),
        "FLOPs": f"{row['train_flops']:.2g}",
        "run here": here,
        "results ship": "yes" if row["results_ship"] else "",
    }
