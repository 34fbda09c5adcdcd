"""Curves of runs document by document, and the lead of one side over the other from them.

What training measured of each window is beside the run (`runs.items`). Added up to documents, and
with all seeds of a configuration together, it is what `analysis.crossed` needs for uncertainties
that hold both the seeds and the choice of held-out text.

Shape suffixes: S seeds, J documents, P points.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.analysis.crossed import (
    CrossedMean,
    crossed_difference,
    crossed_mean,
    document_totals,
    seeds_mean,
)
from workbench.analysis.curves import Curve, Floats
from workbench.analysis.early_stopping import document_halves, early_stopped
from workbench.analysis.pairing import Pair, seed_pairs
from workbench.analysis.texts import Draws, fewest, texts_of
from workbench.store.items import read_items_of

WITHOUT_ITEMS = "no values of single documents come with these runs"
OTHER_WINDOWS = "the runs were measured on different documents"


@dataclass(frozen=True)
class DocumentCurves:
    """One metric of several runs, each at its own points."""

    sums: dict[str, Floats]
    """By run: (documents, points), the weighted sum over a document's items."""
    counts: Floats
    """(documents,): what the sums are divided by."""
    documents: NDArray[np.int64]

    def at(self, curves: list[Curve], axis: str, places: Floats) -> Floats:
        """(seeds, documents, places): sums between points are lines, as the curves are."""
        return np.stack(
            [self.sums[curve.run_id] @ _between(curve.x[axis], places) for curve in curves]
        )

    def of(self, curves: list[Curve]) -> "DocumentCurves":
        """The same runs up to where these curves of theirs end."""
        return replace(self, sums={c.run_id: self.sums[c.run_id][:, : len(c.y)] for c in curves})


def _between(x: Floats, places: Floats) -> Floats:
    """(points, places): the weights of linear interpolation."""
    right = np.clip(np.searchsorted(x, places, side="left"), 0, len(x) - 1)
    left = np.maximum(right - (x[right] > places), 0)
    gap = np.where(x[right] > x[left], x[right] - x[left], 1.0)
    share = np.clip((places - x[left]) / gap, 0.0, 1.0)
    weights = np.zeros((len(x), len(places)))
    at = np.arange(len(places))
    np.add.at(weights, (left, at), 1 - share)
    np.add.at(weights, (right, at), share)
    return weights


def document_curves(
    results: Path, curves: list[Curve], metric: str
) -> tuple[DocumentCurves | None, str | None]:
    """The curves document by document, or None and why: runs of earlier versions and imported
    ones have no items, and runs measured on different text have no documents in common."""
    frames = read_items_of(results, [curve.run_id for curve in curves], metric)
    sums: dict[str, Floats] = {}
    known: tuple[NDArray[np.int64], Floats] | None = None
    for curve in curves:
        made = _of_run(frames.get(curve.run_id), curve, metric)
        if made is None:
            return None, WITHOUT_ITEMS
        labels, counts, sums[curve.run_id] = made
        if known is None:
            known = labels, counts
        if not (np.array_equal(labels, known[0]) and np.allclose(counts, known[1])):
            return None, OTHER_WINDOWS
    assert known is not None
    return DocumentCurves(sums, known[1], known[0]), None


def _of_run(
    frame: pl.DataFrame | None, curve: Curve, metric: str
) -> tuple[NDArray[np.int64], Floats, Floats] | None:
    """Documents, their counts, and sums (documents, points) of a run; None where a point of its
    curve has no items that give it."""
    if frame is None or not len(curve.steps) or np.isnan(curve.steps).any():
        return None
    steps = curve.steps.astype(np.int64)
    rows = frame.filter((pl.col("estimator") == curve.estimator) & pl.col("step").is_in(steps))
    # A point that was measured again later, with more draws, is one point.
    most = pl.col("draws").fill_null(0).max().over("step")
    rows = rows.filter(pl.col("draws").fill_null(0) == most).sort("step", "item")
    n_items = rows.height // len(steps)
    if not n_items or rows["step"].to_list() != np.repeat(steps, n_items).tolist():
        return None

    def column(name: str) -> Floats:
        return rows[name].cast(pl.Float64).to_numpy().reshape(len(steps), n_items)

    totals_PN, documents_PN, counts_PN = column("total"), column("document"), column("count")
    if (documents_PN != documents_PN[0]).any() or (counts_PN != counts_PN[0]).any():
        return None
    weights_N = column("weight")[0]
    sums, counts = document_totals(totals_PN.T, counts_PN[0], documents_PN[0], weights_N)
    unit = _unit(metric, curve.y, sums.sum(axis=0) / counts.sum())
    if unit is None:
        return None
    return np.unique(documents_PN[0]).astype(np.int64), counts, unit * sums


def _unit(metric: str, values: Floats, of_items: Floats) -> float | None:
    """What turns the items' unit into the curve's: bits a byte are made of nats a token. None where
    the items do not give the values, and so are not what these are made of."""
    scale = 1.0
    if metric.startswith("val_bpb"):
        scale = float(np.median(values / of_items))
    return scale if np.allclose(scale * of_items, values, rtol=1e-4, atol=1e-6) else None


