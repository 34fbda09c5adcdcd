"""Forecasts on record: what was expected of a study before it ran.

`results/forecasts/STUDY/TIME-DIGEST.json` is written once and never changed. Its digest is that of
everything else in it, so that a document that was changed later is known for that.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.runs.files import read_json, write_json
from workbench.runs.folder import RunFolder

FORECASTS = "forecasts"


@dataclass(frozen=True)
class Forecast:
    """One document on disk."""

    path: Path
    document: dict[str, Any]
    problem: str | None
    """Why it is not scored: changed since it was made, or not readable."""

    @property
    def made(self) -> float:
        """Seconds since 1970."""
        return float(self.document.get("made_at") or 0.0)

    @property
    def name(self) -> str:
        return str(self.document.get("digest") or self.path.stem)[:12]

    @property
    def study(self) -> str:
        return self.path.parent.name

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """What it says of "runs" or "crossovers"; nothing where it has a problem."""
        return [] if self.problem else list(self.document[kind])


def digest_of(document: dict[str, Any]) -> str:
    """The SHA-256 of a document without its digest."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_forecast(results: Path, study: str, document: dict[str, Any]) -> Path:
    """Write a forecast with its time and digest, and return its path.

    Raises:
        WorkbenchError: the disk is full or the folder cannot be written.
    """
    now = time.time()
    dated = {
        "schema": 1,
        "study": study,
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now)),
        "made_at": now,
        **document,
    }
    digest = digest_of(dated)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    path = results / FORECASTS / study / f"{stamp}-{digest[:12]}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkbenchError(f"{path.parent}: cannot be made: {error.strerror}.") from error
    write_json(path, {**dated, "digest": digest})
    return path


def read_forecasts(results: Path, study: str | None = None) -> list[Forecast]:
    """All forecasts of a results folder, or of one study, the earliest first."""
    folder = results / FORECASTS
    paths = sorted(folder.glob("*/*.json")) if folder.is_dir() else []
    found = [_read(path) for path in paths if study in (None, path.parent.name)]
    return sorted(found, key=lambda forecast: (forecast.made, forecast.path.name))


def _read(path: Path) -> Forecast:
    try:
        document = read_json(path)
    except InputError as error:
        return Forecast(path, {}, str(error))
    whole = all(isinstance(document.get(key), list) for key in ("runs", "crossovers"))
    if not whole or not isinstance(document.get("made_at"), float):
        return Forecast(path, document, f"{path}: not a forecast.")
    try:
        unchanged = digest_of(document) == document.get("digest")
    except ValueError:
        unchanged = False
    if not unchanged:
        return Forecast(path, document, f"{path}: changed since it was made.")
    return Forecast(path, document, None)


def has_records(run: RunFolder) -> bool:
    """Whether anything was measured in a run: what is said of it now is no forecast."""
    files = (run.records_path, run.sealed_path)
    return any(path.exists() and path.stat().st_size > 0 for path in files)
