"""What people write about results: notes and tags on studies and runs, named views, reports.

All of it is in `notes.jsonl` of the results folder, one JSON object a line, to read and to mend
with any editor; nothing of it is in the store. A change replaces one entry under a lock, and the
file is written whole: what others changed meanwhile stays.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.runs.files import parse_json, plain_file, read_bytes
from workbench.runs.unfinished import replacing

KINDS = ("study", "run", "view", "report")
_LONGEST = {"name": 200, "text": 20_000, "address": 8_000}
_MOST_TAGS, _PATIENCE_S = 50, 5.0


@dataclass(frozen=True)
class Note:
    """One entry."""

    kind: str
    """study, run, view or report: what `name` is the name of."""
    name: str
    text: str = ""
    tags: tuple[str, ...] = ()
    address: str = ""
    """Of a view: a page of the app and what is chosen there, as in `curves?study=quickstart`."""
    figures: tuple[dict[str, Any], ...] = ()
    """Of a report: its figures in order, each with "study", "figure", "options" and "text"."""
    changed: str = field(default="", compare=False)
    """When it was written, in ISO 8601."""

    def document(self) -> dict[str, Any]:
        """The entry as JSON has it, without what is empty."""
        whole = {
            "kind": self.kind, "name": self.name, "text": self.text, "tags": list(self.tags),
            "address": self.address, "figures": list(self.figures), "changed": self.changed,
        }  # fmt: skip
        return {key: value for key, value in whole.items() if value}


def notes_path(results: Path) -> Path:
    return results / "notes.jsonl"


def read_notes(results: Path) -> dict[tuple[str, str], Note]:
    """Every entry by its kind and name, in the order of the file; none where there is no file.

    Raises:
        InputError: the file cannot be read, or a line of it is no entry.
    """
    entries = _entries(notes_path(results))
    return {key: _note(entry) for key, entry in entries.items() if entry["kind"] in KINDS}


def write_note(results: Path, note: Note, *, seen: Note | None) -> Note:
    """Write one entry, and return it as it was written.

    Args:
        seen: the entry as whoever changes it has read it; None where there was none.

    Raises:
        InputError: it was changed meanwhile, is too long, or the file is damaged; nothing is
            written then.
        WorkbenchError: the folder cannot be written.
    """
    _check(note)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    key = (note.kind, note.name)

    def change(entries: dict[tuple[str, str], dict[str, Any]]) -> None:
        old = entries.get(key)
        there = None if old is None else _note(old)
        if there != seen:
            what = "was written" if seen is None else "was removed" if there is None else "changed"
            raise InputError(
                f"the {note.kind} {note.name}: its entry {what} meanwhile, by somebody else. "
                "Nothing was written: look at it again, then write yours."
            )
        known = set(Note.__dataclass_fields__)
        unknown = {name: value for name, value in (old or {}).items() if name not in known}
        entries[key] = {**note.document(), "changed": now, **unknown}

    _changed(results, change)
    return read_notes(results).get(key, note)


def remove_note(results: Path, kind: str, name: str) -> None:
    """Take one entry out.

    Raises:
        InputError: there is none, or the file is damaged.
        WorkbenchError: the folder cannot be written.
    """

    def change(entries: dict[tuple[str, str], dict[str, Any]]) -> None:
        if entries.pop((kind, name), None) is None:
            raise InputError(f"there is no {kind} {name} in {notes_path(results)}.")

    _changed(results, change)


def _changed(
    results: Path, change: Callable[[dict[tuple[str, str], dict[str, Any]]], None]
) -> None:
    """Have the entries changed under the lock, and write them all."""
    path = notes_path(results)
    with _locked(results / "notes.lock"):
        entries = _entries(path)
        change(entries)
        lines = [json.dumps(entry, ensure_ascii=False) for entry in entries.values()]
        try:
            with (
                replacing(path) as temporary,
                open(temporary, "w", encoding="utf-8", opener=plain_file) as file,
            ):
                file.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise WorkbenchError(f"{path}: cannot be written: {error.strerror}.") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock of the notes, waited for while another process writes."""
    try:
        lock = open(path, "ab", opener=plain_file)  # noqa: SIM115 - closed below, with its lock
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be opened: {error.strerror}.") from error
    with lock:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise WorkbenchError(
                        f"{path}: another process has written notes for {_PATIENCE_S:g} s. "
                        "Nothing was written: try again."
                    ) from None
                time.sleep(0.02)
            except OSError as error:
                raise WorkbenchError(f"{path}: cannot be locked: {error.strerror}.") from error
        yield


def _entries(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The lines as they are, with keys and kinds of later versions."""
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = _checked(parse_json(line))
        except (ValueError, RecursionError) as error:
            raise _damaged(path, number, str(error)) from None
        key = (entry["kind"], entry["name"])
        if key in entries:
            raise _damaged(path, number, f"a second entry of the {key[0]} {key[1]}")
        entries[key] = entry
    return entries


def _damaged(path: Path, number: int, why: str) -> InputError:
    return InputError(
        f"{path}, line {number}: no entry of the notes ({why[:200]}). Mend that line or take it "
        "out: until then notes are neither shown nor written, and the file stays as it is."
    )


def _checked(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError("expected a JSON object")
    for name in ("kind", "name"):
        if not isinstance(entry.get(name), str) or not entry[name]:
            raise ValueError(f"its {name} is no text")
    for name in ("text", "address", "changed"):
        if not isinstance(entry.get(name, ""), str):
            raise ValueError(f"its {name} is no text")
    for name, kind in (("tags", str), ("figures", dict)):
        values = entry.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise ValueError(f"its {name} are no list of {'texts' if kind is str else 'tables'}")
    return entry


def _note(entry: dict[str, Any]) -> Note:
    return Note(
        entry["kind"], entry["name"], entry.get("text", ""), tuple(entry.get("tags", ())),
        entry.get("address", ""), tuple(entry.get("figures", ())), entry.get("changed", ""),
    )  # fmt: skip


def _check(note: Note) -> None:
    if note.kind not in KINDS or not note.name.strip():
        raise InputError(f"a {note.kind} needs a name." if note.kind in KINDS else "no such kind.")
    for name, most in _LONGEST.items():
        if len(getattr(note, name)) > most:
            raise InputError(
                f"the {note.kind} {note.name[:40]}: its {name} has over {most:,} letters."
            )
    if len(note.tags) > _MOST_TAGS:
        raise InputError(f"the {note.kind} {note.name}: more than {_MOST_TAGS} tags.")
