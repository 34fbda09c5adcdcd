"""Backtests of scaling laws."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.api.answers import Backtest, BacktestScore, Say
from workbench.api.saving import saved
from workbench.api.words import Where
from workbench.laws.backtest import run_backtest, scores


def backtest_studies(
    results: Path,
    studies: Sequence[str],
    law: str = "all",
    *,
    train: Where | None = None,
    where: Where | None = None,
    at: str = "last",
    progress: Say | None = None,
    save: bool = False,
    **options: Any,
) -> Backtest:
    """Laws against the larger runs of studies, taken together: see `Study.backtest`."""
    found = run_backtest(
        list(studies), results, law=law, train=_texts(train), where=_texts(where),
        at=at, say=progress or (lambda text: None), **options,
    )  # fmt: skip
    rows = scores(found.results)
    notes = [f"Note: {note}." for note in found.notes]
    if save:
        from workbench.store import keep_backtests

        note = saved(keep_backtests, results, ", ".join(dict.fromkeys(studies)), rows)
        notes = [note, *notes] if note else notes
    document = {"rows": rows, "notes": found.notes}
    return Backtest.of(BacktestScore, rows, notes, document)


def _texts(given: Where | None) -> list[str] | None:
    return [given] if isinstance(given, str) else None if given is None else list(given)
