"""Opening a corpus's files: which format a name says, and bytes that may be compressed.

Arrow's libraries decompress, which the package needs anyway; xz is in Python's own.
"""

import codecs
import io
import lzma
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from workbench.errors import InputError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}

# Text shrinks to a third or a tenth, repetitive logs to a hundredth. What expands beyond this is
# no text, and would fill the disk with tokens before it ended.
_MOST_EXPANSION = 300
_ALWAYS_READ = 64 << 20  # bytes that any file may expand to
_BUFFER = 1 << 20


def format_of(file: Path) -> str:
    """The ending that names a file's format, in lower case: `.jsonl` for `C.JSONL.gz`."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_binary(file: Path) -> Iterator[io.BufferedReader]:
    """A file's bytes, decompressed where its name says so.

    Raises:
        InputError: it cannot be read, is cut off, is not what its name says, or expands without
            end. Later, while it is read.
    """
    try:
        with _decompressing(file) as opened:
            yield opened
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"data.corpus: {file}: cannot be read: {reason}.") from None


@contextmanager
def open_text(file: Path, errors: str, *, newline: str | None = None) -> Iterator[TextIO]:
    """A file's text. Arguments as `io.TextIOWrapper` has them.

    Raises:
        InputError: as `open_binary`; or the text is not UTF-8, naming the line.
    """
    try:
        with (
            open_binary(file) as opened,
            io.TextIOWrapper(opened, "utf-8", errors, newline) as text,
        ):
            yield text
    except UnicodeDecodeError as error:
        raise not_utf8(f"{file}, line {_first_bad_line(file)}", error) from None


def not_utf8(where: str, error: UnicodeDecodeError) -> InputError:
    """The error for bytes that are no text."""
    return InputError(
        f"data.corpus: {where}: not UTF-8 text (byte {error.object[error.start]:#04x}: "
        f"{error.reason}). Convert it, or leave it out; or read what cannot be decoded as U+FFFD "
        'by data.encoding_errors = "replace".'
    )


def _decompressing(file: Path) -> io.BufferedReader:
    compression = COMPRESSIONS.get(file.suffix.lower())
    if compression is None:
        return open(file, "rb")
    return io.BufferedReader(_Expanded(file, compression), _BUFFER)


class _Expanded(io.RawIOBase):
    """What a compressed file expands to, up to a bound. One block is decompressed ahead, while the
    one before is parsed: the libraries do it without Python's lock."""

    def __init__(self, file: Path, compression: str) -> None:
        self._file = file
        self._opened: Any
        if compression == "xz":
            self._opened = lzma.open(file)  # noqa: SIM115
        else:
            import pyarrow

            self._opened = pyarrow.input_stream(str(file), compression, _BUFFER)
        self._most = max(_ALWAYS_READ, _MOST_EXPANSION * file.stat().st_size)
        self._read = 0
        self._block = memoryview(b"")
        self._ahead = ThreadPoolExecutor(1)
        self._next = self._ahead.submit(self._opened.read, _BUFFER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._block:
            self._block = memoryview(self._read_block())
        part, self._block = self._block[: len(buffer)], self._block[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def _read_block(self) -> bytes:
        try:
            block: bytes = self._next.result()
        except (OSError, EOFError, lzma.LZMAError) as error:
            mend = _LONG_WINDOW if "too much memory" in str(error) else _DAMAGED
            raise InputError(
                f"data.corpus: {self._file}: cannot be decompressed ({error}). {mend}"
            ) from None
        self._read += len(block)
        if self._read > self._most:
            raise InputError(
                f"data.corpus: {self._file}: expands to more than {_MOST_EXPANSION} times its "
                f"size ({self._read >> 20} MiB so far), which text does not. If it is text, "
                "decompress it and give the result."
            )
        if block:
            self._next = self._ahead.submit(self._opened.read, _BUFFER)
        return block

    def close(self) -> None:
        if not self.closed:
            self._ahead.shutdown()
            self._opened.close()
        super().close()


_DAMAGED = "It is cut off, damaged, or not what its name says: get it again, or leave it out."
_LONG_WINDOW = (
    "It was made with `zstd --long`: `zstd -d --long=31 FILE` decompresses it; give the result."
)


def _first_bad_line(file: Path) -> int:
    """The line that is not UTF-8; the file is read again for it."""
    line = 1
    with open_binary(file) as opened:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := opened.read(_BUFFER):
                line += decoder.decode(block).count("\n")
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
    return line
