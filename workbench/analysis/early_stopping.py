"""A run's best value, chosen on half of the held-out documents and measured on the other half.

The best of noisy points is too good by part of the noise: it is chosen and reported by the same
numbers. Here each half of the documents is measured at the point that the other half chose, so
that the choice knows nothing of the noise that it is judged by. Both halves together are all
documents again, so that the mean over tokens, its spread over seeds and documents, and the paired
difference between two runs' bests are those of `crossed`. It is the value that is got by stopping
at a point chosen on so many documents, not that of the best point, which nobody knows.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.analysis.curves import Floats
from workbench.errors import InputError


@dataclass(frozen=True)
class EarlyStopped:
    """What runs are worth that are stopped at their best point."""

    sums: Floats
    """(seeds, documents, 1), as `crossed_mean` takes them; the difference between two sides'
    sums is a paired difference of bests."""
    points: NDArray[np.int64]
    """(seeds, 2): the points that the first and the second half chose."""


def document_halves(documents: Iterable[object]) -> NDArray[np.bool_]:
    """Which documents are in the first half: (documents,).

    Documents are sorted by a hash of their labels, and every other one is in the first half: the
    same documents are split in the same way in each run, whatever their order.
    """
    hashes = [hashlib.sha256(str(document).encode()).hexdigest() for document in documents]
    order = np.array(sorted(range(len(hashes)), key=lambda at: hashes[at]), dtype=np.int64)
    first = np.zeros(len(hashes), dtype=bool)
    first[order[::2]] = True
    return first


def early_stopped(
    sums: Floats, counts: Floats, first: NDArray[np.bool_], *, higher: bool = False
) -> EarlyStopped:
    """Each document's value at the point that its run is best at on the other half.

    Args:
        sums: (seeds, documents, points), sums over a document's tokens.
        counts: (documents,), tokens.
        first: (documents,), as `document_halves` returns them.
        higher: whether more is better.

    Raises:
        InputError: a half without documents.
    """
    if first.all() or not first.any():
        raise InputError(
            f"{len(first)} document{'s' if len(first) != 1 else ''} cannot be halved: the best "
            "point on one half of the documents, measured on the other, takes two or more."
        )
    chosen = np.stack([_best(sums[:, half], higher) for half in (first, ~first)], axis=1)
    at = np.where(first, chosen[:, 1:], chosen[:, :1])  # (seeds, documents)
    return EarlyStopped(np.take_along_axis(sums, at[:, :, None], axis=2), chosen)


def _best(sums: Floats, higher: bool) -> NDArray[np.int64]:
    """Each seed's best point; all points have the same count of tokens."""
    values = sums.sum(axis=1)
    return np.asarray(values.argmax(axis=1) if higher else values.argmin(axis=1))
