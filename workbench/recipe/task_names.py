"""`[evaluation] tasks`: which there are, the files they read, and the keys that only they need."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.recipe.declarations import TaskPlugin
from workbench.recipe.plugins import Plugins
from workbench.recipe.types import AS_WHOLE

TASKS = ("cloze", "cloze_shots", "hellaswag", "mmlu", "mmlu_continuation")
"""Tasks scored by likelihood: during training and after it."""
PROGRAM_TASKS = ("humaneval", "humaneval_plus", "mbpp", "mbpp_plus")
"""Tasks that run what a model wrote: after training alone."""
TEXT = "text"
"""The task that measures texts that a model makes: after training alone."""
TASK_FILES: dict[str, tuple[str, ...]] = {
    "hellaswag": ("hellaswag",),
    "mmlu": ("mmlu", "mmlu_dev"),
    "mmlu_continuation": ("mmlu", "mmlu_dev"),
}
"""The files of a task, the needed one first."""
FILE_NAMES = tuple(dict.fromkeys(name for names in TASK_FILES.values() for name in names))
SHOT_TASKS = ("cloze_shots", "mmlu", "mmlu_continuation")
TASK_DRAWS = 32
TASK_PLUGINS = Plugins("tasks", TaskPlugin, built_in=(*TASKS, *PROGRAM_TASKS, TEXT, "val_loss"))
"""Tasks that other packages add: scored by likelihood, as `TASKS` are."""

Shots = tuple[Annotated[int, Field(strict=True, ge=0, le=64), AS_WHOLE], ...]


class TaskFile(BaseModel):
    """A file of questions. Runs differ by what it holds, not by where it lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Annotated[str, Field(strict=True, min_length=1)] = Field(
        description="The file. A path alone may stand for this table."
    )
    sha256: str | None = Field(None, description="Filled in where the file is here.")

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


def task_names() -> tuple[str, ...]:
    """Tasks scored by likelihood, those of plug-ins included."""
    return (*TASKS, *TASK_PLUGINS.names())


def reads_file_keys(task: str) -> bool:
    """Whether `task_questions` and `task_draws` are for a task: all but those made from the run's
    own text, and so those of plug-ins."""
    return task not in TASKS or task in TASK_FILES


def files_of(task: str) -> tuple[str, ...]:
    """The files of a task, the needed one first."""
    if task in TASKS:
        return TASK_FILES.get(task, ())
    plugin = TASK_PLUGINS.declaration(task)
    return plugin.files if plugin else ()


def reads_shots(task: str) -> bool:
    """Whether a task takes solved examples."""
    if task in TASKS:
        return task in SHOT_TASKS
    plugin = TASK_PLUGINS.declaration(task)
    return plugin is not None and plugin.shots


def file_names(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The files that can be given: of the built-in tasks, and of the plug-ins among these."""
    return tuple(dict.fromkeys([*FILE_NAMES, *(file for task in tasks for file in files_of(task))]))


def resolved_files(
    files: dict[str, TaskFile] | None, tasks: tuple[str, ...]
) -> dict[str, TaskFile] | None:
    """The files that the tasks read, as absolute paths, with their digests where they are here."""
    wanted = {name for task in tasks for name in files_of(task)}
    found = {}
    for name in sorted(wanted & set(files or {})):
        assert files
        path = Path(files[name].path).expanduser().absolute()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[name] = TaskFile(path=str(path), sha256=sha256)
    return found or None


def missing_files(files: dict[str, TaskFile] | None) -> list[str]:
    """What a run would not find, for messages."""
    return [
        f'evaluation.task_files: {name} = "{file.path}": no such file.'
        for name, file in (files or {}).items()
        if file.sha256 is None
    ]


def foreign_task_keys(tasks: tuple[str, ...]) -> list[str]:
    """Keys of `[evaluation]` that none of these tasks reads."""
    of_files = tuple(filter(reads_file_keys, tasks))
    readers = {
        "cloze_questions": ("cloze", "cloze_shots"),
        "cloze_draws": ("cloze", "cloze_shots"),
        "shots": tuple(filter(reads_shots, tasks)),
        "task_questions": of_files,
        "task_draws": of_files,
        "task_files": of_files,
    }
    return [key for key, names in readers.items() if not set(names) & set(tasks)]


def default_shots(tasks: tuple[str, ...]) -> tuple[int, ...]:
    """Numbers of shots where none are asked for: more than none need a dev file for MMLU."""
    return (0,) if any(map(reads_file_keys, tasks)) else (0, 1, 2)


def task_defaults(tasks: tuple[str, ...]) -> dict[str, Any]:
    """Values of keys that were not given: written with the run, so that they are part of it."""
    defaults: dict[str, Any] = {}
    if any(map(reads_shots, tasks)):
        defaults["shots"] = default_shots(tasks)
    if any(map(reads_file_keys, tasks)):
        defaults["task_draws"] = TASK_DRAWS
    return defaults
