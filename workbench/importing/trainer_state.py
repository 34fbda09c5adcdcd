"""`trainer_state.json`, in which the Trainer of Hugging Face keeps what it logged."""

import re
from functools import partial
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.importing.json_files import number, read_object
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog

_NAME = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_TOKENS = "num_input_tokens_seen"
# Of a run, not of a step: the summary's train_loss is the mean over all steps.
_SUMMARY = "train_runtime"
_NO_METRIC = re.compile(r"step|epoch|total_flos|.*_runtime|.*_per_second")


def _find(source: Path, request: Request) -> Loaders:
    if not source.is_dir():
        known = source.name == _NAME or (source.suffix == ".json" and _has_history(source))
        return {_folder(source).resolve().name: partial(_read, [source])} if known else {}
    runs: dict[Path, list[Path]] = {}
    for path in sorted(source.rglob(_NAME)):
        runs.setdefault(_folder(path), []).append(path)
    inside = {folder: folder.is_relative_to(source) and folder != source for folder in runs}
    return {
        folder.relative_to(source).as_posix() if inside[folder] else folder.resolve().name: partial(
            _read, paths
        )
        for folder, paths in runs.items()
    }


def _has_history(path: Path) -> bool:
    try:
        return "log_history" in read_object(path)[0]
    except InputError:
        return False


def _folder(path: Path) -> Path:
    """The run's folder: the one around its checkpoints."""
    folder = path.parent
    return folder.parent if _CHECKPOINT.fullmatch(folder.resolve().name) else folder


def _read(paths: list[Path]) -> RunLog:
    """The run, by the state that came farthest: each has all that was logged before it.

    Raises:
        InputError: that state cannot be read.
    """
    states = [(path, *read_object(path)) for path in paths]
    path, state, file = max(states, key=lambda one: number(one[1].get("global_step")) or 0)
    history = state.get("log_history")
    if not isinstance(history, list):
        raise InputError(f"{path}: no log_history, so not the state of a Trainer.")
    scalars: dict[str, dict[int, float]] = {}
    for position, entry in enumerate(history):
        step = entry.get("step") if isinstance(entry, dict) else None
        if not isinstance(step, int) or step < 0:
            raise InputError(f"{path}: entry {position + 1} of log_history has no step.")
        for key, value in entry.items():
            found = number(value)
            mean = key == "train_loss" and _SUMMARY in entry
            if found is not None and not mean and not _NO_METRIC.fullmatch(key):
                scalars.setdefault(key, {})[step] = found
    notes = _count_tokens(path, state, scalars)
    return RunLog(scalars, files=[file], notes=notes)


def _count_tokens(
    path: Path, state: dict[str, Any], scalars: dict[str, dict[int, float]]
) -> list[str]:
    """Take the count at the run's end where the history has none."""
    end, last = number(state.get(_TOKENS)), state.get("global_step")
    if any(scalars.get(_TOKENS, {}).values()) or not end or not isinstance(last, int) or last < 1:
        if not any(scalars.get(_TOKENS, {}).values()):
            scalars.pop(_TOKENS, None)  # 0 at every step: nothing was counted
        return []
    scalars[_TOKENS] = {last: end}
    return [f"{path}: tokens were counted at step {last:,} alone; before it, each step is alike."]


TRAINER_STATE = LogFormat(f"a {_NAME} of Hugging Face", _find)
