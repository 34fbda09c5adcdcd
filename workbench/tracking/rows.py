"""A run's records as rows: all numbers of a step at once, each step once."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_ALONG = ("tokens", "epoch", "flops")


@dataclass
class _Row:
    """The numbers of one step, and which estimator the plain name of a metric stands for."""

    values: dict[str, float] = field(default_factory=dict)
    estimators: dict[str, str | None] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Add a record's numbers under its metric's name; a second estimator of it is named."""
        name, estimator = record["metric"], record.get("estimator")
        if self.estimators.setdefault(name, estimator) != estimator:
            name = f"{name} ({estimator})"
        numbers = {name: record.get("value"), f"{name}/stderr": record.get("stderr")}
        numbers |= {f"progress/{along}": record.get(along) for along in _ALONG}
        for one, value in numbers.items():
            if isinstance(value, int | float) and math.isfinite(value):
                self.values[one] = float(value)


class Rows:
    """Makes rows of a file of records that is being written.

    A run that goes on from a checkpoint records the steps since then again. So what a file has when
    this begins counts up to the first step that is written afterwards; and a step's row is complete
    when a later step has begun, or when the run has come to an end that it knows of.
    """

    def __init__(self, last_step: int, earlier: Iterable[bytes] = ()) -> None:
        """Rows of the steps after `last_step`.

        Args:
            earlier: the lines that are there when the run starts.
        """
        self._last = last_step
        self._earlier: dict[int, _Row] = {}
        for record in filter(None, map(_record, earlier)):
            self._earlier.setdefault(record["step"], _Row()).add(record)
        self._step, self._row = 0, _Row()

    def add(self, lines: Iterable[bytes]) -> Iterator[tuple[int, dict[str, float]]]:
        """The rows that new lines complete: a step and its numbers by name."""
        for record in filter(None, map(_record, lines)):
            step = record["step"]
            for before in sorted(place for place in self._earlier if place < step):
                yield from self._once(before, self._earlier[before])
            self._earlier.clear()
            if step != self._step:
                yield from self.end()
                self._step, self._row = step, _Row()
            self._row.add(record)

    def end(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The row of the step that was read last, which is complete."""
        yield from self._once(self._step, self._row)

    def _once(self, step: int, row: _Row) -> Iterator[tuple[int, dict[str, float]]]:
        if step > self._last and row.values:
            self._last = step
            yield step, row.values


def _record(line: bytes) -> dict[str, Any] | None:
    """A line as a record, or None where it is none: the store reports it."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(record, dict) and isinstance(record.get("metric"), str)
    return record if whole and isinstance(record.get("step"), int) else None
