"""Curves that were not made here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.arguments import public


@dataclass(frozen=True)
class Imported:
    """What was imported: `wb.Results(...).study(imported.study)` asks it."""

    study: str
    runs: int
    records: int
    """Numbers, over all runs and metrics."""
    notes: tuple[str, ...] = ()
    """What the source did not say, and what was left out."""


@public
def import_curves(
    source: str | Path,
    study: str | None = None,
    results: str | Path = "results",
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, float] | None = None,
    runs: str | Path | None = None,
    labels: Sequence[str] = (),
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    pattern: str | None = None,
    estimate_flops: bool = False,
) -> Imported:
    """Import all curves of a source into a study, marked as imported; if one is wrong, none is.

    Args:
        source: a table or a folder of W&B, TensorBoard or trainer logs (docs/formats.md), or
            `reference` for the published curves that ship.
        study: the study to add them to.
        columns: our name -> the source's column or tag, or what stands for every row.
        units: column or metric -> what one of it is, such as `{"n_params": 1e9}`.
        runs: a table that tells of each run what the source does not.
        labels: columns that distinguish runs, although they would be left out.
        only, without: metrics, tags or columns to read, or to leave out, `*` for any text.
        pattern: for text, a regular expression with groups such as `(?P<step>\\d+)`.
        estimate_flops: where none are given, take 6 N D.

    Raises:
        InputError: the source is wrong. Nothing has been written.
    """
    from workbench.importing.importer import import_runs
    from workbench.importing.request import Request

    request = Request(
        columns=dict(columns or {}), units=dict(units or {}),
        runs=None if runs is None else Path(runs), labels=tuple(labels), only=tuple(only),
        without=tuple(without), pattern=pattern,
    )  # fmt: skip
    report = import_runs(
        source, study, Path(results), request=request, estimate_flops=estimate_flops
    )
    return Imported(report.study, report.runs, report.records, tuple(report.notes))
