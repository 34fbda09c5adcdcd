"""TensorBoard: which folders with event files make one run, and what each adds to it."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from workbench.errors import InputError
from workbench.importing.events import PATTERN, Events, joined, read_file, read_folder
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog

_KERAS_FOLDERS = ("train", "validation")
_KERAS_EPOCHS = "epoch_"
# Named by the time of a start: by TorchTitan (20260131-1259), by torch (Jan31_12-59-30_host).
_START = re.compile(r"\d{8}-\d{4}|[A-Z][a-z]{2}\d\d_\d\d-\d\d-\d\d_.+")
_TITAN_RANK = re.compile(r"rank_[1-9]\d*")


@dataclass
class _Run:
    """The folders of a run: its own, and those that add to it."""

    folder: Path
    parts: list[Callable[[], Events]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    epochs: bool = False
    """Steps are epochs."""

    def load(self) -> RunLog:
        events = joined(part() for part in self.parts)
        if events.steps() == {0}:
            raise InputError("every event is at step 0, so it is no curve.")
        values = {
            tag: {step: value for step, (_, value) in curve.items()}
            for tag, curve in events.scalars.items()
        }
        notes = [*self.notes, *events.notes]
        return RunLog(values, files=events.files, notes=notes, steps_are_epochs=self.epochs)


def _find(source: Path, request: Request) -> Loaders:
    runs: dict[Path, _Run] = {}
    for folder in sorted(_folders(source), key=_order) if source.is_dir() else []:
        if _is_part(source, folder, runs):
            continue
        sessions = sorted(path for path in folder.glob(PATTERN) if path.is_file())
        run = runs.setdefault(folder, _Run(folder))
        run.parts += [partial(read_file, path) for path in sessions]
    return {_name(source, folder): run.load for folder, run in runs.items()}


def _folders(source: Path) -> Iterator[Path]:
    """The folders with event files at a source and below it, through links, each of them once."""
    seen: set[str] = set()
    tops = [str(source)]
    while tops:
        for folder, inner, files in os.walk(tops.pop(0)):
            real = os.path.realpath(folder)
            if real in seen:
                inner.clear()
                continue
            seen.add(real)
            links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
            tops += [os.path.join(folder, name) for name in sorted(links)]
            if any(Path(name).match(PATTERN) for name in files):
                yield Path(folder)


def _order(folder: Path) -> tuple[Path, str]:
    """Outer folders first, and those of starts by time: names of months do not sort so."""
    if _START.fullmatch(folder.name):
        return folder.parent, min(path.name for path in folder.glob(PATTERN))
    return folder.parent, folder.name


def _name(source: Path, folder: Path) -> str:
    return source.resolve().name if folder == source else folder.relative_to(source).as_posix()


def _is_part(source: Path, folder: Path, runs: dict[Path, _Run]) -> bool:
    """Whether a folder adds to a run of another folder, which then has it, or is no run at all."""
    first = runs.get(folder.with_name("rank_0"))
    if first and _TITAN_RANK.fullmatch(folder.name):
        first.notes.append(f"{_name(source, folder)}: left out, it logs the run of rank_0 again.")
        return True
    around = next((runs[above] for above in folder.parents if above in runs), None)
    keras, start = folder.name in _KERAS_FOLDERS, _START.fullmatch(folder.name)
    if around is None and not keras and not start:
        return False
    try:
        events = read_folder(folder)
    except InputError:
        return False  # read again as a run of its own, it is named
    if keras and any(tag.startswith(_KERAS_EPOCHS) for tag in events.scalars):
        owner = folder if folder == source else folder.parent
        run = runs.setdefault(owner, _Run(owner, epochs=True))
        run.parts.append(partial(_of_keras, folder.name, events))
        return True
    if start and _continues(source, folder, events, runs):
        return True
    return around is not None and _is_inside(folder, events, around)


def _is_inside(folder: Path, events: Events, run: _Run) -> bool:
    """Whether a folder inside of a run's is one of `add_scalars` or `add_hparams`."""
    inside = folder.relative_to(run.folder).as_posix()
    if events.hparams or events.steps() <= {0}:
        if events.count():
            run.notes.append(f"{folder}: left out, since it has no step but 0 (hyperparameters).")
        return True
    (tag, *others) = events.scalars
    stem = tag.replace("/", "_") + "_"
    if others or not inside.startswith(stem):
        return False
    events.scalars = {f"{tag}/{inside.removeprefix(stem)}": events.scalars[tag]}
    run.parts.append(lambda: events)
    return True


def _of_keras(role: str, events: Events) -> Events:
    """The epochs of Keras, from 1 instead of 0; each number was recorded at its epoch's end."""
    epochs = {
        f"{role}/{tag.removeprefix(_KERAS_EPOCHS)}": {
            step + 1: point for step, point in curve.items()
        }
        for tag, curve in events.scalars.items()
        if tag.startswith(_KERAS_EPOCHS)
    }
    other = [tag for tag in events.scalars if not tag.startswith(_KERAS_EPOCHS)]
    if other:
        events.notes.append(
            f"the steps of Keras are its epochs; tags over iterations are left out, such as "
            f"{role}/{other[0]}."
        )
    events.scalars = epochs
    return events


def _continues(source: Path, folder: Path, events: Events, runs: dict[Path, _Run]) -> bool:
    """Whether a folder that was named by the time of a start goes on with an earlier one's run: it
    begins after the first step of that, and no later than a step's distance behind it."""
    steps = sorted(events.steps())
    before = [run for run in runs.values() if run.folder.parent == folder.parent]
    for run in reversed([run for run in before if _START.fullmatch(run.folder.name)]):
        try:
            known = sorted(joined(part() for part in run.parts).steps())
        except InputError:
            continue
        if not steps or len(known) < 2:
            continue
        if known[0] < steps[0] <= known[-1] + (known[-1] - known[-2]):
            run.parts.append(lambda: events)
            run.notes.append(
                f"{_name(source, folder)} goes on with the run of {_name(source, run.folder)} from "
                f"step {steps[0]:,}."
            )
            return True
    return False


TENSORBOARD = LogFormat("a folder of TensorBoard event files", _find)
