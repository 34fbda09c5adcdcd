"""Runs that several exports have: a run reproduced, with equal values or with a difference.

A run's id is a hash of its configuration and its data, not of the machine: two people who train it
have one run twice, and no second seed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import polars as pl

from workbench.metrics import OF_TRAINING
from workbench.report.board.exports import Export
from workbench.report.board.runs import Run
from workbench.store import query

_PLACE = ["run_id", "metric", "step", "tokens", "estimator", "draws"]


@dataclass(frozen=True)
class Reproduced:
    """One run in two exports."""

    run_id: str
    exports: tuple[str, str]
    compared: int
    """Numbers of evaluations that both have."""
    different: int
    largest: float | None
    """The largest difference of two values; None where one of them is missing, or all are equal."""
    where: str
    """The metric and step of the largest difference."""
    keys: tuple[str, ...]
    """Keys of its configuration in which the two differ, which one id does not allow."""

    @property
    def text(self) -> str:
        """What came of the comparison, in words."""
        if self.keys:
            return f"one id, but other keys: {', '.join(self.keys)}"
        if not self.compared:
            return "no number in common"
        if not self.different:
            return f"equal in all {self.compared} values"
        size = "one lacks a value" if self.largest is None else f"at most by {self.largest:.3g}"
        return f"{self.different} of {self.compared} values differ, {size} ({self.where})"

    @property
    def equal(self) -> bool:
        return bool(self.compared) and not self.unequal

    @property
    def unequal(self) -> bool:
        """Whether there is a difference; where no number is in common, nothing is known."""
        return bool(self.different or self.keys)


def reproduced(exports: Sequence[Export], runs: dict[str, dict[str, Run]]) -> list[Reproduced]:
    """Every run that two exports have, pair by pair of exports.

    Args:
        runs: of each export, by its name.
    """
    found = []
    for one, other in combinations(exports, 2):
        shared = sorted(runs[one.name].keys() & runs[other.name].keys())
        if not shared:
            continue
        frames = [_values(export.folder, shared) for export in (one, other)]
        for run_id, compared in _compared(*frames).items():
            pair = [runs[export.name][run_id].keys for export in (one, other)]
            keys = sorted(
                key for key in {**pair[0], **pair[1]} if pair[0].get(key) != pair[1].get(key)
            )
            found.append(Reproduced(run_id, (one.name, other.name), *compared, tuple(keys)))
        known = {run.run_id for run in found if run.exports == (one.name, other.name)}
        found += [
            Reproduced(run_id, (one.name, other.name), 0, 0, None, "", ())
            for run_id in shared if run_id not in known
        ]  # fmt: skip
    return found


def _values(folder: Path, run_ids: Iterable[str]) -> pl.DataFrame:
    """What evaluations measured in these runs."""
    chosen = pl.DataFrame({"run_id": list(run_ids)})
    frame = query(
        folder,
        f"SELECT {', '.join(_PLACE)}, value FROM metrics WHERE metric NOT IN {OF_TRAINING}",
    )
    return frame.join(chosen, on="run_id", how="semi").unique(_PLACE, keep="first")


def _compared(
    one: pl.DataFrame, other: pl.DataFrame
) -> dict[str, tuple[int, int, float | None, str]]:
    """By run: how many values were compared, how many differ, by how much at most, and where."""
    both = one.join(other, on=_PLACE, how="inner", nulls_equal=True, suffix="_other")
    gap = (pl.col("value") - pl.col("value_other")).abs()
    rows = both.with_columns(
        differs=~pl.col("value").eq_missing(pl.col("value_other")), gap=gap
    ).sort("gap", descending=True, nulls_last=True)
    found: dict[str, tuple[int, int, float | None, str]] = {}
    for (run_id,), own in rows.partition_by("run_id", as_dict=True).items():
        different = own.filter("differs")
        first = different.row(0, named=True) if different.height else None
        where = f"{first['metric']} at step {first['step']}" if first else ""
        found[str(run_id)] = (own.height, different.height, first["gap"] if first else None, where)
    return found
