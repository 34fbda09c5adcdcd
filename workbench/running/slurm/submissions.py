"""Records of submissions: `results/slurm/<id>/submission.json`, beside the tasks' logs.

A record is written whole before anything is submitted, so that a task finds its runs there, and
after a crash it names what may be in the queue.
"""

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.recipe.slurm import SlurmConfig
from workbench.running.slurm.shapes import Array, Shape
from workbench.runs.files import write_json

SCHEMA = 1
SUBMITTING, SUBMITTED, CLOSED = "submitting", "submitted", "closed"


@dataclass
class Submission:
    """Job arrays that were submitted together."""

    folder: Path
    name: str
    """Of its jobs in the queue; no other submission's."""
    study: str
    settings: SlurmConfig
    arrays: list[Array]
    attempts: dict[str, int]
    """How often each run had been started before."""
    state: str = SUBMITTING
    created: float = field(default_factory=time.time)
    job_ids: list[str] = field(default_factory=list)
    """One an array, in the arrays' order, as far as Slurm has taken them."""

    @classmethod
    def new(
        cls,
        results: Path,
        study: str,
        settings: SlurmConfig,
        arrays: list[Array],
        attempts: dict[str, int],
    ) -> "Submission":
        """A submission with a name and a folder of its own, which is not made yet."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "-", study)[:60]
        ident = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        folder = slurm_folder(results) / ident
        return cls(folder, f"{plain}-{ident[-6:]}", study, settings, arrays, attempts)

    def save(self) -> None:
        """Write `submission.json` whole.

        Raises:
            WorkbenchError: the disk is full or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkbenchError(f"{self.folder}: cannot be made: {error.strerror}.") from error
        document = {
            "schema": SCHEMA,
            "name": self.name,
            "study": self.study,
            "state": self.state,
            "created": self.created,
            "settings": self.settings.model_dump(mode="json", exclude_unset=True),
            "attempts": self.attempts,
            "job_ids": self.job_ids,
            "arrays": [asdict(array) for array in self.arrays],
        }
        write_json(self.folder / "submission.json", document)

    @classmethod
    def load(cls, folder: Path) -> "Submission":
        """Read `submission.json`.

        Raises:
            InputError: missing, damaged, or of a newer schema.
        """
        path = folder / "submission.json"
        try:
            document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if document["schema"] > SCHEMA:
                raise InputError(f"{path}: written by a newer workbench. Upgrade this one.")
            return cls(
                folder=folder,
                name=document["name"],
                study=document["study"],
                settings=SlurmConfig.model_validate(document["settings"]),
                arrays=[
                    Array(Shape(**array["shape"]), array["tasks"]) for array in document["arrays"]
                ],
                attempts=document["attempts"],
                state=document["state"],
                created=float(document["created"]),
                job_ids=list(document["job_ids"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a submission ({error}). Remove its folder.") from None

    def elements(self) -> Iterator["Element"]:
        """The tasks of its arrays that Slurm has taken."""
        for job_id, array in zip(self.job_ids, self.arrays, strict=False):
            for index, runs in enumerate(array.tasks):
                yield Element(self, job_id, index, tuple(runs))


@dataclass(frozen=True)
class Element:
    """One task of an array in the queue."""

    submission: Submission
    array_job: str
    index: int
    runs: tuple[str, ...]

    @property
    def job(self) -> str:
        """Its id, as squeue, sacct and scancel have it."""
        return f"{self.array_job}_{self.index}"


def slurm_folder(results: Path) -> Path:
    return results / "slurm"


def submissions(results: Path) -> list[Submission]:
    """All submissions of a results folder, oldest first.

    Raises:
        InputError: one cannot be read.
    """
    loaded = [
        Submission.load(path.parent) for path in slurm_folder(results).glob("*/submission.json")
    ]
    return sorted(loaded, key=lambda submission: (submission.created, submission.name))


def newest_elements(all_submissions: list[Submission]) -> dict[str, Element]:
    """The last task that each run was submitted in."""
    return {
        run_id: element
        for submission in all_submissions
        if submission.state != SUBMITTING
        for element in submission.elements()
        for run_id in element.runs
    }


@contextmanager
def one_at_a_time(results: Path) -> Iterator[None]:
    """Hold the results folder against another submission.

    Raises:
        WorkbenchError: the folder cannot be written.
    """
    folder = slurm_folder(results)
    with _locked(folder):
        try:
            yield
        finally:
            if not any(folder.glob("*/submission.json")):
                _remove_unused(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / ".lock"
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = open(path, "ab")  # noqa: SIM115 - closed below
        except OSError as error:
            raise WorkbenchError(f"{folder}: cannot be written: {error.strerror}.") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever had it before may have removed it.
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                yield
                return


def _remove_unused(folder: Path) -> None:
    """Remove the folder after a refused first submission, which leaves nothing."""
    with suppress(OSError):
        for name in (".queue.json", ".queue.lock", ".lock"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
