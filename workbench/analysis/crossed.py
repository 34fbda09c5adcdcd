"""Means over seeds and held-out documents, with the uncertainty of both.

All seeds are evaluated on the same documents, so seeds and documents are crossed random effects:

    value of seed s in document j = mean + a_s + b_j + e_sj

A document's weight in the mean is its number of tokens, c_j of C. With S seeds, the variance of

    mean = sum_sj c_j value_sj / (S C)    is    var(a) / S + sum_j (c_j / C)^2 (var(b) + var(e) / S)

The spread between the seeds' means estimates var(a) / S plus e's part, the spread between the
documents' means over seeds estimates b's and e's parts; both hold e's, so it is taken away once:
V = V_seeds + V_documents - V_interaction (the moment estimator of crossed random effects; as a
two-way clustered variance: Cameron, Gelbach & Miller 2011). Documents differ in length, which
makes few of them out of many; scale and degrees of freedom of V_documents are those of independent
documents of equal variance (Bell & McCaffrey 2002), those of the sum are Satterthwaite's (1946).

Seeds that share a draw of the training text are one draw of a_s, not several (see `texts`).

Noise of measurement that is independent between documents, such as the masks of a diffusion
model's bound, is a part of b_j and e_sj, and with them of the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.analysis.curves import Floats
from workbench.analysis.texts import Draws, draws_of, fewest, spread
from workbench.errors import InputError

Over = Literal["seeds+documents", "seeds", "documents"]
"""What an interval runs over: other draws of the seeds, of the held-out documents, or of both."""


@dataclass(frozen=True)
class Part:
    """One part of a covariance, with its degrees of freedom."""

    of: Literal["seeds", "documents", "interaction", "smoothing"]
    measured: Floats
    """The covariance of what was measured."""
    dof: float
    operator: Floats | None = None
    """What the points here are in terms of what was measured: (points, measured); None where they
    are the same."""

    @property
    def covariance(self) -> Floats:
        """(points, points)"""
        if self.operator is None:
            return self.measured
        return np.asarray(self.operator @ self.measured @ self.operator.T)

    @property
    def variance(self) -> Floats:
        """(points,): of many points, without the covariances between them."""
        if self.operator is None:
            return np.diag(self.measured)
        variance = ((self.operator @ self.measured) * self.operator).sum(axis=1)
        return np.maximum(variance, 0.0)  # rounds below

    def through(self, operator: Floats) -> "Part":
        whole = operator if self.operator is None else operator @ self.operator
        return replace(self, operator=whole)


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and documents at each of P points, and the parts of its covariance."""

    value: Floats
    """(points,)"""
    parts: tuple[Part, ...]
    draws: Draws
    n_documents: int
    """0 where values of single documents are not known."""

    def through(self, operator: Floats) -> "CrossedMean":
        """The same of linear combinations of the points: `operator` is (combinations, points)."""
        parts = tuple(part.through(operator) for part in self.parts)
        return replace(self, value=operator @ self.value, parts=parts)

    def __neg__(self) -> "CrossedMean":
        return replace(self, value=-self.value)

    def has(self, over: Over) -> bool:
        """Whether the spread over all that `over` names is known."""
        return set(over.split("+")) <= {part.of for part in self.parts}

    def half_width(self, over: Over) -> tuple[Floats, Floats]:
        """Of the 95 % t interval at each point, and its degrees of freedom.

        Where few seeds happen to lie close together, Satterthwaite's degrees of freedom are many
        and the interval too narrow. So it is never narrower than that over seeds alone, or that
        over documents alone, and has the degrees of freedom of the widest.
        """
        wanted = over.split("+")
        half = np.zeros_like(self.value)
        degrees = np.full_like(self.value, np.inf)
        for one in [over, *wanted] if len(wanted) > 1 else [over]:
            variance, dof = self._variance_and_dof(one)
            own = stats.t.ppf(0.975, dof) * np.sqrt(variance)
            degrees = np.where(own > half, dof, degrees)
            half = np.maximum(own, half)
        return half, degrees

    def covariance(self, over: Over) -> Floats:
        """(points, points), without what is negative in a difference of estimates."""
        total = sum(sign * part.covariance for sign, part in self._signed(over))
        values, vectors = np.linalg.eigh(np.asarray(total))
        return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)

    def _signed(self, over: str) -> list[tuple[float, Part]]:
        wanted = {*over.split("+"), "smoothing"}
        if wanted >= {"seeds", "documents"}:
            wanted.add("interaction")
        return [
            (-1.0 if part.of == "interaction" else 1.0, part)
            for part in self.parts
            if part.of in wanted
        ]

    def _variance_and_dof(self, over: str) -> tuple[Floats, Floats]:
        by_name: dict[str, Floats] = {}
        spread = np.zeros_like(self.value)  # of the estimate of the variance, over two
        for sign, part in self._signed(over):
            own = part.variance
            by_name[part.of] = by_name.get(part.of, 0.0) + sign * own
            spread = spread + own**2 / part.dof
        total = np.asarray(sum(by_name.values()))
        floor = np.max(list(by_name.values()), axis=0)  # the interaction's is negative
        variance = np.maximum(total, floor)
        with np.errstate(divide="ignore", invalid="ignore"):
            dof = np.where(spread > 0, variance**2 / spread, np.inf)
        return variance, np.maximum(dof, 1.0)


