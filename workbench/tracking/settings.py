"""Which trackers a run has: `tracking.json` in its folder, written when its study is started."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.errors import InputError
from workbench.recipe.tracking import TrackingConfig, check_trackers
from workbench.runs.files import read_json, write_json
from workbench.runs.folder import RunFolder

_FILE = "tracking.json"


def note_trackers(runs: list[RunFolder], study: str, trackers: tuple[TrackingConfig, ...]) -> None:
    """Write what a study's recipe says now, for the next start of each run; nothing is noted of
    a run that has never had a tracker and has none.

    Raises:
        WorkbenchError: a file cannot be written.
    """
    tables = [one.model_dump(mode="json", exclude_none=True) for one in trackers]
    for run in runs:
        path = _path(run.path)
        if tables or path.exists():
            write_json(path, {"study": study, "trackers": tables})


def trackers_of(run: Path) -> tuple[str, list[TrackingConfig]]:
    """The study by which a run was started last, and its trackers; none without a file.

    Raises:
        InputError: the file is damaged, or has one tracker twice.
    """
    path = _path(run)
    if not path.exists():
        return "", []
    document: dict[str, Any] = read_json(path)
    try:
        tables = [TrackingConfig.model_validate(one) for one in document.get("trackers", [])]
    except (ValidationError, TypeError) as error:
        raise InputError(f"{path}: is no list of trackers: {type(error).__name__}.") from None
    check_trackers(tables, str(path))
    return str(document.get("study", "")), tables


def _path(run: Path) -> Path:
    return run / _FILE
