"""Every recipe at the published scale, rehearsed: whether its runs step, evaluate and fit.

Kinds of runs that several recipes share are rehearsed once, at two depths; all layers follow.

    python benchmarks/rehearse_recipes.py [--layers 2] [RECIPE ...] > recipes.json

A line a kind goes to stderr as it is done. On 2 free cores a kind takes about half a minute.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from workbench.planning.gpus import GPUS
from workbench.planning.plan import Plan, plan_study
from workbench.recipe import load_recipe, shipped_recipes
from workbench.rehearsal.planned import kinds, rehearsal_table_row, rehearse_plan


def distinct(recipes: list[str]) -> tuple[Plan, dict[int, list[str]]]:
    """One plan of a run of each kind, and the recipes that have such runs, by the run's place."""
    with tempfile.TemporaryDirectory() as folder:
        plans = {name: plan_study(load_recipe(name, []), Path(folder)) for name in recipes}
    whole = Plan("recipes", [run for plan in plans.values() for run in plan.runs], [])
    chosen = [run for run, _ in kinds(whole)]
    by_place: dict[int, list[str]] = {}
    for name, plan in plans.items():
        for run, _ in kinds(plan):
            both = [*chosen, run]
            place = next(
                i for i, other in enumerate(both) if len(kinds(Plan("pair", [other, run], []))) == 1
            )
            by_place.setdefault(place, []).append(name)
    return Plan("recipes", chosen, []), by_place


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--layers", type=int, default=2)
    arguments = parser.parse_args()
    large = ("paper/", "gpu/", "field/")
    published = [name for name in shipped_recipes() if name.startswith(large)]
    plan, recipes = distinct(arguments.recipes or published)
    found: list[dict[str, Any]] = []
    for place, run in enumerate(plan.runs):
        alone = Plan(plan.study, [run], [])
        (row,) = rehearse_plan(alone, GPUS["h100"], layers=arguments.layers)
        found.append({**row, "recipes": recipes.get(place, [])})
        told = rehearsal_table_row(row)
        print(*told.values(), *found[-1]["recipes"], *row["errors"], sep=" | ", file=sys.stderr)
    json.dump(found, sys.stdout)
    return 0 if all(row["fits"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
