"""A study's losses with an accuracy measured at the same points."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from workbench.analysis.taken_at import taken_at
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.study_runs import curves_of
from workbench.laws.fitting.study_table import AT, study_table
from workbench.metrics import higher_is_better, of_raw_weights
from workbench.store import query
from workbench.store.query import literal

ACCURACY, CHANCE = "accuracy", "chance"
"""Columns of the table: the accuracy, and the level that needs no context, where measured."""


def accuracy_table(
    results: Path,
    study: str | Sequence[str],
    metric: str,
    at: str = "last",
    where: Conditions = (),
) -> LossTable:
    """The validation losses of `study_table`, with columns of an accuracy and of its chance level.

    Args:
        at: "last" or "final", each run's last point that has both, or "curve" for all such points.

    Raises:
        InputError: as `study_table`; the metric is a loss; no point has both, or `at` is "best".
    """
    if not higher_is_better(metric):
        raise InputError(
            f"--metric {metric}: loss_to_accuracy predicts an accuracy from val_loss; give one, "
            "such as --metric cloze_acc."
        )
    at = taken_at(at, AT)
    if at == "best":
        raise InputError(
            "--at best: the best accuracy of a run is chosen by its noise. Take last or curve."
        )
    table = study_table(results, study, "val_loss", "curve", where)
    studies = [study] if isinstance(study, str) else list(study)
    curves, _ = curves_of(results, studies, metric, where)
    accuracy = {
        (curve.run_id, tokens): value
        for curve in curves
        for tokens, value in zip(curve.x["tokens"], curve.y, strict=True)
    }
    points = list(zip(table.run_ids, table.total_tokens.tolist(), strict=True))
    both = [row for row, point in enumerate(points) if point in accuracy]
    if at == "last":  # a run's rows are in the order of their tokens
        both = list({table.run_ids[row]: row for row in both}.values())
    if not both:
        raise InputError(
            f"{table.source}: no point has both val_loss and {metric}. Measure them together: "
            "evaluation.points are of both."
        )
    chosen = table.take(np.array(both))
    levels = _chance_levels(results, metric)
    columns = {
        ACCURACY: [accuracy[points[row]] for row in both],
        CHANCE: [levels.get(run_id) for run_id in chosen.run_ids],
    }
    chosen.columns.update(
        {name: np.array(values, dtype=object) for name, values in columns.items()}
    )
    return replace(chosen, metric=metric, at=at)


def _chance_levels(results: Path, metric: str) -> dict[str, float]:
    """By run, what a unigram model of the options gets right, where that was measured."""
    base, at, name = of_raw_weights(metric).partition("@")
    chance = f"{base.removesuffix('_acc')}_chance_unigram{at}{name}"
    frame = query(
        results,
        f"""SELECT run_id, avg(value) AS value FROM metrics
            WHERE metric = {literal(chance)} GROUP BY run_id""",
    )
    return dict(zip(frame["run_id"], frame["value"], strict=True))
