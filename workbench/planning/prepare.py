"""A study's data, prepared before its runs are planned with ids."""

import sys
from pathlib import Path

from workbench.data import PreparedData
from workbench.data.describe import notes_on_reading
from workbench.planning.plan import Plan, plan_study
from workbench.recipe import DataConfig, Recipe


def prepare_study(recipe: Recipe, results: Path) -> Plan:
    """Prepare every corpus of a recipe, then plan with run ids.

    Raises:
        InputError: a corpus cannot be read or has too little text, or its shards are damaged.
    """
    from workbench.data.preparation import prepare, prepare_validation_set
    from workbench.data.shard_checks import check_shards

    plan = plan_study(recipe, results)  # refuses what needs no data before any is read
    for _ in range(len(plan.runs)):
        run = next((run for run in plan.runs if not run.has_data), None)
        if run is None:
            break
        data = run.config.data
        if run.prepared is None:
            print(f"Preparing {data.corpus} ...", file=sys.stderr, flush=True)
            _print_notes(prepare(data, results), data)
        for one in data.validation_extra or ():
            extra = prepare_validation_set(one, data, results)
            if one.name not in run.validation_extra:
                _print_notes(extra, data)
        plan = plan_study(recipe, results)
    used = [one for run in plan.runs for one in (run.prepared, *run.validation_extra.values())]
    for shards in {one.folder: one for one in used if one is not None}.values():
        check_shards(shards)
    return plan


def _print_notes(prepared: PreparedData, data: DataConfig) -> None:
    for note in notes_on_reading(prepared, data):
        print(f"Note: {note}", file=sys.stderr, flush=True)
