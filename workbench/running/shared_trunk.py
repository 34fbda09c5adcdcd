"""Runs that go on from another run's checkpoint: before they start, they get what it has so far.

A run that begins so has the records, items and weights, bit for bit, that it would have alone. Its
`provenance.json` names the run and the step (`shared_trunk`).
"""

import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.planning.compiling import device_of, is_to_be_compiled
from workbench.planning.trunks import Source, Trunks, trunks
from workbench.recipe import RunConfig, run_config
from workbench.runs.checkpoints import kept_checkpoints, saved_steps
from workbench.runs.files import plain_file, plain_path, write_json
from workbench.runs.folder import ENDED, RunFolder, list_runs
from workbench.runs.items import copy_items
from workbench.runs.lock import AlreadyClaimed
from workbench.runs.records import LONGEST_LINE
from workbench.runs.started_as import as_provenance, started_as
from workbench.runs.unfinished import replace_durably, replacing, sweep, unfinished

_LIKENESS = {
    "data": ("unique_tokens", "seed"),
    "model": ("width", "layers"),
    "training": ("objective", "seed", "lr"),
}


def trunks_of(
    results: Path,
    folders: Mapping[str, RunFolder],
    configs: Mapping[str, RunConfig],
    device: str,
) -> Trunks:
    """The trunks of runs on disk, by id: those of a study, and finished ones of others that still
    have the checkpoint to go on from.

    Args:
        device: "cpu" or "cuda", where recipes leave the choice to the machine. Compiled and eager
            runs have other bits, and so no trunk in common.
    """
    members = [
        (run_id, configs[run_id], _text(run, configs[run_id], device))
        for run_id, run in folders.items()
    ]
    unfinished = [run for run in folders.values() if run.status().state != "finished"]
    wanted = {_likeness(run.config_json()) for run in unfinished}
    for run in list_runs(results) if wanted else ():
        if run.run_id in folders or not saved_steps(run.checkpoint_dir):
            continue
        with suppress(InputError):  # what cannot be read is no run to go on from
            document = run.config_json()
            if _likeness(document) in wanted and run.status().state == "finished":
                config = run_config(document)
                if has_checkpoint(run, config.trunk_steps):
                    members.append((run.run_id, config, _text(run, config, device)))
    return trunks(members)


def _likeness(document: Mapping[str, Any]) -> tuple[object, ...]:
    """What runs on one trunk have in common, cheap to read: thousands of others are looked at."""
    data, config = document.get("data", {}), document.get("config", {})
    found: list[object] = [data.get("fingerprint")]
    for table, keys in _LIKENESS.items():
        found += [config.get(table, {}).get(key) for key in keys]
    return tuple(found)


def _text(run: RunFolder, config: RunConfig, device: str) -> str:
    document = run.config_json()
    data = document["data"]
    extra = {name: one["fingerprint"] for name, one in data.get("validation_extra", {}).items()}
    return json.dumps([data["fingerprint"], extra, _compiled(config, document, device)])


def _compiled(config: RunConfig, document: Mapping[str, Any], device: str) -> bool:
    flops = float(document["derived"]["train_flops"])
    return is_to_be_compiled(config.training, device_of(config.training, device), flops)


def computes_alike(run: RunFolder, source: RunFolder, device: str) -> bool:
    """Whether a run would start here as another one was started, and so may go on from it.

    Args:
        device: as in `trunks_of`.
    """
    document = run.config_json()
    config = run_config(document)
    began = started_as(source.provenance_json(), compiled=config.training.compile is True)
    if began is None:
        return True  # made by hand: there is nothing to compare with
    compiled = _compiled(config, document, device) and not began.why_eager
    return (began.device, began.compile) == (device_of(config.training, device), compiled)


def has_checkpoint(run: RunFolder, step: int) -> bool:
    """Whether a run's checkpoint of a step is on disk, and complete."""
    return step in saved_steps(run.checkpoint_dir)


def has_begun(run: RunFolder) -> bool:
    """Whether a run has steps of its own to go on from, and needs nobody else's."""
    return bool(saved_steps(run.checkpoint_dir))