def document_totals(
    sums: Floats, counts: Floats, documents: NDArray[Any], weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Windows added up to documents.

    Args:
        sums: (..., windows, points), the sum over each window's tokens.
        counts: (windows,), tokens.
        documents: (windows,), each window's document; any labels.
        weights: (windows,), what a window stands for; 1 by default.

    Returns:
        Weighted sums (..., documents, points) and counts (documents,), documents in the order of
        their labels.
    """
    labels, place = np.unique(documents, return_inverse=True)
    weight = np.ones(len(place)) if weights is None else weights
    belongs = np.zeros((len(labels), len(place)))
    belongs[place, np.arange(len(place))] = weight
    return belongs @ sums, belongs @ counts


def crossed_mean(sums: Floats, counts: Floats, texts: Sequence[Any] | None = None) -> CrossedMean:
    """The mean over tokens and seeds at each point, with its covariance.

    Args:
        sums: (seeds, documents, points), sums over a document's tokens: of values, or of the
            paired differences of two sides.
        counts: (documents,), tokens, above zero.
        texts: (seeds,), which draw of the training text each seed has, None where not known.

    Raises:
        InputError: shapes that do not fit, values that are not finite, or no tokens.
    """
    return _mean([_Side(sums, counts, texts)], counts)


def crossed_difference(
    first: Floats,
    second: Floats,
    counts: Floats,
    texts: tuple[Sequence[Any] | None, Sequence[Any] | None] = (None, None),
) -> CrossedMean:
    """The mean of `first` minus that of `second`, whose seeds have nothing in common.

    Both sides have the same documents, so documents are paired; the variances over the seeds add
    up. A side of one seed has no variance over seeds, and then the difference has none either.
    Sides with the same seeds are paired instead: `crossed_mean` of their differences.

    Args:
        first, second: (seeds, documents, points), each side with its own number of seeds.
        counts: (documents,).
        texts: of the seeds of each side, as in `crossed_mean`.

    Raises:
        InputError: as `crossed_mean`.
    """
    return _mean([_Side(first, counts, texts[0]), _Side(second, counts, texts[1])], counts)


def _mean(sides: "list[_Side]", counts: Floats) -> CrossedMean:
    """The first side's mean, less the second's where there are two."""
    signs = (1.0, -1.0)
    share = np.asarray(counts, dtype=float) / np.sum(counts)
    value = np.asarray(sum(s * side.value for s, side in zip(signs, sides, strict=False)))
    between = np.asarray(sum(s * side.documents for s, side in zip(signs, sides, strict=False)))
    parts: list[Part] = []
    if len(counts) > 1:
        scale, dof = _document_scale(share)
        parts.append(Part("documents", scale * between.T @ between, dof))
    if all(side.draws.seeds > 1 for side in sides):
        for side in sides:
            parts.extend(side.parts(share))
    draws = fewest([side.draws for side in sides])
    return CrossedMean(value, tuple(parts), draws, len(counts))


class _Side:
    """The influence of each seed and each document on a side's mean."""

    def __init__(self, sums: Floats, counts: Floats, texts: Sequence[Any] | None) -> None:
        _check(sums, counts)
        total = float(np.sum(counts))
        self.texts = texts
        self.draws = draws_of(len(sums), texts)
        self.by_seed = sums.sum(axis=1) / total  # (seeds, points)
        self.value = self.by_seed.mean(axis=0)
        # What each seed has in a document beyond its own mean: (seeds, documents, points).
        self._rest = (sums - counts[:, None] * self.by_seed[:, None, :]) / total
        self.documents = self._rest.mean(axis=0)

    def parts(self, share: Floats) -> list[Part]:
        covariance, dof = spread(self.by_seed, self.texts)
        parts = [Part("seeds", covariance, dof)]
        if len(share) > 1:
            scale, documents_dof = _document_scale(share)
            rest = spread(self._rest, self.texts)[0]
            parts.append(Part("interaction", scale * rest, documents_dof * dof))
        return parts


def _check(sums: Floats, counts: Floats) -> None:
    if sums.ndim != 3 or counts.shape != sums.shape[1:2] or 0 in sums.shape:
        raise InputError(
            f"sums of shape {sums.shape} and counts of shape {counts.shape}: expected "
            "(seeds, documents, points) and (documents,), with at least one of each."
        )
    if not np.isfinite(sums).all():
        raise InputError("values per document that are not finite: leave out those points.")
    if not (np.isfinite(counts).all() and (counts > 0).all()):
        raise InputError("documents without tokens: leave them out.")


def _document_scale(share: Floats) -> tuple[float, float]:
    """What the sum of squares over documents is multiplied by, and its degrees of freedom.

    With documents' means b of equal variance, the residuals are M b, M = diag(share) - share
    share', and the variance sought is that of share' b.
    """
    squares = float(np.sum(share**2))
    matrix_square = np.sum(share**2) - 2 * np.sum(share**3) + squares**2  # trace of M M
    a, b = share**2, share
    # M M = diag(a) - a b' - b a' + squares b b'; the sum of its squared entries is trace(M^4).
    ab, aa = float(np.sum(a * b)), float(np.sum(a * a))
    fourth = (
        aa
        - 4 * float(np.sum(a * a * b))
        + 2 * squares * float(np.sum(a * b * b))
        + 2 * aa * squares
        + 2 * ab**2
        - 4 * squares**2 * ab
        + squares**4
    )
    return squares / float(matrix_square), float(matrix_square) ** 2 / fourth


def seeds_mean(values: Floats, texts: Sequence[Any] | None = None) -> CrossedMean:
    """The mean over seeds alone, where no values of single documents are known.

    Args:
        values: (seeds, points).
        texts: as in `crossed_mean`.
    """
    draws = draws_of(len(values), texts)
    parts = (Part("seeds", *spread(values, texts)),) if draws.seeds > 1 else ()
    return CrossedMean(values.mean(axis=0), parts, draws, 0)
