"""Whether prepared data is what was written: checked before every start of training, and before a
model is asked about it.

A damaged shard would otherwise train a model, or change a result, without an error. All bytes are
read, about a second a gigabyte; a check that passed is remembered for a day, with the size, times
and inode of every file. So whatever is written to a shard is seen at the next start, and a bit that
the disk itself has lost within a day.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.data.prepared import PreparedData
from workbench.data.sources import FORMAT
from workbench.errors import InputError
from workbench.runs.unfinished import replacing

_REMEMBERED = "checked.json"
_A_DAY_S = 86_400.0


def check_run_data(results: Path, data: Mapping[str, Any]) -> None:
    """Check the data that a run trains and validates on.

    Args:
        data: the table of that name in the run's `config.json`.

    Raises:
        InputError: it is not there, damaged, or not the data that the run was made for.
    """
    for one in (data, *data.get("validation_extra", {}).values()):
        prepared = PreparedData.open(results / one["folder"])
        if prepared.fingerprint != one["fingerprint"]:
            raise InputError(
                f"{prepared.folder}: holds other data than the run was made for. Remove this "
                "folder and run the recipe again: the data is prepared anew."
            )
        check_shards(prepared)


def open_checked(folder: Path) -> PreparedData:
    """Prepared data, checked.

    Raises:
        InputError: as `PreparedData.open` and `check_shards`.
    """
    prepared = PreparedData.open(folder)
    check_shards(prepared)
    return prepared


def check_shards(prepared: PreparedData) -> None:
    """Check all bytes of prepared data against its fingerprint, unless that was done within a day
    and no file was written since.

    Raises:
        InputError: they are not the bytes that were written.
    """
    try:
        files = _files(prepared.folder)
        if _is_remembered(prepared, files):
            return
        same = fingerprint(prepared.folder, str(prepared.manifest.get("tokenizer")))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}.") from None
    if same != prepared.fingerprint:
        raise InputError(
            f"{prepared.folder}: train.bin, held_out.bin or another shard there is damaged: the "
            "tokens are not those that were written. Remove this folder and run the recipe again: "
            "the data is prepared anew."
        )
    passed = {"fingerprint": same, "files": files, "at": time.time()}
    with suppress(OSError), replacing(prepared.folder / _REMEMBERED) as temporary:
        temporary.write_text(json.dumps(passed) + "\n")


def _is_remembered(prepared: PreparedData, files: dict[str, list[int]]) -> bool:
    try:
        passed = json.loads((prepared.folder / _REMEMBERED).read_text())
        recent = 0 <= time.time() - passed["at"] < _A_DAY_S
        same = passed["fingerprint"] == prepared.fingerprint and passed["files"] == files
        return bool(recent and same)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _files(folder: Path) -> dict[str, list[int]]:
    """What changes when a shard is written: no program can set the time of a change back."""
    stats = {name: (folder / name).stat() for name in _shards(folder)}
    return {
        name: [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev]
        for name, now in stats.items()
    }


def _shards(folder: Path) -> list[str]:
    names = ["train.bin", "held_out.bin", "held_out_documents.npy"]
    return names + sorted(path.name for path in folder.glob("*.bin") if path.name not in names)


def fingerprint(folder: Path, identity: str) -> str:
    """The SHA-256 of all shards of a folder and of the tokenizer's identity.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256(f"{FORMAT}:{identity}".encode())
    for name in _shards(folder):
        digest.update(f"{name}:{(folder / name).stat().st_size}".encode())
        with open(folder / name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
