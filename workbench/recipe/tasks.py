"""`[evaluation] tasks`: which there are, the files they read, and the keys that only they need."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

TASKS = ("cloze", "cloze_shots", "hellaswag", "mmlu")
"""Tasks scored by likelihood: during training and after it."""
PROGRAM_TASKS = ("humaneval", "mbpp")
"""Tasks that run what a model wrote: after training alone."""
TASK_FILES: dict[str, tuple[str, ...]] = {
    "hellaswag": ("hellaswag",),
    "mmlu": ("mmlu", "mmlu_dev"),
    "humaneval": ("humaneval",),
    "mbpp": ("mbpp",),
}
"""The files of a task, the needed one first."""
FILE_NAMES = tuple(name for names in TASK_FILES.values() for name in names)
CLOZE_SHOTS, MMLU_SHOTS = (0, 1, 2), (0,)
TASK_DRAWS = 32

Shots = tuple[Annotated[int, Field(strict=True, ge=0, le=64)], ...]


class TaskFile(BaseModel):
    """A file of questions. Runs are told apart by what it holds, not by where it lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Annotated[str, Field(strict=True, min_length=1)]
    sha256: str | None = Field(None, description="Filled in where the file is here.")

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


def resolved_files(
    files: dict[str, TaskFile] | None, tasks: tuple[str, ...]
) -> dict[str, TaskFile] | None:
    """The files that the tasks read, as absolute paths, with their digests where they are here."""
    wanted = {name for task in tasks for name in TASK_FILES.get(task, ())}
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
    readers = {
        "cloze_questions": ("cloze", "cloze_shots"),
        "cloze_draws": ("cloze", "cloze_shots"),
        "cloze_shots": ("cloze_shots",),
        "mmlu_shots": ("mmlu",),
        "task_questions": ("hellaswag", "mmlu"),
        "task_draws": ("hellaswag", "mmlu"),
        "task_files": tuple(TASK_FILES),
    }
    return [key for key, readers_ in readers.items() if not set(readers_) & set(tasks)]


def task_defaults(tasks: tuple[str, ...]) -> dict[str, Any]:
    """Values of keys that were not given: kept with the run, so that they are part of it."""
    defaults: dict[str, Any] = {}
    if "cloze_shots" in tasks:
        defaults["cloze_shots"] = CLOZE_SHOTS
    if "mmlu" in tasks:
        defaults["mmlu_shots"] = MMLU_SHOTS
    if {"hellaswag", "mmlu"} & set(tasks):
        defaults["task_draws"] = TASK_DRAWS
    return defaults
