"""The kinds of logs that can be imported. A new one is one file and one entry here."""

from pathlib import Path

from workbench.importing.lm_eval_results import LM_EVAL
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat
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
    TABLE_FOLDERS,
    LM_EVAL,
)
"""In the order in which they are tried: the first that finds runs reads the source."""


def find_runs(source: Path, request: Request) -> Loaders:
    """The runs of a file or folder; none where no format knows it."""
    for kind in LOG_FORMATS:
        found = kind.find(source, request)
        if found:
            return found
    return {}
