"""Records: what a run measured, one JSON object a line, appended and never changed.

A process that dies may leave a torn last line. The next writer of the file cuts it off before
it appends: the run resumes from a checkpoint that is older, and writes that record again.
"""

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.runs.files import plain_file

FIELDS = (
    "step", "tokens", "epoch", "flops", "metric", "value", "stderr", "n", "estimator", "draws",
    "noise_stderr", "documents",
)  # fmt: skip


LONGEST_LINE = 2**20
"""Characters of a record's line, at most: they have a few hundred."""


def _number(value: float | None) -> float | None:
    """Return the value, or None where it is not finite: JSON has no NaN or infinity."""
    return value if value is not None and math.isfinite(value) else None


class RecordWriter:
    """Appends records to a run's `records.jsonl`. One writer a run: the holder of its claim."""

    def __init__(self, path: Path) -> None:
        """Open for appending, after cutting off a torn last line.

        Raises:
            WorkbenchError: the file cannot be opened.
        """
        self.path = path
        try:
            _cut_torn_line(path)
            self._file = open(path, "a", encoding="utf-8", opener=plain_file)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise WorkbenchError(f"{path}: cannot be written: {error.strerror}.") from error

    def write(
        self,
        *,
        step: int,
        tokens: int,
        epoch: float,
        flops: float,
        metric: str,
        value: float | None,
        stderr: float | None = None,
        n: int | None = None,
        estimator: str | None = None,
        draws: int | None = None,
        noise_stderr: float | None = None,
        documents: int | None = None,
    ) -> None:
        """Append one number.

        Args:
            step: optimizer steps done, from 1.
            tokens: training tokens seen, repeats counted.
            epoch: tokens over unique tokens.
            flops: training FLOPs spent.
            metric: a name of `metrics.METRICS`.
            value: None, or not finite, where there is no number.
            stderr: standard error of the value.
            n: how many windows, questions, ... it is a mean of.
            estimator: how it was estimated.
            draws: noise draws an item, where the number is not exact.
            noise_stderr: the part of the standard error that comes from them.
            documents: how many documents the standard error is over.

        Raises:
            WorkbenchError: the file cannot be written, as on a full disk.
        """
        record = {
            "step": step,
            "tokens": tokens,
            "epoch": epoch,
            "flops": flops,
            "metric": metric,
            "value": _number(value),
            "stderr": _number(stderr),
            "n": n,
            "estimator": estimator,
        }
        noise = {"draws": draws, "noise_stderr": _number(noise_stderr), "documents": documents}
        record |= {key: number for key, number in noise.items() if number is not None}
        with self._named_errors():
            self._file.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")

    def flush(self, *, fsync: bool) -> None:
        """Hand the records to the system, and with `fsync` wait until they are on disk.

        Raises:
            WorkbenchError: the file cannot be written, as on a full disk.
        """
        with self._named_errors():
            self._file.flush()
            if fsync:
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file.

        Raises:
            WorkbenchError: as `flush`.
        """
        with self._named_errors():
            self._file.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn a failed write into an error that names the file."""
        try:
            yield
        except OSError as error:
            raise WorkbenchError(f"{self.path}: cannot be written: {error.strerror}.") from error


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "rb+", opener=plain_file) as file:
        end = file.seek(0, os.SEEK_END)
        position = end
        while position > 0:
            if end - position > LONGEST_LINE:
                raise OSError(errno.EINVAL, "is no file of records: its last line has no end")
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < end:
            file.truncate(position)
