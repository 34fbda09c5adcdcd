"""The records of TensorBoard event files: framed bytes, read without trusting their lengths."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from workbench.errors import InputError

LARGEST = 2**24
"""Bytes of the largest record that is read: a scalar takes about 50, and what is larger is an
image, a sound or a graph, or a length that is damaged."""
_HEADER = struct.Struct("<QI")  # the length of the content, and a checksum of it
_CHECKSUM = struct.Struct("<I")


@dataclass
class EventFile:
    """One file that is being read; what follows `path` is known once its records are."""

    path: Path
    sha256: str = ""
    notes: list[str] = field(default_factory=list)

    def records(self) -> Iterator[bytes]:
        """The content of each record, up to the end or the first that is damaged or cut off.

        Raises:
            InputError: the file cannot be read, or does not begin with a record.
        """
        try:
            with self.path.open("rb") as file:
                self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
                file.seek(0)
                yield from self._records(file, size)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}.") from None

    def _records(self, file: BinaryIO, size: int) -> Iterator[bytes]:
        begin = large = 0
        while begin < size:
            length = _length(file.read(_HEADER.size))
            end = None if length is None else begin + _HEADER.size + length + _CHECKSUM.size
            if length is None or end is None or end > size:
                break
            if length > LARGEST:
                large += 1
                file.seek(end)
            else:
                content = file.read(length)
                if _checksum(content) != _CHECKSUM.unpack(file.read(_CHECKSUM.size))[0]:
                    break
                yield content
            begin = end
        if begin < size and begin == 0:
            raise InputError(
                f"{self.path}: not a TensorBoard event file, or damaged from its start."
            )
        if begin < size:
            self.notes.append(
                f"{self.path}: cut off or damaged after byte {begin:,}; the rest is lost."
            )
        if large:
            self.notes.append(
                f"{self.path}: {large} records of more than {LARGEST >> 20} MiB, which hold no "
                "scalars, are left out."
            )


def _length(header: bytes) -> int | None:
    """The length that a record's header gives, None where it is damaged or cut off."""
    if len(header) < _HEADER.size:
        return None
    length, checksum = _HEADER.unpack(header)
    return int(length) if _checksum(header[:8]) == checksum else None


def _checksum(content: bytes) -> int:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    return int(masked_crc32c(content))
