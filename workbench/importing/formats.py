"""The kinds of logs that can be imported. A new one is one file and one entry here."""

from pathlib import Path

from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat
from workbench.importing.table_folders import TABLE_FOLDERS
from workbench.importing.tensorboard import TENSORBOARD
from workbench.importing.text_logs import TEXT_LOGS

LOG_FORMATS: tuple[LogFormat, ...] = (TEXT_LOGS, TENSORBOARD, TABLE_FOLDERS)
"""In the order in which they are tried: the first that finds runs reads the source."""


def find_runs(source: Path, request: Request) -> Loaders:
    """The runs of a file or folder; none where no format knows it."""
    for kind in LOG_FORMATS:
        found = kind.find(source, request)
        if found:
            return found
    return {}
