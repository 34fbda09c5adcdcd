"""The records of W&B's offline files, `run-ID.wandb`: LevelDB's log format with a header before it.

A file is a row of blocks of 32 KiB. A record is one piece, or several that go on over the end of a
block; before each piece stand its checksum, length and kind.
"""

import hashlib
import struct
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from workbench.errors import InputError

_MARK = b":W&B"
_HEADER = 7
_BLOCK = 2**15
_PIECE = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_LARGEST = 2**26  # bytes of a record; a step's numbers take a few hundred


@dataclass
class WandbFile:
    """One file that is being read; what follows `path` is known once its records are."""

    path: Path
    sha256: str = ""
    notes: list[str] = field(default_factory=list)

    def records(self) -> Iterator[bytes]:
        """The content of each record, up to the end or the first that is damaged or cut off.

        Raises:
            InputError: the file cannot be read, or is not W&B's.
        """
        try:
            with self.path.open("rb") as file:
                self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
                file.seek(0)
                if file.read(_HEADER)[: len(_MARK)] != _MARK:
                    raise InputError(f"{self.path}: not a file of an offline run of W&B.")
                end = yield from _records(file)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}.") from None
        if end < size:
            self.notes.append(
                f"{self.path}: cut off or damaged after byte {end:,}; the rest is lost."
            )


def _records(file: BinaryIO) -> Generator[bytes, None, int]:
    """Each record; returns the place behind the last whole one."""
    record, whole = bytearray(), _HEADER
    while True:
        room = _BLOCK - file.tell() % _BLOCK
        if room < _PIECE.size:
            file.seek(room, 1)
            continue
        header = file.read(_PIECE.size)
        if len(header) < _PIECE.size:
            return whole + len(header)
        checksum, length, kind = _PIECE.unpack(header)
        content = file.read(length)
        sound = len(content) == length <= room - _PIECE.size
        if not sound or zlib.crc32(content, zlib.crc32(bytes([kind]))) != checksum:
            return whole
        if kind in (_WHOLE, _FIRST):
            record.clear()
        record += content
        if len(record) > _LARGEST:
            return whole
        if kind in (_WHOLE, _LAST):
            yield bytes(record)
            record.clear()
            whole = file.tell()
