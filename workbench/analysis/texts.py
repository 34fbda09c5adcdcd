"""Seeds of training that share a draw of the text are not independent draws of it.

`data.seed` draws the text that is trained on, `training.seed` all else. Where several seeds of
training share a text, what that text does is in all of them: over S seeds on T texts, the spread
that counts is between the T texts (a cluster-robust variance: Liang & Zeger 1986, with the factor
T / (T - 1)). Seeds of training that recur on several texts count as independent between them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from workbench.analysis.curves import Curve, Floats


class Draws(NamedTuple):
    """How many seeds a mean is over, and on how many draws of the text."""

    seeds: int
    texts: int | None
    """None where it is not known."""

    @property
    def one_text(self) -> bool:
        """Whether several seeds of training have one text, whose choice no spread shows."""
        return self.texts == 1 and self.seeds > 1

    def __str__(self) -> str:
        seeds = f"{self.seeds} seed{'s' if self.seeds > 1 else ''}"
        if self.texts is None or self.texts in (1, self.seeds):
            return seeds
        return f"{self.seeds} seeds on {self.texts} texts"


ONE_TEXT = "all seeds have one text (data.seed): what another would change is not in the interval"


def texts_of(curves: Sequence[Curve]) -> list[Any]:
    """Which draw of the text each curve's run has; None of imports that do not name one."""
    return [curve.seed.text for curve in curves]


def draws_of(seeds: int, texts: Sequence[Any] | None) -> Draws:
    """The number of seeds and of their texts.

    Args:
        texts: (seeds,), the label of each seed's text; None, or None among them, where that is not
            known.
    """
    known = texts is not None and None not in texts
    return Draws(seeds, len(set(texts)) if texts is not None and known else None)


def fewest(several: Sequence[Draws]) -> Draws:
    """Those of the side with the fewest texts, or seeds where texts are not known."""
    return min(several, key=lambda draws: (draws.texts or draws.seeds, draws.seeds))


def influence(values: Floats, texts: Sequence[Any] | None = None) -> Floats:
    """What each independent draw has in a mean over seeds: the sum of squares over draws is the
    variance of the mean, with one degree of freedom less than there are draws.

    Args:
        values: (seeds, ...), two seeds or more.
        texts: as in `draws_of`; seeds whose text is not known, or all the same, are independent.

    Returns:
        (draws, ...): draws are texts where they are known and differ, else seeds.
    """
    own = (values - values.mean(axis=0)) / len(values)
    if texts is not None and draws_of(len(values), texts).texts not in (None, 1):
        labels, place = np.unique([str(text) for text in texts], return_inverse=True)
        belongs = np.zeros((len(labels), len(values)))
        belongs[place, np.arange(len(values))] = 1.0
        own = np.tensordot(belongs, own, axes=1)
    return np.asarray(own * np.sqrt(len(own) / (len(own) - 1)))


def spread(values: Floats, texts: Sequence[Any] | None = None) -> tuple[Floats, float]:
    """The covariance of a mean over seeds between its points, and its degrees of freedom.

    Args:
        values: (seeds, ..., points); `texts` is as in `influence`.

    Returns:
        (points, points), summed over all axes between.
    """
    own = influence(values, texts)
    rows = own.reshape(-1, values.shape[-1])
    return rows.T @ rows, len(own) - 1.0