def take_trunk(run: RunFolder, source: RunFolder, step: int) -> bool:
    """Let a run that has not begun go on from another run's checkpoint.

    Returns:
        whether it does: not if it has begun meanwhile, or another process has it.

    Raises:
        WorkbenchError: a file cannot be written. The run can start from its first step.
    """
    with suppress(AlreadyClaimed), run.claim():
        if has_begun(run) or run.stored_status().state in ENDED:
            return False
        origin = run.provenance_json()
        origin["shared_trunk"] = {"run_id": source.run_id, "step": step}
        began = source.provenance_json()
        compiled = source.config_json()["config"]["training"].get("compile") is True
        origin |= as_provenance(started_as(began, compiled=compiled))
        for device in began.get("trained_on", []):
            if device not in origin.setdefault("trained_on", []):
                origin["trained_on"].append(device)
        write_json(run.provenance_path, origin)
        try:
            fill_from(source, run.path, step)
        except OSError as error:
            raise WorkbenchError(f"{run.path}: cannot be written: {error.strerror}.") from error
        tokens = step * int(run.config_json()["derived"]["tokens_per_step"])
        run.write_status(step=step, tokens=tokens)
        return True
    return False


def fill_from(source: RunFolder, folder: Path, step: int) -> None:
    """Give a run's folder the records, items and checkpoints of another one up to a step.

    The checkpoint comes last, and appears whole: a run without it starts from its first step,
    and what it then writes takes the place of records that it was given.

    Raises:
        InputError: the source's records are damaged.
    """
    _copy_records(source.records_path, folder / "records.jsonl", step)
    copy_items(source.items_dir, folder / source.items_dir.name, step)
    kept = kept_checkpoints(source.checkpoint_dir)
    shared = [kept[at] for at in kept if at <= step]
    for checkpoint in (*shared, source.checkpoint_dir / f"step-{step}"):
        _link_whole(
            checkpoint, folder / "checkpoint" / checkpoint.relative_to(source.checkpoint_dir)
        )


def _link_whole(source: Path, target: Path) -> None:
    """Link a folder's files: the source may be removed, and no byte is on the disk twice.

    Raises:
        WorkbenchError: a file cannot be written, or is none of the checkpoint's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    with unfinished(target, folder=True) as temporary:
        for path in source.iterdir():
            try:
                _link(plain_path(path), temporary / path.name)
            except OSError as error:
                raise WorkbenchError(f"{path}: cannot be copied: {error.strerror}.") from error
        shutil.rmtree(target, ignore_errors=True)
        replace_durably(temporary, target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _copy_records(source: Path, target: Path, last_step: int) -> None:
    """Append the records up to a step, where the longer run's are the same numbers.

    Raises:
        InputError: one of them is damaged: with a hole the longer run's curve would not be
            what it would have been.
    """
    with replacing(target) as partial, open(partial, "w", encoding="utf-8") as copied:
        for path, last in ((target, math.inf), (source, last_step)):
            # An earlier start may have written some and no checkpoint: readers of the file
            # have noted how far they have read.
            read = 0
            try:
                for line in _lines(path):
                    if json.loads(line)["step"] <= last:
                        copied.write(line)
                    read += 1
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {read + 1}: not a record ({error}). No run goes on "
                    "from a damaged one: train the longer run from the start "
                    "(workbench run RECIPE --set training.total_tokens=N), or put the file back."
                ) from error


def _lines(path: Path) -> Iterator[str]:
    """The whole lines of a file; none where there is none."""
    with (
        suppress(FileNotFoundError),
        open(path, encoding="utf-8", newline="\n", opener=plain_file) as file,
    ):
        while line := file.readline(LONGEST_LINE):
            if line.endswith("\n"):
                yield line
            elif len(line) == LONGEST_LINE:
                raise ValueError("a line has no end")


def unneeded(
    trunks: Trunks, folders: Mapping[str, RunFolder]
) -> Iterable[tuple[RunFolder, Source]]:
    """Checkpoints that no unfinished run of these goes on from, and no extension has to: a later
    one of the same trunk is there, of a finished run.
    """
    open_runs = {run_id for run_id, run in folders.items() if run.status().state != "finished"}
    wanted = {one for run_id in open_runs for one in trunks.sources.get(run_id, ())}
    for run_id in folders.keys() - open_runs:
        for source in trunks.sources.get(run_id, ()):
            if source not in wanted and source.run in folders and source.run not in open_runs:
                yield folders[source.run], source
