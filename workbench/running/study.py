"""Running a study: prepare its data, make its run folders, train what they lack."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.metrics import PROTOCOL
from workbench.planning.plan import Plan, RunSpec, plan_study
from workbench.planning.prepare import prepare_study
from workbench.recipe import Recipe
from workbench.recipe.plugins_used import plugin_origins
from workbench.recipe.ranks import laid_out
from workbench.recipe.task_names import missing_files
from workbench.running.compiler import check_compiler
from workbench.running.left_behind import note_left_behind
from workbench.running.orchestrator import Orchestrator
from workbench.running.run_report import RunReport
from workbench.running.slots import make_slots
from workbench.runs.files import check_writable, each, write_json
from workbench.runs.folder import NO_MODEL, RunFolder
from workbench.runs.lock import AlreadyClaimed
from workbench.runs.provenance import provenance
from workbench.runs.studies import extended_runs, imported_runs
from workbench.tracking.settings import note_trackers


def run_study(
    recipe: Recipe,
    results: Path,
    *,
    jobs: int | None = None,
    keep_going: bool = True,
    retry_failed: bool = False,
    ranks: int | None = None,
) -> RunReport:
    """Train what a recipe's runs still lack, and bring the store up to date.

    Finished runs are skipped, interrupted ones go on from their checkpoint, failed and diverged
    ones are started again only with `retry_failed`.

    Args:
        jobs: ranks that train at once; by default `launcher.local.runs_per_gpu` for each GPU, or
            one for each share of the CPU's cores that a rank's threads take.
        keep_going: whether other runs go on when one fails.
        ranks: how many train each run, where not those of its [parallelism].

    Raises:
        InputError: the recipe, its data or the results folder is wrong. Nothing has started.
        KeyboardInterrupt: after Ctrl-C, once every worker has written its checkpoint.
    """
    # Errors in the request are raised before anything is written.
    check_request(recipe, results)
    per_gpu = recipe.launcher.local.runs_per_gpu
    make_slots([laid_out(config, ranks) for config in recipe.runs], jobs, per_gpu)
    folders = prepared_folders(recipe, results)
    return train_folders(
        recipe.study.name,
        folders,
        results,
        jobs=jobs,
        keep_going=keep_going,
        retry_failed=retry_failed,
        ranks=ranks,
        runs_per_gpu=per_gpu,
    )


def check_request(recipe: Recipe, results: Path) -> None:
    """Check what a recipe asks for, as far as that is possible without its data.

    Raises:
        InputError: it cannot be trained as asked.
    """
    plan_study(recipe, results)
    for config in recipe.runs:
        for problem in missing_files(config.evaluation.task_files):
            raise InputError(f"{recipe.origin}: {problem}")


def prepared_folders(recipe: Recipe, results: Path) -> dict[str, RunFolder]:
    """The run folders of a recipe, by run id, its data prepared.

    Raises:
        InputError: its data or the results folder is wrong. No folder is made.
    """
    made = not results.exists()
    check_writable(results)
    try:
        plan = prepare_study(recipe, results)
    except InputError:
        if made:
            with suppress(OSError):
                results.rmdir()  # only where it is still empty
        raise
    return make_folders(recipe, plan, results)


def train_folders(
    name: str,
    folders: dict[str, RunFolder],
    results: Path,
    *,
    jobs: int | None,
    keep_going: bool,
    retry_failed: bool,
    ranks: int | None = None,
    runs_per_gpu: int = 1,
) -> RunReport:
    """Train the runs of existing folders, imported ones left as they are: see `run_study`.

    Args:
        name: what to call them all, in messages and in the report.

    Raises:
        InputError: every run was imported, or one asks for compiled code and there is no compiler.
    """
    trained = {run_id: run for run_id, run in folders.items() if not run.is_imported()}
    if not trained:
        raise InputError(f"{name}: {NO_MODEL}. There is nothing to train.")
    check_compiler(trained)
    return Orchestrator(
        name,
        trained,
        results,
        jobs=jobs,
        keep_going=keep_going,
        retry_failed=retry_failed,
        ranks=ranks,
        runs_per_gpu=runs_per_gpu,
    ).run()


def make_folders(recipe: Recipe, plan: Plan, results: Path) -> dict[str, RunFolder]:
    """The run folders, by run id, and the study's file.

    A run that is there already and still has to train gets what the recipe says now of keys that
    change no number, and so no id: where its text, tokenizer and tasks lie, which checkpoints it
    keeps.
    """
    origin = provenance(recipe.text)

    def make(run: RunSpec) -> RunFolder:
        assert run.run_id is not None
        assert run.prepared is not None
        config = {
            "schema": 1,
            "run_id": run.run_id,
            "protocol": PROTOCOL,
            "parent": None,
            "data": {
                "fingerprint": run.prepared.fingerprint,
                "folder": str(run.prepared.folder.relative_to(results)),
                **_validation_folders(run, results),
            },
            "config": run.config.model_dump(mode="json"),
            "derived": run.derived(),
        }
        folder = RunFolder.create(results, run.run_id, config, origin | plugin_origins(run.config))
        _renew_config(folder, {key: config[key] for key in ("data", "config", "derived")})
        return folder

    folders = {folder.run_id: folder for folder in each(make, plan.runs)}
    listed = dict.fromkeys(
        [
            *folders,
            *extended_runs(results, recipe.study.name, folders),
            *imported_runs(results, recipe.study.name),
        ]
    )
    note_left_behind(results, recipe.study.name, listed)
    study = {
        "name": recipe.study.name,
        "question": recipe.study.question,
        "source": recipe.study.source,
        "compare": recipe.compare.model_dump(mode="json"),
        # What was imported into the study, and what extends it, is in no recipe, and stays.
        "run_ids": list(listed),
        "recipe": recipe.text,
    }
    (results / "studies").mkdir(exist_ok=True)
    write_json(results / "studies" / f"{recipe.study.name}.json", study)
    note_trackers(list(folders.values()), recipe.study.name, recipe.tracking)
    return folders


def _renew_config(run: RunFolder, now: dict[str, Any]) -> None:
    """Write these parts of `config.json`, where they differ, of a run that is not finished.

    A run that somebody trains goes on with what it has read.
    """
    document = run.config_json()
    if document.get("imported") is True or document | now == document:
        return
    with suppress(AlreadyClaimed), run.claim():
        if run.stored_status().state != "finished":
            write_json(run.config_path, document | now)


def _validation_folders(run: RunSpec, results: Path) -> dict[str, Any]:
    """Where a run's second validation sets are; nothing for a run without."""
    folders = {
        name: {"fingerprint": data.fingerprint, "folder": str(data.folder.relative_to(results))}
        for name, data in run.validation_extra.items()
    }
    return {"validation_extra": folders} if folders else {}
