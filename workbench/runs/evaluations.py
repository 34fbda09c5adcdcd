"""Evaluations of finished training: `evaluations.jsonl` of a run's folder.

One JSON object a line: a record as training writes them, with what it takes to trace the number.
Lines are only ever appended, whole, by any number of processes; a run's own records are not
touched. An evaluation that is repeated gives the same record again, and the later one stands.
"""

import fcntl
import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from workbench.errors import WorkbenchError
from workbench.metrics import PROTOCOL
from workbench.runs.files import plain_file
from workbench.runs.folder import RunFolder
from workbench.runs.items import Items, write_evaluated
from workbench.runs.provenance import revision
from workbench.version import __version__


@dataclass(frozen=True)
class Evaluated:
    """One number, and how it came about."""

    metric: str
    value: float
    stderr: float | None
    n: int
    """Questions or problems that it is a mean of."""
    estimator: str
    task: str
    draws: int | None
    """Noise draws a window or option; None where nothing is drawn."""
    seed: int
    details: dict[str, Any]
    """What else decides it: shots, the files' digests, how text was generated, ..."""
    noise_stderr: float | None = None
    documents: int | None = None
    items: Items | None = None
    """What it is made of: written beside the record."""


def record_evaluations(
    run: RunFolder, step: int | None, numbers: Iterable[Evaluated]
) -> list[dict[str, Any]]:
    """Append numbers of the checkpoint of a step to a run, and return the records.

    Of a model of other software the one checkpoint is the last: its step is None, its place in
    training the run's, and its numbers alone are written. A run of another evaluation protocol has
    the present one in the numbers' estimators, so that they are no part of its curves.

    Raises:
        WorkbenchError: a file cannot be written.
    """
    document = run.config_json()
    marks = "" if step is None or run.protocol() == PROTOCOL else f"/protocol={PROTOCOL}"
    place = {"step": None} if step is None else _place(document, step)
    code = {"time": time.time(), "workbench": __version__, "git": revision()}
    records = []
    for evaluated in numbers:
        number = asdict(replace(evaluated, items=None))
        del number["items"]
        number["estimator"] += marks
        if evaluated.items is not None and step is not None:
            name = evaluated.metric, number["estimator"], evaluated.draws
            write_evaluated(run.items_dir, evaluated.items.frame(step, *name))
        for key in ("value", "stderr", "noise_stderr"):
            if number[key] is not None and not math.isfinite(number[key]):
                number[key] = None
        records.append(place | number | code)
    _append(run, records)
    return records


def _place(document: dict[str, Any], step: int) -> dict[str, Any]:
    """Where a step stands in a run's training."""
    derived, unique = document["derived"], document["config"]["data"]["unique_tokens"]
    tokens = step * derived["tokens_per_step"]
    flops = derived["train_flops"] / derived["steps"] * step
    return {"step": step, "tokens": tokens, "epoch": tokens / unique, "flops": flops}


def _append(run: RunFolder, records: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    path = run.evaluations_path
    try:
        with open(path, "ab+", buffering=0, opener=plain_file) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # torn by a crash: the reader leaves that line out
                    lines = "\n" + lines
            whole = file.seek(0, os.SEEK_END)
            try:
                left = memoryview(lines.encode())
                while left:
                    left = left[file.write(left) :]  # it writes what there is room for
                os.fsync(file.fileno())
            except OSError:
                # Part of a line would be reported as damage from then on.
                os.ftruncate(file.fileno(), whole)
                raise
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be written: {error.strerror}.") from error
