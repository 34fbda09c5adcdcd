"""Offline runs of W&B: folders `offline-run-DATE-ID`, each with a file `run-ID.wandb`."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.importing.columns import NUMBERS, RUN_LEVEL
from workbench.importing.events import Events, joined
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog
from workbench.tracking.wandb_records import WandbFile

_SUFFIX = ".wandb"
_STEPS = ("trainer/global_step", "train/global_step", "global_step")
"""What Lightning, HF's Trainer and Levanter count optimizer steps as; `_step` counts their calls
of `log`."""
_FACTS = (*RUN_LEVEL, "tokens_per_step", "tokens_per_sample")


def _find(source: Path, request: Request) -> Loaders:
    if source.is_dir():
        paths = sorted(path for path in source.rglob(f"run-*{_SUFFIX}") if path.is_file())
    else:
        paths = [source] if source.suffix == _SUFFIX and source.is_file() else []
    sessions: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        sessions.setdefault((path.parent.parent, path.stem), []).append(path)
    names = {key: _name(source, files[0]) for key, files in sessions.items()}
    often = Counter(names.values())
    return {
        names[key] + (f"/{key[1]}" if often[names[key]] > 1 else ""): partial(_read, files)
        for key, files in sessions.items()
    }


def _name(source: Path, path: Path) -> str:
    """The name that the user gave a run, else its folder's; behind the folders around W&B's own."""
    inside = path.parent.relative_to(source).parts if source.is_dir() else ()
    around = [part for part in inside[:-1] if part != "wandb"]
    named = ""
    try:
        for record in _records(WandbFile(path)):
            if record.HasField("run"):
                named = record.run.display_name
                break
    except InputError:
        pass  # read again with the run, it is named
    return "/".join([*around, named or path.parent.resolve().name])


def _read(files: list[Path]) -> RunLog:
    """A run of one session, or of several under one id.

    Raises:
        InputError: a file cannot be read, or a later session counts its steps from the start again.
    """
    facts: dict[str, Any] = {}
    read = [_session(path, facts) for path in files]
    for path, session in zip(files[1:], read[1:], strict=True):
        if session.steps() and min(session.steps()) <= min(read[0].steps(), default=-1):
            raise InputError(
                f"{path} goes on with the run of {files[0]}, but counts its steps from the start "
                "again. Import the two alone, or log the optimizer's step as train/global_step."
            )
    run = joined(read)
    scalars = {tag: {at: value for at, (_, value) in c.items()} for tag, c in run.scalars.items()}
    return RunLog(scalars, facts=facts, files=run.files, notes=run.notes)


def _session(path: Path, facts: dict[str, Any]) -> Events:
    """The numbers of one file; its configuration is added to the facts."""
    events, file = Events(), WandbFile(path)
    rows = []
    for record in _records(file):
        if record.HasField("run"):
            facts |= _facts(record.run.config.update)
        elif record.HasField("config"):
            facts |= _facts(record.config.update)
        elif record.HasField("history"):
            rows.append(_row(record.history))
    counter = next((key for key in _STEPS if any(key in row for row in rows)), None)
    step = 0
    for row in rows:
        step = int(row.get("_step", step) if counter is None else row.get(counter, step))
        wall_time = row.get("_timestamp", 0.0)
        events.began = min(events.began, wall_time)
        for key, value in row.items():
            if not key.startswith("_") and key != counter:
                events.add(key, step, wall_time, value)
    events.files = [{"file": path.name, "sha256": file.sha256}]
    events.notes = file.notes
    return events


def _row(history: Any) -> dict[str, float]:
    """The numbers of one step; tables, images and histograms are none."""
    row = {"_step": float(history.step.num)}
    for item in history.item:
        value = _number(item.value_json)
        if value is not None:
            row[item.key or ".".join(item.nested_key)] = value
    return row


def _number(text: str) -> float | None:
    try:
        value = json.loads(text)
        if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
            value = float(value)
    except (ValueError, RecursionError):
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _facts(items: Any) -> dict[str, Any]:
    """What a configuration tells under the names of our columns."""
    facts: dict[str, Any] = {}
    for item in items:
        key = item.key or ".".join(item.nested_key)
        if key not in _FACTS:
            continue
        try:
            value = json.loads(item.value_json)
        except (ValueError, RecursionError):
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number if key in NUMBERS or key.startswith("tokens_") else isinstance(value, str):
            facts[key] = value
    return facts


def _records(file: WandbFile) -> Iterator[Any]:
    """The file's records, parsed.

    Raises:
        InputError: W&B is not installed, or the file is not its own.
    """
    try:
        messages = import_module("wandb.proto.wandb_internal_pb2")  # it has no types
    except ImportError:
        raise InputError(
            f"{file.path}: offline runs of W&B are read by its own package: "
            "pip install 'workbench[wandb]'."
        ) from None
    from google.protobuf.message import DecodeError

    try:
        for content in file.records():
            yield messages.Record.FromString(content)
    except DecodeError:
        raise InputError(f"{file.path}: not a file of an offline run of W&B.") from None


WANDB = LogFormat("offline runs of W&B (run-ID.wandb)", _find)
