"""The kinds of logs that can be imported. A new one is one file and one entry here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from workbench.importing.lm_eval_results import LM_EVAL
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog
from workbench.importing.table_folders import TABLE_FOLDERS
from workbench.importing.tensorboard import TENSORBOARD
from workbench.importing.text_logs import TEXT_LOGS
from workbench.importing.trainer_state import TRAINER_STATE
from workbench.importing.wandb_runs import WANDB

LOG_FORMATS: tuple[LogFormat, ...] = (
    TEXT_LOGS,
    TENSORBOARD,
    TRAINER_STATE,
    WANDB,
    LM_EVAL,
    TABLE_FOLDERS,
)
"""In the order in which they are tried: the first that finds runs reads the source."""


def find_runs(source: Path, request: Request) -> Loaders:
    """The runs of a file or folder; none where no format knows it."""
    for kind in LOG_FORMATS:
        found = kind.find(source, request)
        if found:
            return found if kind is LM_EVAL else _with_results(found, source, request)
    return {}


def _with_results(runs: Loaders, source: Path, request: Request) -> Loaders:
    """The runs, each with the results of lm-evaluation-harness that lie beside it or below it;
    results beside no run or several are runs of their own."""
    loaders = dict(runs)
    for name, results in LM_EVAL.find(source, request).items() if source.is_dir() else ():
        shared = {run: _shared(run, name) for run in runs}
        near = [run for run, parts in shared.items() if parts and parts == max(shared.values())]
        if len(near) == 1:
            loaders[near[0]] = partial(_joined, loaders[near[0]], results)
        else:
            loaders[name] = results
    return loaders


def _shared(one: str, other: str) -> int:
    """How many folders two paths have in common."""
    pairs = enumerate(zip(one.split("/"), other.split("/"), strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(one.count("/"), other.count("/")) + 1)


def _joined(curves: Callable[[], RunLog], results: Callable[[], RunLog]) -> RunLog:
    run, end = curves(), results()
    run.last |= end.last
    run.last_stderr |= end.last_stderr
    run.facts = {**end.facts, **run.facts}
    run.files += end.files
    return run
