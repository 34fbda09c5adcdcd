"""Longer runs that go on from finished ones, from where their learning rates part ways.

Under warm-up, stable, decay, a run of more tokens is the same as a shorter one, bit for bit, up to
the step at which the shorter one's rate began to fall. Every run keeps the checkpoint of that
step. An extended run starts from it, and so is the run that the same configuration with the
larger budget would have given from the start, and has that run's id: its `config.json` and the
store name its `parent`, and the parent's records up to that step are its own.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from workbench.data import PreparedData
from workbench.errors import InputError
from workbench.metrics import PROTOCOL
from workbench.planning.plan import run_spec, validation_sets
from workbench.recipe import RunConfig, numbers_json, run_config
from workbench.recipe.plugins_used import check_plugins, plugin_origins
from workbench.running.run_report import RunReport
from workbench.running.shared_trunk import fill_from, has_checkpoint
from workbench.running.study import train_folders
from workbench.runs.files import check_writable, write_json
from workbench.runs.folder import NO_MODEL, RunFolder, RunStatus
from workbench.runs.provenance import provenance
from workbench.runs.started_as import as_provenance, started_as
from workbench.runs.studies import read_study, studies_of, targets, together


def extend(
    results: Path, target: str | Sequence[str], total_tokens: int, *, jobs: int | None = None
) -> RunReport:
    """Train finished runs to more tokens, as new runs of the studies they are in.

    Args:
        target: studies, run ids, or beginnings of run ids; of a study, every run that has fewer
            tokens.

    Raises:
        InputError: no such study or run, one that is not finished or has as many tokens already,
            or whose checkpoint before the decay is not there any more. Nothing has started.
    """
    names = [target] if isinstance(target, str) else target
    parents = _parents(results, names, total_tokens)
    for parent in parents:
        _check(parent, total_tokens)
    check_writable(results)
    folders: dict[str, RunFolder] = {}
    for parent in parents:
        child = extended_run(results, parent, total_tokens)
        folders[child.run_id] = child
        _join_studies(results, parent.run_id, child.run_id)
    return train_folders(
        together(names), folders, results, jobs=jobs, keep_going=True, retry_failed=True
    )


def _parents(results: Path, names: Sequence[str], total_tokens: int) -> list[RunFolder]:
    """Return the runs to go on from.

    Runs that differ in length alone have one extension, which starts from the longest of them that
    has its checkpoint: shorter ones may have lost theirs when the longer one was trained from it.
    """
    named, target = targets(results, *names), together(names)
    trained = [run for run in named if not run.is_imported()]
    if not trained:
        raise InputError(f"{target}: {NO_MODEL}. There is nothing to extend.")
    shorter = [run for run in trained if (_config(run).training.total_tokens or 0) < total_tokens]
    if not shorter:
        most = max(_config(run).training.total_tokens or 0 for run in trained)
        raise InputError(
            f"--total-tokens {total_tokens}: {target} has {most} already. Give more than that."
        )
    chosen: dict[str, RunFolder] = {}
    for run in shorter:
        extension = _extension(run, total_tokens)
        if extension not in chosen:
            alike = [
                one for one in _beside(results, run) if _extension(one, total_tokens) == extension
            ]
            alike = [
                one
                for one in alike
                if _config(one).steps < _longer(_config(run), total_tokens).steps
            ]
            usable = [
                one
                for one in alike
                if one.status().state == "finished"
                and has_checkpoint(one, _config(one).trunk_steps)
            ]
            chosen[extension] = max(usable, key=lambda one: _config(one).steps, default=run)
    return list(chosen.values())


def _beside(results: Path, run: RunFolder) -> list[RunFolder]:
    """The runs of the studies that a run is in, itself among them."""
    listed = [run_ids for run_ids in studies_of(results).values() if run.run_id in run_ids]
    ids = dict.fromkeys([run.run_id, *(run_id for run_ids in listed for run_id in run_ids)])
    folders = (RunFolder(results / "runs" / run_id) for run_id in ids)
    return [one for one in folders if one.config_path.exists() and not one.is_imported()]


def _extension(run: RunFolder, total_tokens: int) -> str:
    """One text for runs that have the same extension."""
    data = run.config_json()["data"]
    return numbers_json(_longer(_config(run), total_tokens)) + json.dumps(data, sort_keys=True)


def _config(run: RunFolder) -> RunConfig:
    return run_config(run.config_json())


def _check(parent: RunFolder, total_tokens: int) -> None:
    """Check that a run can be extended to `total_tokens`.

    Raises:
        InputError: see `extend`.
    """
    state = parent.status().state
    if state != "finished":
        raise InputError(f"run {parent.run_id} is {state}: only a finished run is extended.")
    if parent.protocol() != PROTOCOL:
        raise InputError(
            f"run {parent.run_id} was evaluated by protocol {parent.protocol()}, and this "
            f"workbench measures by protocol {PROTOCOL}: one curve cannot have both. Train the "
            "longer run from the start: workbench run RECIPE --set "
            f"training.total_tokens={total_tokens}."
        )
    config = _config(parent)
    check_plugins(config, ("objectives", "tasks"), f"run {parent.run_id}")
    longer = _longer(config, total_tokens)
    if longer.steps <= config.steps:
        raise InputError(
            f"--total-tokens {total_tokens}: not one step more than run {parent.run_id} has; "
            f"a step is {config.tokens_per_step} tokens."
        )
    step = config.trunk_steps
    if step < 1:
        raise InputError(
            f"run {parent.run_id} cannot be extended: its learning rate falls from the first step "
            f"on (training.decay_fraction = {config.training.decay_fraction}). Train the longer "
            "run from the start."
        )
    if not has_checkpoint(parent, step):
        raise InputError(
            f"run {parent.run_id} cannot be extended: its checkpoint before the decay of the "
            f"learning rate, {parent.checkpoint_dir / f'step-{step}'}, is not there any more "
            "(removed, or trained by a workbench that did not save it). Train the longer run from "
            f"the start: workbench run RECIPE --set training.total_tokens={total_tokens}."
        )


def _longer(config: RunConfig, total_tokens: int) -> RunConfig:
    """Return the configuration of the same run with another budget.

    Warm-up and the checkpoints' interval stay as they were: the warm-up is trained already.
    """
    training = config.training.model_copy(update={"total_tokens": total_tokens})
    return config.model_copy(update={"training": training})


def extended_run(results: Path, parent: RunFolder, total_tokens: int) -> RunFolder:
    """Make the folder of a longer run, as if it had stopped before its learning rate fell.

    A folder that is there already is left as it is.
    """
    document = parent.config_json()
    prepared = PreparedData.open(results / document["data"]["folder"])
    step = _config(parent).trunk_steps
    longer = _longer(_config(parent), total_tokens)
    extra = validation_sets(longer, results, [], f"run {parent.run_id}")
    run = run_spec(longer, prepared, extra)
    if run.run_id is None:
        raise InputError(
            f"run {parent.run_id}: a second validation set of its data is not in {results} any "
            "more: run its recipe once, which prepares it."
        )
    config = {
        **document,
        "run_id": run.run_id,
        "parent": parent.run_id,
        "extended_from_step": step,
        "config": run.config.model_dump(mode="json"),
        "derived": run.derived(),
    }
    status = RunStatus(step=step, steps=run.steps, tokens=step * run.config.tokens_per_step)

    def fill(folder: Path) -> None:
        fill_from(parent, folder, step)

    origin = provenance(f"workbench extend {parent.run_id} --total-tokens {total_tokens}\n")
    origin |= plugin_origins(run.config, parent=parent.provenance_json())
    # It goes on from the parent's weights, and so with the parent's arithmetic.
    compiled = run.config.training.compile is True
    origin |= as_provenance(started_as(parent.provenance_json(), compiled=compiled))
    return RunFolder.create(results, run.run_id, config, origin, status=status, fill=fill)


def _join_studies(results: Path, parent: str, child: str) -> None:
    """List a run wherever its parent is listed."""
    for path in sorted((results / "studies").glob("*.json")):
        study = read_study(path)
        if parent in study["run_ids"] and child not in study["run_ids"]:
            study["run_ids"].append(child)
            write_json(path, study)