@dataclass(frozen=True)
class PairedRuns:
    """The runs of both sides that are compared with each other."""

    baseline: list[Curve]
    challenger: list[Curve]

    @property
    def text(self) -> Any:
        return self.baseline[0].seed.text


def paired(pair: Pair) -> list[PairedRuns]:
    """What is paired: runs of equal seeds, where every seed of one side has its partner; else all
    runs of each text, where both sides have the same texts, two or more, and each of them has as
    many runs as the others; else nothing."""
    found = seed_pairs(pair)
    if len(found) == len(pair.baseline) == len(pair.challenger):
        return [PairedRuns([one], [other]) for one, other in found]
    ours, theirs = (_by_text(side) for side in (pair.baseline, pair.challenger))
    if len(ours) < 2 or ours.keys() != theirs.keys():
        return []
    return [PairedRuns(ours[text], theirs[text]) for text in ours]


def _by_text(curves: list[Curve]) -> dict[Any, list[Curve]]:
    """The runs of each text; none where a text is not known or has more runs than another."""
    found: dict[Any, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.seed.text, []).append(curve)
    alike = len({len(own) for own in found.values()}) == 1
    return found if alike and None not in found else {}


def with_runs_of(mean: CrossedMean, pairs: list[PairedRuns]) -> CrossedMean:
    """The mean over pairs of several runs each, which says how many runs there are."""
    runs = min(sum(len(one.baseline) for one in pairs), sum(len(one.challenger) for one in pairs))
    return replace(mean, draws=Draws(runs, mean.draws.texts)) if runs > len(pairs) else mean


@dataclass(frozen=True)
class Lead:
    """The challenger's lead over the baseline at places that both cover."""

    x: Floats
    mean: CrossedMean
    """Above zero where the challenger is better."""
    by_document: bool
    note: str | None
    """Why the documents are not in its uncertainty."""


def lead_along(results: Path, pair: Pair, metric: str, axis: str, *, higher: bool) -> Lead | None:
    """A pair's lead at the challenger's points, as far as all runs of both sides go; None where
    they have no place in common.

    What `paired` finds is paired; where it finds nothing, the sides' seeds are independent.
    """
    places = common_places(pair, axis)
    if not len(places):
        return None
    together, why = document_curves(results, [*pair.baseline, *pair.challenger], metric)
    sign = -1.0 if higher else 1.0
    pairs = paired(pair)
    ours = [one.baseline for one in pairs] or [[curve] for curve in pair.baseline]
    theirs = [one.challenger for one in pairs] or [[curve] for curve in pair.challenger]
    texts = texts_of([own[0] for own in ours]), texts_of([own[0] for own in theirs])
    if together is None:
        base, other = (
            sign * np.stack([_values(own, axis, places).mean(axis=0) for own in side])
            for side in (ours, theirs)
        )
        between = seeds_difference(base, other, texts, paired=bool(pairs))
        return Lead(places, with_runs_of(between, pairs), False, why)
    base, other = (
        np.stack([together.at(own, axis, places).mean(axis=0) for own in side])
        for side in (ours, theirs)
    )
    if pairs:
        mean = crossed_mean(sign * (base - other), together.counts, texts[0])
    else:
        mean = crossed_difference(sign * base, sign * other, together.counts, texts)
    return Lead(places, with_runs_of(mean, pairs), True, None)


def stopped_at_best(together: DocumentCurves, curves: list[Curve], *, higher: bool) -> Floats:
    """(seeds, documents, 1): each run's sums at the point that is its best on the other half of the
    documents (`analysis.early_stopping`).

    Raises:
        InputError: fewer than two documents.
    """
    first = document_halves(together.documents)
    each = [
        early_stopped(together.sums[curve.run_id][None], together.counts, first, higher=higher)
        for curve in curves
    ]
    return np.concatenate([stopped.sums for stopped in each])


def seeds_difference(
    base: Floats, other: Floats, texts: tuple[list[Any], list[Any]], *, paired: bool
) -> CrossedMean:
    """The difference of two means over seeds, where no values of single documents are known.

    Args:
        base, other: (seeds, points).
        texts: which draw of the training text each seed of both sides has.
        paired: whether row by row they are of the same seeds; else they have nothing in common.
    """
    if paired:
        return seeds_mean(base - other, texts[0])
    first, second = seeds_mean(base, texts[0]), seeds_mean(other, texts[1])
    parts = (*first.parts, *second.parts) if first.parts and second.parts else ()
    draws = fewest([first.draws, second.draws])
    return CrossedMean(first.value - second.value, parts, draws, 0)


def _values(curves: list[Curve], axis: str, places: Floats) -> Floats:
    return np.stack([np.interp(places, curve.x[axis], curve.y) for curve in curves])


def common_places(pair: Pair, axis: str) -> Floats:
    """The challenger's points that all runs of both sides cover, and the last such place."""
    curves = [*pair.baseline, *pair.challenger]
    low = max(curve.x[axis][0] for curve in curves)
    high = min(curve.x[axis][-1] for curve in curves)
    if low > high:
        return np.empty(0)
    grid = pair.challenger[0].x[axis]
    inside = grid[(grid >= low) & (grid <= high)]
    return np.asarray(np.union1d(inside, [high]))
