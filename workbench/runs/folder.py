"""A run's folder: what it holds, who works on it, how far it is.

`results/runs/<run_id>/` holds `config.json`, `provenance.json`, `status.json`, `records.jsonl`,
`items/`, `checkpoint/`, `log.txt` and `lock`. Whoever holds the lock is the run's only writer.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.runs.document import checked_document, checked_provenance
from workbench.runs.files import plain_file, read_json, write_json
from workbench.runs.lock import Holder, RunLock
from workbench.runs.unfinished import replace_durably, unfinished

GOES_ON = ("planned", "submitted", "running", "interrupted")
"""States of a run that trains, or that `workbench run` starts or resumes."""
ENDED_EARLY = ("failed", "diverged", "cancelled")
"""States of a run that only `workbench retry` or `--retry-failed` starts again."""
ENDED = ("finished", *ENDED_EARLY)
STATES = (*GOES_ON, *ENDED)
CONFIG_SCHEMA = 1
NO_MODEL = "there are numbers and no model: it was imported, or is an ensemble of other runs"
"""Of a run that was not trained here."""


@dataclass(frozen=True)
class RunStatus:
    """`status.json`. Times are seconds since 1970; None where it has not happened."""

    state: str = "planned"
    attempts: int = 0
    step: int = 0
    steps: int | None = None
    tokens: int = 0
    started: float | None = None
    updated: float | None = None
    finished: float | None = None
    error: str | None = None
    pid: int | None = None
    host: str | None = None


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.json"
        self.provenance_path = path / "provenance.json"
        self.status_path = path / "status.json"
        self.records_path = path / "records.jsonl"
        self.sealed_path = path / "records.parquet"
        self.evaluations_path = path / "evaluations.jsonl"
        self.items_dir = path / "items"
        self.checkpoint_dir = path / "checkpoint"
        self.log_path = path / "log.txt"
        self.lock_path = path / "lock"
        self.cancel_path = path / "cancel"
        self._lock = RunLock(self.lock_path, path.name)

    @property
    def results(self) -> Path:
        """The results folder that the run is in."""
        return self.path.parent.parent

    @property
    def run_id(self) -> str:
        return self.path.name

    @classmethod
    def create(
        cls,
        results: Path,
        run_id: str,
        config: dict[str, Any],
        provenance: dict[str, Any],
        *,
        status: RunStatus | None = None,
        fill: Callable[[Path], None] | None = None,
    ) -> "RunFolder":
        """Make the folder whole or not at all; an existing one is left as it is.

        Args:
            status: planned, if not given.
            fill: writes what else belongs into the folder, given its path.

        Raises:
            WorkbenchError: the disk is full or the folder cannot be written.
        """
        run = cls(results / "runs" / run_id)
        if run.config_path.exists():
            return run
        try:
            run.path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(run.path, folder=True) as temporary:
                write_json(temporary / "config.json", config, folder_synced=False)
                write_json(temporary / "provenance.json", provenance, folder_synced=False)
                write_json(
                    temporary / "status.json", asdict(status or RunStatus()), folder_synced=False
                )
                (temporary / "lock").touch()
                if fill is not None:
                    fill(temporary)
                replace_durably(temporary, run.path)
        except OSError as error:  # where another process was first, its folder is there
            if not run.config_path.exists():
                raise WorkbenchError(f"{run.path}: cannot be made: {error.strerror}.") from error
        return run

    def config_json(self) -> dict[str, Any]:
        """The parsed `config.json`.

        Raises:
            InputError: missing, damaged, or of a newer schema. The document itself raises it too,
                where it is asked for a key that is missing.
        """
        document = read_json(self.config_path)
        schema = document.get("schema")
        if not isinstance(schema, int) or schema > CONFIG_SCHEMA:
            raise InputError(
                f"{self.config_path}: schema {schema!r}, and this workbench reads up to "
                f"{CONFIG_SCHEMA}. Upgrade the workbench to use this run."
            )
        return checked_document(document, self.config_path)

    def protocol(self) -> int:
        """The number of the evaluation protocol that its numbers were measured by.

        Raises:
            InputError: as `config_json`.
        """
        return int(self.config_json().get("protocol", 1))

    def is_imported(self) -> bool:
        """Whether it was not trained here: its numbers were imported, or it is an ensemble.

        Raises:
            InputError: as `config_json`.
        """
        return self.config_json().get("imported") is True

    def provenance_json(self) -> dict[str, Any]:
        """The parsed `provenance.json`.

        Raises:
            InputError: missing or damaged.
        """
        return checked_provenance(read_json(self.provenance_path), self.provenance_path)

    def note_device(self, device: str, dtype: str, ranks: int) -> None:
        """Record in `provenance.json` what the run trains on; only its lock's holder may call this.

        A resumed run may have been on several: they are listed in the order met.
        """
        document = self.provenance_json()
        known = document.setdefault("trained_on", [])
        device_used = {"device": device, "dtype": dtype, "ranks": ranks}
        if device_used not in known:
            known.append(device_used)
            write_json(self.provenance_path, document)

    def stored_status(self) -> RunStatus:
        """`status.json` as it was last written.

        Raises:
            InputError: missing, damaged, or not a status.
        """
        document = read_json(self.status_path)
        known = {field.name for field in fields(RunStatus)}
        status = RunStatus(**{key: value for key, value in document.items() if key in known})
        counts = (status.attempts, status.step, status.tokens)
        whole = all(type(count) is int and 0 <= count < 2**63 for count in counts)
        if document.get("state") not in STATES or not whole or not _is_text(status.error):
            raise InputError(f"{self.status_path}: not the status of a run.")
        return status

    def status(self) -> RunStatus:
        """Return the status, corrected for a process that ended without writing it.

        A run that says it is running, and whose lock nobody holds, was interrupted; one that was
        asked to stop for good, and has stopped unfinished, is cancelled.
        """
        status = self.stored_status()
        if status.state not in GOES_ON:
            return status
        if self.is_claimed():
            return status
        # It may have ended between the two looks.
        status = self.stored_status()
        if status.state in GOES_ON:
            if self.cancel_path.exists():
                return replace(status, state="cancelled")
            if status.state == "running":
                return replace(status, state="interrupted")
        return status

    def write_status(self, **changes: Any) -> None:
        """Replace `status.json` atomically, with the time of the change."""
        updated = replace(self.stored_status(), updated=time.time(), **changes)
        # The one of half a second before is as good: no need to wait for the folder.
        write_json(self.status_path, asdict(updated), folder_synced=False)

    def request_cancel(self) -> None:
        """Leave the request that whoever trains the run, or takes its lock next, stops it for good.

        Raises:
            WorkbenchError: the folder cannot be written.
        """
        try:
            with open(self.cancel_path, "ab", opener=plain_file) as file:
                os.utime(file.fileno())
        except OSError as error:
            raise WorkbenchError(
                f"{self.cancel_path}: cannot be written: {error.strerror}. The run goes on."
            ) from error

    def cancel_request(self) -> int:
        """When the run was last asked to stop for good, in ns since 1970; 0 where it was not."""
        try:
            return self.cancel_path.lstat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def settle(self, state: str, error: str | None = None) -> RunStatus:
        """The status of a run that nobody trains, brought to an end if it has none of its own.

        A run that was asked to stop for good is cancelled, whatever `state` is.

        Args:
            state: failed or cancelled.

        Raises:
            AlreadyClaimed: a process has the run, and it alone writes its state.
        """
        with self.claim():
            if self.stored_status().state in GOES_ON:
                if self.cancel_path.exists():
                    state, error = "cancelled", None
                self.write_status(state=state, error=error, finished=time.time())
            elif self.stored_status().state != "cancelled":
                self.cancel_path.unlink(missing_ok=True)  # it came too late
            return self.stored_status()

    def plan_again(self, state: str = "planned", *, answered: int | None = None) -> bool:
        """Reset the state of a run that did not finish, so that it is started again.

        Args:
            state: planned, or submitted to a scheduler.
            answered: the `cancel_request` that was there when the run was asked to start again; by
                default the one that is there now.

        Returns:
            whether it did: not if it was asked meanwhile to stop for good.

        Raises:
            AlreadyClaimed: another process has started it already.
        """
        with self.claim():
            if answered is not None and self.cancel_request() not in (0, answered):
                return False
            try:
                self.cancel_path.unlink(missing_ok=True)
            except OSError as error:
                raise WorkbenchError(
                    f"{self.cancel_path}: cannot be removed: {error.strerror}."
                ) from error
            if self.stored_status().state != "finished":
                self.write_status(state=state, error=None, finished=None)
            return True

    def claim(self) -> AbstractContextManager[None]:
        """Lock the run. The kernel unlocks it when the process ends, however it ends.

        Raises:
            AlreadyClaimed: another process holds it.
        """
        return self._lock.claim()

    def is_claimed(self) -> bool:
        """Whether some process holds the run now."""
        return self._lock.is_claimed()

    def holder(self) -> Holder | None:
        """Who holds the run now, or None where nobody does or that cannot be known."""
        return self._lock.holder()

    def last_value(self, metric: str) -> float | None:
        """The newest record of a metric, as far as the last 64 KiB of records reach."""
        for line in reversed(_tail(self.records_path)):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # torn, or cut by where the tail begins
            if isinstance(record, dict) and record.get("metric") == metric:
                return record.get("value")
        return None

    def last_metrics(self) -> list[str]:
        """Metrics that were recorded, as far as the last 64 KiB of records reach."""
        found = []
        for line in _tail(self.records_path):
            with suppress(ValueError):
                record = json.loads(line)
                found += [record.get("metric")] if isinstance(record, dict) else []
        return list(dict.fromkeys(name for name in found if isinstance(name, str)))

    def last_log_lines(self, count: int = 15) -> list[str]:
        """The end of the run's log."""
        return _tail(self.log_path)[-count:]


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _tail(path: Path) -> list[str]:
    """Lines of a file's last 64 KiB."""
    try:
        with open(path, "rb", opener=plain_file) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65_536))
            return file.read().decode(errors="replace").splitlines()
    except OSError:  # missing, or no file of this run's
        return []


def list_runs(results: Path) -> list[RunFolder]:
    """Every run of a results folder, by id. Half-made folders do not count."""
    folder = results / "runs"
    if not folder.is_dir():
        return []
    folders = (p for p in folder.iterdir() if not p.name.startswith(".") and p.is_dir())
    return [RunFolder(p) for p in sorted(folders) if (p / "config.json").exists()]


def headless_runs(results: Path) -> list[RunFolder]:
    """Folders with a run's status or records, but without its configuration."""
    folder = results / "runs"
    if not folder.is_dir():
        return []
    runs = [RunFolder(p) for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
    return [
        run
        for run in runs
        if not run.config_path.exists()
        and (run.status_path.exists() or run.records_path.exists() or run.sealed_path.exists())
    ]
