"""Results of lm-evaluation-harness, `results_DATE.json`: numbers at the end of a run."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.importing.json_files import number, read_object
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog

_FILES = "results*.json"
_STDERR = "_stderr"


def _find(source: Path, request: Request) -> Loaders:
    if not source.is_dir():
        known = source.suffix == ".json" and _is_of_harness(source)
        return {source.resolve().parent.name: partial(_read, [source])} if known else {}
    runs: dict[str, list[Path]] = {}
    for path in sorted(source.rglob(_FILES)):
        if _is_of_harness(path):
            folder = path.parent
            inside = folder.relative_to(source).as_posix()
            runs.setdefault(source.resolve().name if folder == source else inside, []).append(path)
    return {name: partial(_read, paths) for name, paths in runs.items()}


def _is_of_harness(path: Path) -> bool:
    try:
        document, _ = read_object(path)
    except InputError:
        return False
    return isinstance(document.get("results"), dict) and "versions" in document


def _read(paths: list[Path]) -> RunLog:
    """The numbers of one model, of which the newest file counts.

    Raises:
        InputError: no file has a number.
    """
    log = RunLog()
    read = [read_object(path) for path in paths]
    for document, file in sorted(read, key=lambda one: number(one[0].get("date")) or 0.0):
        for task, found in document["results"].items():
            if isinstance(found, dict):
                _add_numbers(log, task, found)
        config = document.get("config")
        size = config.get("model_num_parameters") if isinstance(config, dict) else None
        if isinstance(size, int) and size > 0:
            log.facts["n_params"] = size
        log.files.append(file)
    if not log.last:
        raise InputError(f"{paths[0]}: no task has a number.")
    return log


def _add_numbers(log: RunLog, task: str, found: dict[str, Any]) -> None:
    """Add a task's metrics. `acc,none` is a metric and what was done to the answers before; that is
    named where it makes the difference."""
    kinds = [key.partition(",") for key in found]
    often = Counter(metric for metric, _, _ in kinds)
    for key, (metric, comma, filtered) in zip(found, kinds, strict=True):
        value = number(found[key])
        if value is None or not comma or metric.endswith(_STDERR):
            continue
        name = f"{task}_{metric}" + ("" if often[metric] == 1 else f"_{filtered}")
        log.last[name] = value
        stderr = number(found.get(f"{metric}{_STDERR},{filtered}"))
        if stderr is not None:
            log.last_stderr[name] = stderr


LM_EVAL = LogFormat("results of lm-evaluation-harness (results_DATE.json)", _find)
