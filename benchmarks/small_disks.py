"""A small disk of its own for `full_disk.py`: filled, looked at, compared with another state."""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

SIZE_MIB = 64
PAGE = 4096
# What differs from time to time, or between equal stores.
UNSTEADY = re.compile(r"workbench\.duckdb|_lock$|\.html$|_workbench\.json$")
PASSING = re.compile(r"workbench\.duckdb\.wal$")  # the store's log, there or not


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = f"size={SIZE_MIB}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def sums(disk: Path) -> dict[str, str]:
    """Checksums of every file."""
    return {
        str(path.relative_to(disk)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(disk.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def free(disk: Path) -> int:
    told = os.statvfs(disk)
    return told.f_bavail * told.f_frsize


def fill(disk: Path, leave: int) -> Path:
    """Leave so many bytes of a disk, by a file that is returned."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * PAGE):
            pass
    os.truncate(filler, max(0, filler.stat().st_size - leave))
    return filler


@dataclass(frozen=True)
class Outcome:
    """What a command left: every file's name, the content of what is steady, the records."""

    files: set[str]
    steady: dict[str, str]
    records: pl.DataFrame | None

    def unlike(self, found: "Outcome") -> list[str]:
        wrong = [f"{path} is missing" for path in sorted(self.files - found.files)]
        wrong += [f"{path} is left" for path in sorted(found.files - self.files)]
        wrong += [
            f"{path} differs"
            for path, checksum in self.steady.items()
            if found.steady.get(path, checksum) != checksum
        ]
        if self.records is not None and found.records is not None:
            columns = self.records.columns
            for one, two in ((self.records, found.records), (found.records, self.records)):
                odd = one.join(two, on=columns, how="anti", nulls_equal=True).height
                wrong += [f"{odd} records differ"] if odd else []
        return wrong


def outcome(disk: Path, kept: pl.DataFrame | None) -> Outcome:
    """What is on a disk now, and these records of its store."""
    found = sums(disk)
    outside = {
        path: checksum
        for path, checksum in found.items()
        if not path.startswith("results/") and not UNSTEADY.search(path)
    }
    return Outcome({path for path in found if not PASSING.search(path)}, outside, kept)


def ran_out(said: str, disk: Path) -> str:
    """The kind of file at which the space ran out, as a message names it."""
    for line in said.splitlines():
        paths = re.findall(rf"{re.escape(str(disk))}[^\s:,()'\"]*", line)
        if "space" in line and paths:
            name = Path(paths[0].rstrip(".")).relative_to(disk).as_posix()
            name = re.sub(r"\.?[0-9a-f]{12}(-\w+)?", "*", name)  # a run, or one being made
            name = re.sub(r"(\.unfinished-[^/]*)\.[0-9a-f]{8}(?=/|$)", r"\1", name)
            return re.sub(r"\.\d+(?=\.|$)|=\w+|(?<=data/)[0-9a-f]{8,}", "", name)
    return "not named"
