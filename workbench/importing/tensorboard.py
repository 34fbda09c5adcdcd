"""TensorBoard event folders: each folder with event files is a run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from workbench.importing.events import find_folders, read_folder
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog


def _find(source: Path, request: Request) -> Loaders:
    if not source.is_dir():
        return {}
    loaders: dict[str, Callable[[], RunLog]] = {}
    for folder in find_folders(source):
        inside = folder.relative_to(source).as_posix()
        name = source.resolve().name if folder == source else inside
        loaders[name] = partial(_read, folder)
    return loaders


def _read(folder: Path) -> RunLog:
    events = read_folder(folder)
    scalars = {
        tag: {step: value for step, (_, value) in steps.items()}
        for tag, steps in events.scalars.items()
    }
    return RunLog(scalars, files=events.files, notes=events.notes)


TENSORBOARD = LogFormat("TensorBoard event files", _find)
