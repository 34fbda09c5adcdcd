"""Folders of tables, a file or several for each run, such as Lightning's CSVLogger leaves."""

from collections.abc import Callable
from pathlib import Path

from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog
from workbench.importing.table import is_table, read_table
from workbench.importing.table_logs import table_runs


def _find(source: Path, request: Request) -> Loaders:
    if not source.is_dir():
        return {}
    inside = [path.relative_to(source) for path in source.rglob("*") if is_table(path)]
    files = sorted(p for p in inside if not any(part.startswith(".") for part in p.parts))
    alone = len({path.parent for path in files}) == len(files)
    loaders: dict[str, Callable[[], RunLog]] = {}
    for file in files:
        # Where each folder has one table, the folder's name is the run's.
        name = file.parent if alone and file.parent != Path() else file.with_name(_stem(file))
        runs, _ = table_runs(read_table(source / file), request)
        for run, load in runs.items():
            loaders[name.as_posix() if len(runs) == 1 else f"{name.as_posix()}/{run}"] = load
    return loaders


def _stem(file: Path) -> str:
    return file.name.split(".")[0]


TABLE_FOLDERS = LogFormat("tables", _find)
